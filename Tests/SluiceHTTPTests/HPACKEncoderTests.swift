import SluiceCore
import SluiceHTTP
import Testing

/// Our encoder against nghttp2's decoder, which reads what the client session wrote.
@Suite("HPACK encoder")
struct HPACKEncoderTests {
    static func text(_ random: inout RandomSource, _ maximum: Int) -> String {
        String(
            decoding: (0..<random.next(below: maximum)).map { _ in
                UInt8(97 + random.next(below: 26))
            },
            as: UTF8.self
        )
    }

    static func fields(_ block: FieldBlock) -> [String] {
        (0..<block.count).map { index in
            let field = block[index]
            let name = unsafe String(decoding: block.name(of: field), as: UTF8.self)
            return unsafe "\(name): \(String(decoding: block.value(of: field), as: UTF8.self))"
        }
    }

    /// Moves all output of one session into the other, and returns the heads it read.
    static func deliver(
        _ from: inout HTTP2Session,
        _ to: inout HTTP2Session,
        _ arena: HTTPArena
    ) throws -> [[String]] {
        var heads: [[String]] = []
        let bytes = unsafe [UInt8](from.output.bytes)
        from.output.removeAll()
        try unsafe bytes.withUnsafeBytes { raw in
            unsafe to.receive(raw)
            while let event = try to.nextEvent() {
                if case .head(let stream, let block, _) = event {
                    heads.append(fields(block))
                    arena.blocks.give(block)
                    to.reset(stream, .cancel)
                }
            }
        }
        return heads
    }

    @Test(
        "What it encodes, the decoder reads, through evictions and table sizes",
        arguments: 0..<60 as Range<UInt64>
    )
    func roundTrip(seed: UInt64) throws {
        var random = RandomSource(seed: seed)
        let arena = HTTPArena()
        var settings = HTTP2Settings()
        settings.headerTableSize = [0, 64, 500, 4096][random.next(below: 4)]
        var server = HTTP2Session(role: .server, arena: arena, settings: settings)
        var client = HTTP2Session(role: .client, arena: arena)
        let names = (0..<12).map { _ in "x-" + Self.text(&random, 20) }
        let values = (0..<12).map { _ in Self.text(&random, 300) }
        for _ in 0..<60 {
            let head = arena.blocks.take()
            head.append(.method, random.next(below: 2) == 0 ? "POST" : "PATCH")
            head.append(.scheme, "http")
            head.append(.path, text: "/" + Self.text(&random, 40))
            head.append(.authority, text: values[0])
            for _ in 0..<random.next(below: 14) {
                switch random.next(below: 5) {
                case 0: head.append(.userAgent, text: values[random.next(below: 12)])
                case 1: head.append(.requestID, text: Self.text(&random, 40), isVolatile: true)
                case 2: head.append(.authorization, text: values[random.next(below: 12)])
                case 3: head.append(.cookie, text: Self.text(&random, 2000))
                default:
                    head.append(
                        named: names[random.next(below: 12)],
                        text: values[random.next(below: 12)]
                    )
                }
            }
            if head.count > 6 { head.remove(at: 5) }
            let sent = Self.fields(head).enumerated().filter { !head[$0.offset].isRemoved }
                .map(\.element)
            _ = unsafe client.openStream(head, endStream: true, context: nil)
            #expect(try Self.deliver(&client, &server, arena) == [sent])
            // Resets and acknowledgements come back, and with the first the table's size.
            _ = try Self.deliver(&server, &client, arena)
        }
        #expect(arena.blocks.liveCount == 0)
    }
}
