/// Length-prefixed messages (gRPC over HTTP/2, "Length-Prefixed-Message").
package enum GRPCFrame {
    /// `message` behind its flag (uncompressed) and its length in four bytes, highest first.
    package static func frame(_ message: [UInt8]) -> [UInt8] {
        prefix(length: message.count) + message
    }

    /// The five bytes in front of an uncompressed message of `length` bytes.
    static func prefix(length: Int) -> [UInt8] {
        var prefix: [UInt8] = [0]
        for shift: UInt32 in [24, 16, 8, 0] {
            prefix.append(UInt8(truncatingIfNeeded: UInt32(length) >> shift))
        }
        return prefix
    }
}
