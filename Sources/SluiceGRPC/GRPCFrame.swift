/// Length-prefixed messages (gRPC over HTTP/2, "Length-Prefixed-Message").
package enum GRPCFrame {
    /// `message` behind its flag (uncompressed) and its length in four bytes, highest first.
    package static func frame(_ message: [UInt8]) -> [UInt8] {
        let length = UInt32(message.count)
        var framed: [UInt8] = [0]
        for shift: UInt32 in [24, 16, 8, 0] {
            framed.append(UInt8(truncatingIfNeeded: length >> shift))
        }
        return framed + message
    }
}
