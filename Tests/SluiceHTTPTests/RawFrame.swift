/// A frame written by hand, right or wrong (RFC 9113 §4.1).
struct RawFrame: Sendable {
    var bytes: [UInt8]

    init(_ bytes: [UInt8]) { self.bytes = bytes }

    init(type: UInt8, flags: UInt8 = 0, stream: UInt32, _ payload: [UInt8] = []) {
        bytes = RawFrame.header(payload.count, type, flags, stream) + payload
    }

    static func header(_ length: Int, _ type: UInt8, _ flags: UInt8, _ stream: UInt32) -> [UInt8] {
        [
            UInt8(truncatingIfNeeded: length >> 16), UInt8(truncatingIfNeeded: length >> 8),
            UInt8(truncatingIfNeeded: length), type, flags,
        ] + word(stream)
    }

    static func word(_ value: UInt32) -> [UInt8] {
        [24, 16, 8, 0].map { UInt8(truncatingIfNeeded: value >> $0) }
    }

    static let preface = RawFrame(Array("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".utf8))

    // MARK: - By name

    static let endStream: UInt8 = 0x1
    static let acknowledge: UInt8 = 0x1
    static let endHeaders: UInt8 = 0x4
    static let padded: UInt8 = 0x8
    static let prioritized: UInt8 = 0x20

    static func data(_ stream: UInt32, _ payload: [UInt8] = [], flags: UInt8 = 0) -> RawFrame {
        RawFrame(type: 0, flags: flags, stream: stream, payload)
    }

    static func headers(
        _ stream: UInt32,
        _ block: [UInt8] = HandHPACK.get,
        flags: UInt8 = endHeaders | endStream
    ) -> RawFrame {
        RawFrame(type: 1, flags: flags, stream: stream, block)
    }

    static func priority(_ stream: UInt32, on dependency: UInt32 = 0) -> RawFrame {
        RawFrame(type: 2, stream: stream, word(dependency) + [16])
    }

    static func reset(_ stream: UInt32, _ code: UInt32 = 8) -> RawFrame {
        RawFrame(type: 3, stream: stream, word(code))
    }

    static func settings(_ entries: [(UInt16, UInt32)] = []) -> RawFrame {
        RawFrame(
            type: 4,
            stream: 0,
            entries.flatMap { [UInt8($0.0 >> 8), UInt8($0.0 & 255)] + word($0.1) }
        )
    }

    static let settingsAcknowledgement = RawFrame(type: 4, flags: acknowledge, stream: 0)

    static func ping(_ opaque: [UInt8] = [1, 2, 3, 4, 5, 6, 7, 8]) -> RawFrame {
        RawFrame(type: 6, stream: 0, opaque)
    }

    static func goAway(last: UInt32, _ code: UInt32 = 0) -> RawFrame {
        RawFrame(type: 7, stream: 0, word(last) + word(code))
    }

    static func windowUpdate(_ stream: UInt32, _ increment: UInt32) -> RawFrame {
        RawFrame(type: 8, stream: stream, word(increment))
    }

    static func continuation(
        _ stream: UInt32,
        _ block: [UInt8],
        flags: UInt8 = endHeaders
    ) -> RawFrame {
        RawFrame(type: 9, flags: flags, stream: stream, block)
    }
}

/// Header blocks as literals without indexing (RFC 7541 §6.2.2), so that no table is needed.
enum HandHPACK {
    static func literal(_ name: String, _ value: String) -> [UInt8] {
        literal(Array(name.utf8), Array(value.utf8))
    }

    static func literal(_ name: [UInt8], _ value: [UInt8]) -> [UInt8] {
        [0] + integer(name.count) + name + integer(value.count) + value
    }

    static func block(_ fields: [(String, String)]) -> [UInt8] {
        fields.flatMap { literal($0.0, $0.1) }
    }

    /// A number with a seven-bit prefix and no Huffman flag (RFC 7541 §5.1).
    private static func integer(_ value: Int) -> [UInt8] {
        guard value >= 127 else { return [UInt8(value)] }
        var bytes: [UInt8] = [127]
        var rest = value - 127
        while rest >= 128 {
            bytes.append(UInt8(rest & 127) | 128)
            rest >>= 7
        }
        return bytes + [UInt8(rest)]
    }

    static func request(
        _ method: String = "GET",
        _ more: [(String, String)] = []
    ) -> [UInt8] {
        block(
            [
                (":method", method), (":scheme", "http"), (":path", "/"),
                (":authority", "sluice.test"),
            ] + more
        )
    }

    static let get = request()
    static let post = request("POST")
    static func response(_ status: String = "200", _ more: [(String, String)] = []) -> [UInt8] {
        block([(":status", status)] + more)
    }
}
