/// Frames as a session wrote them, to be asked about.
package enum FrameReader {
    /// A frame (RFC 9113 §4.1).
    package struct Frame: Equatable, CustomStringConvertible {
        package var type: UInt8
        package var flags: UInt8
        package var stream: UInt32
        package var payload: [UInt8]

        /// Four bytes of the payload as a number.
        package func word(_ offset: Int) -> UInt32 {
            payload[offset..<(offset + 4)].reduce(0) { $0 << 8 | UInt32($1) }
        }

        package var description: String {
            "type \(type) flags \(flags) stream \(stream) \(payload.prefix(16))"
        }
    }

    private static let preface = Array("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".utf8)

    /// Cuts `bytes` into frames; a rest that is not a whole frame is dropped.
    package static func frames(in bytes: [UInt8]) -> [Frame] {
        var frames: [Frame] = []
        var start = bytes.starts(with: preface) ? preface.count : 0
        while start + 9 <= bytes.count {
            let length =
                Int(bytes[start]) << 16 | Int(bytes[start + 1]) << 8 | Int(bytes[start + 2])
            guard start + 9 + length <= bytes.count else { break }
            let stream = bytes[(start + 5)..<(start + 9)].reduce(0) { $0 << 8 | UInt32($1) }
            frames.append(
                Frame(
                    type: bytes[start + 3],
                    flags: bytes[start + 4],
                    stream: stream,
                    payload: Array(bytes[(start + 9)..<(start + 9 + length)])
                )
            )
            start += 9 + length
        }
        return frames
    }
}
