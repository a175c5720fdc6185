import SluiceCore
import SluiceHTTP
import SluiceTestKit
import Testing

/// Blocks that come again are copied instead of encoded; nghttp2 must read what was meant.
@Suite("Blocks that were encoded before")
struct EncodedHeadsTests {
    /// A field as the sender of a block gives it.
    struct Part {
        var name: String
        var value: String
        var isVolatile = false
        var isRemoved = false
    }

    /// What a client sends again and again, with nghttp2 listening.
    struct Line: ~Copyable {
        private let arena = HTTPArena()
        private var client: HTTP2Session
        private let peer: NghttpPeer
        /// Bytes of the last request's HEADERS.
        private(set) var size = 0

        init(tableSize: UInt32 = 4096) {
            client = HTTP2Session(role: .client, arena: arena)
            // 1 is SETTINGS_HEADER_TABLE_SIZE, 3 SETTINGS_MAX_CONCURRENT_STREAMS.
            peer = NghttpPeer(.server, settings: [(1, tableSize), (3, 100_000)])
            exchange()
        }

        private mutating func exchange() {
            let bytes = unsafe [UInt8](client.output.bytes)
            client.output.removeAll()
            peer.receive(bytes)
            let answer = peer.takeOutput()
            unsafe answer.withUnsafeBytes { raw in
                unsafe client.receive(raw)
                while let event = try? client.nextEvent() {
                    if case .head(_, let block, _) = event { arena.blocks.give(block) }
                }
            }
        }

        /// The head nghttp2 reads when these fields are sent.
        mutating func says(_ parts: [Part]) -> [HeaderField] {
            exchange()
            let head = arena.blocks.take()
            for part in parts {
                head.append(named: part.name, text: part.value)
                if part.isVolatile { head.markVolatile(at: head.count - 1) }
                if part.isRemoved { head.remove(at: head.count - 1) }
            }
            guard unsafe client.openStream(head, endStream: true, context: nil) != nil else {
                return []
            }
            size = client.output.count - 9
            exchange()
            guard let id = peer.order.last else { return [] }
            let heard = peer.messages[id]?.head ?? []
            peer.respond(id, [HeaderField(":status", "204")])
            exchange()
            return heard
        }
    }

    private static let target = [
        Part(name: ":method", value: "POST"), Part(name: ":scheme", value: "http"),
        Part(name: ":path", value: "/v2/models/iris/infer"), Part(name: ":authority", value: "a:1"),
    ]

    private static func meant(_ parts: [Part]) -> [HeaderField] {
        parts.filter { !$0.isRemoved }.map { HeaderField($0.name, $0.value) }
    }

    @Test(
        "Every mixture of a few fields is read as it was meant",
        arguments: 0..<80 as Range<UInt64>
    )
    func mixtures(seed: UInt64) {
        var random = RandomSource(seed: seed)
        var line = Line(tableSize: [0, 100, 300, 4096][random.next(below: 4)])
        // Few names and values, so that equal and nearly equal blocks come again and again.
        let names = ["x-request-id", "content-length", "x-one", "x-two", "accept", "authorization"]
        let values = ["", "7", "17", "ab", "ba", String(repeating: "v", count: 130)]
        let shapes = (0..<(1 + random.next(below: 12))).map { _ in
            (0..<random.next(below: 6)).map { _ in
                Part(
                    name: names[random.next(below: names.count)],
                    value: values[random.next(below: values.count)],
                    isVolatile: random.next(below: 3) == 0,
                    isRemoved: random.next(below: 6) == 0
                )
            }
        }
        for _ in 0..<120 {
            var parts = shapes[random.next(below: shapes.count)]
            // Two content-lengths would be malformed, and nghttp2 wants digits in them.
            var hasLength = false
            for index in parts.indices {
                if parts[index].name == "content-length" {
                    parts[index].name = hasLength ? "x-length" : "content-length"
                    hasLength = true
                    parts[index].value = "0"
                } else if parts[index].isVolatile {
                    parts[index].value = String(
                        repeating: "z",
                        count: [0, 5, 126, 127, 128, 255][random.next(below: 6)]
                    )
                }
            }
            let all = Self.target + parts
            #expect(line.says(all) == Self.meant(all))
        }
    }

    @Test(
        "A volatile value is another each time, whatever its length",
        arguments: [0, 1, 126, 127]
    )
    func volatileValues(length: Int) {
        var line = Line()
        for round in 0..<40 {
            for extra in 0..<3 {
                let value = String(repeating: "\(round % 10)", count: length + extra)
                let all =
                    Self.target + [
                        Part(name: "x-before", value: "same"),
                        Part(name: "x-request-id", value: value, isVolatile: true),
                        Part(name: "x-after", value: "same"),
                    ]
                #expect(line.says(all) == Self.meant(all))
            }
        }
    }

    @Test("A block that differs in one byte from one before is another")
    func oneByte() {
        var line = Line()
        let base = Self.target + [Part(name: "x-thing", value: "0123456789")]
        for _ in 0..<3 { #expect(line.says(base) == Self.meant(base)) }
        for position in 0..<10 {
            var other = base
            var bytes = Array(other[4].value.utf8)
            bytes[position] = UInt8(ascii: "x")
            other[4].value = String(decoding: bytes, as: UTF8.self)
            for _ in 0..<3 {
                #expect(line.says(other) == Self.meant(other))
                #expect(line.says(base) == Self.meant(base))
            }
        }
    }

    @Test("What no hop may remember is never sent by a number")
    func secrets() {
        var line = Line()
        let token = String(repeating: "s", count: 40)
        let all = Self.target + [Part(name: "authorization", value: token)]
        for _ in 0..<12 {
            #expect(line.says(all) == Self.meant(all))
            #expect(line.size > token.count)
        }
    }
}
