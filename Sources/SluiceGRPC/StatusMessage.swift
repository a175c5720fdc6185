import SluiceCore

/// The percent form of `grpc-message` (gRPC over HTTP/2, "Responses").
package enum StatusMessage {
    private static let digits = Array("0123456789ABCDEF".utf8)

    /// `text` with everything but printable ASCII, and `%` itself, escaped.
    package static func encode(_ text: String) -> String {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(text.utf8.count)
        for byte in text.utf8 {
            if byte >= 0x20, byte <= 0x7E, byte != UInt8(ascii: "%") {
                bytes.append(byte)
            } else {
                bytes.append(UInt8(ascii: "%"))
                bytes.append(digits[Int(byte >> 4)])
                bytes.append(digits[Int(byte & 15)])
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    /// The text behind `encoded`; what isn't a well-formed escape stays as it is.
    package static func decode(_ encoded: String) -> String {
        let source = Array(encoded.utf8)
        var bytes: [UInt8] = []
        bytes.reserveCapacity(source.count)
        var index = 0
        while index < source.count {
            if source[index] == ASCII.percent, index + 2 < source.count,
                let high = ASCII.hexadecimalValue(source[index + 1]),
                let low = ASCII.hexadecimalValue(source[index + 2])
            {
                bytes.append(high << 4 | low)
                index += 3
            } else {
                bytes.append(source[index])
                index += 1
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}
