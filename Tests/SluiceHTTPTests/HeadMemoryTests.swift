import SluiceCore
import SluiceHTTP
import SluiceTestKit
import Testing

/// Heads that come again are copied instead of parsed; nothing but the time may show it.
@Suite("Heads that came before")
struct HeadMemoryTests {
    private static let post = """
        POST /v1/models/iris:predict HTTP/1.1\r\nHost: a\r\nAccept: */*\r\nX-Thing: 1\r\n\
        Connection: x-thing\r\nContent-Length: 2\r\n\r\nhi
        """

    /// A server on `arena` that answers, and what it hears.
    private static func hears(
        _ fragments: [[UInt8]],
        on arena: HTTPArena,
        isSecure: Bool = false,
        maxHeadBytes: Int = 64 << 10
    ) -> [HTTP1Heard] {
        let server = HTTP1TestSession(
            .server,
            maxHeadBytes: maxHeadBytes,
            isSecure: isSecure,
            arena: arena
        )
        server.onEvent = { server, heard in
            if heard == .end { server.respond([":status: 200"]) }
        }
        for fragment in fragments { server.receive(fragment) }
        return server.heard
    }

    // MARK: - HTTP/1.1

    @Test(
        "A request means the same when it comes again on the loop",
        arguments: HTTP1RequestTests.exchanges
    )
    func again(row: HTTP1Exchange) {
        let arena = HTTPArena()
        let wire = Array(row.wire.utf8)
        for _ in 0..<3 { #expect(Self.hears([wire], on: arena) == row.heard) }
    }

    @Test("What is remembered is found on one connection, too, and ends where it did")
    func oneConnection() {
        let arena = HTTPArena()
        let wire = Array(Self.post.utf8)
        let once = Self.hears([wire], on: HTTPArena())
        let heard = Self.hears([wire, wire, wire + wire, wire], on: arena)
        #expect(heard == [once, once, once, once, once].flatMap(\.self))
        #expect(arena.rememberedHeadCount > 0)
    }

    @Test("A head that comes again in two pieces is read as ever")
    func cut() {
        let arena = HTTPArena()
        let wire = Array(Self.post.utf8)
        let once = Self.hears([wire], on: arena)
        for position in 1..<wire.count {
            let fragments = [Array(wire[..<position]), Array(wire[position...])]
            #expect(Self.hears(fragments, on: arena) == once)
        }
    }

    @Test("A head that differs in one byte from one before is another")
    func oneByte() {
        let arena = HTTPArena()
        let wire = Array(Self.post.utf8)
        for position in wire.indices {
            // Again, as what isn't found takes the place of what was.
            _ = Self.hears([wire], on: arena)
            for byte in [UInt8(ascii: "9"), ASCII.space, 0] {
                var other = wire
                other[position] = byte
                #expect(Self.hears([other], on: arena) == Self.hears([other], on: HTTPArena()))
            }
        }
    }

    @Test("A request that differs from others in its path means what it says", arguments: 0..<10)
    func variedPathsOfLines(seed: UInt64) {
        var random = RandomSource(seed: seed)
        let arena = HTTPArena()
        let targets = [
            "/", "/a", "/b?n=1", "/b?n=27&m=", "*", "a", "/a#b", "/\u{7F}", "", "http://b/a",
            "/a b", "/\t",
        ]
        let methods = ["POST", "POST", "POST", "PUT", "OPTIONS"]
        for _ in 0..<300 {
            let target = targets[random.next(below: targets.count)]
            let text =
                random.next(below: 8) == 0 ? "GET" : methods[random.next(below: methods.count)]
            let version = random.next(below: 8) == 0 ? "HTTP/1.0" : "HTTP/1.1"
            // Bodies of other lengths follow, and two requests come at once.
            let body = String(repeating: "x", count: random.next(below: 3))
            let one =
                "\(text) \(target) \(version)\r\nHost: a\r\nX: 1\r\nContent-Length: \(body.count)\r\n"
                + "Y:\r\n\r\n\(body)"
            let wire = Array((random.next(below: 4) == 0 ? one + one : one).utf8)
            for limit in [64 << 10, 70, 60 + target.utf8.count] {
                let heard = Self.hears([wire], on: arena, maxHeadBytes: limit)
                #expect(heard == Self.hears([wire], on: HTTPArena(), maxHeadBytes: limit))
            }
        }
        #expect(arena.blocks.liveCount == 0)
    }

    @Test("A listener's own limit and scheme hold for what others have heard")
    func settings() {
        let arena = HTTPArena()
        let wire = Array(Self.post.utf8)
        for _ in 0..<2 {
            #expect(Self.hears([wire], on: arena).first?.description.contains("http |") == true)
            let secure = Self.hears([wire], on: arena, isSecure: true)
            #expect(secure.first?.description.contains("https |") == true)
            let narrow = Self.hears([wire], on: arena, maxHeadBytes: 60)
            #expect(narrow == [.failure(.headTooLarge, 431)])
        }
    }

    @Test(
        "Heads with credentials are not kept beyond their request",
        arguments: ["Authorization: Bearer x", "Cookie: user=x", "Proxy-Authorization: Basic x"]
    )
    func credentials(field: String) {
        let arena = HTTPArena()
        let wire = Array("GET / HTTP/1.1\r\nHost: a\r\n\(field)\r\n\r\n".utf8)
        for _ in 0..<3 { #expect(Self.hears([wire], on: arena).last == .end) }
        #expect(arena.rememberedHeadCount == 0)
    }

    @Test("Heads that never come again are bounded, and one that comes often stays known")
    func bounded() {
        let arena = HTTPArena()
        let wire = Array(Self.post.utf8)
        for number in 0..<500 {
            let other = Array("GET /\(number) HTTP/1.1\r\nHost: a\r\n\r\n".utf8)
            #expect(Self.hears([other], on: arena).last == .end)
            #expect(Self.hears([wire], on: arena).last == .end)
        }
        #expect(arena.rememberedHeadCount <= 8)
    }

    @Test("An answer's head means the same again, but HEAD still has no body")
    func responses() {
        let arena = HTTPArena()
        for _ in 0..<3 {
            for method in ["GET", "HEAD"] {
                let client = HTTP1TestSession(.client, arena: arena)
                client.request(method: method)
                client.receive("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n")
                #expect((client.heard.last == .end) == (method == "HEAD"))
            }
        }
    }

    // MARK: - HTTP/2

    private static let opening = [RawFrame.preface, .settings(), .settingsAcknowledgement]
        .flatMap(\.bytes)
    // :method GET, :scheme http, :path /
    private static let get: [UInt8] = [0x82, 0x86, 0x84]

    private static func x(_ session: TestSession, _ stream: UInt32) -> String? {
        for case .head(stream, let fields, _) in session.events {
            return fields.first { $0.name == "x" }?.value
        }
        return nil
    }

    @Test("Equal blocks mean what the table says when they come (RFC 7541 §2.3.2)")
    func dynamicTable() {
        let server = TestSession(.server)
        server.receive(Self.opening)
        func head(_ stream: UInt32, _ more: [UInt8]) {
            server.receive(RawFrame.headers(stream, Self.get + more).bytes)
        }
        let insertOne: [UInt8] = [0x40, 1, UInt8(ascii: "x"), 1, UInt8(ascii: "1")]
        let insertTwo: [UInt8] = [0x40, 1, UInt8(ascii: "x"), 1, UInt8(ascii: "2")]
        head(1, insertOne)
        for stream: UInt32 in [3, 5, 7] {
            head(stream, [0xBE])
            #expect(Self.x(server, stream) == "1")
        }
        head(9, insertTwo)
        for stream: UInt32 in [11, 13] {
            head(stream, [0xBE])
            #expect(Self.x(server, stream) == "2")
        }
        // An update to zero empties the table (§4.3).
        server.receive(RawFrame.headers(15, [0x20] + Self.get).bytes)
        #expect(server.failure == nil)
        head(17, [0xBE])
        #expect(server.failure?.code == .compressionError)
    }

    @Test("A block that inserts does so each time it comes")
    func insertion() {
        let server = TestSession(.server)
        server.receive(Self.opening)
        let insert: [UInt8] = [0x40, 1, UInt8(ascii: "x"), 1, UInt8(ascii: "1")]
        for stream: UInt32 in [1, 3, 5] {
            server.receive(RawFrame.headers(stream, Self.get + insert).bytes)
        }
        // The third newest entry is there only if there were three insertions.
        server.receive(RawFrame.headers(7, Self.get + [0xC0]).bytes)
        #expect(Self.x(server, 7) == "1")
        server.receive(RawFrame.headers(9, Self.get + [0xC1]).bytes)
        #expect(server.failure?.code == .compressionError)
    }

    @Test("A malformed head is refused as often as it comes (RFC 9113 §8.1.1)")
    func malformed() {
        let server = TestSession(.server)
        server.receive(Self.opening)
        for stream: UInt32 in [1, 3, 5, 7] {
            _ = server.takeOutput()
            server.receive(RawFrame.headers(stream, [0x82, 0x86]).bytes)
            // PROTOCOL_ERROR is 1.
            #expect(server.takeOutput() == RawFrame.reset(stream, 1).bytes)
        }
        #expect(server.messages.isEmpty)
    }

    @Test("A promised length holds for each head that makes it (RFC 9113 §8.1.1)")
    func promise() {
        let server = TestSession(.server)
        server.receive(Self.opening)
        // :method POST, and content-length 2 as a literal.
        let head: [UInt8] = [0x83, 0x86, 0x84, 0x0F, 0x0D, 1, UInt8(ascii: "2")]
        for (index, length) in [2, 2, 1, 3, 2, 1].enumerated() {
            let stream = UInt32(2 * index + 1)
            server.receive(RawFrame.headers(stream, head, flags: RawFrame.endHeaders).bytes)
            let body = [UInt8](repeating: 7, count: length)
            server.receive(RawFrame.data(stream, body, flags: RawFrame.endStream).bytes)
            #expect(
                server.events.last
                    == (length == 2
                        ? .data(stream, body, end: true) : .reset(stream, .protocolError))
            )
        }
    }

    @Test("What was a head is no trailer section (RFC 9113 §8.1)")
    func trailers() {
        let server = TestSession(.server)
        server.receive(Self.opening)
        for stream: UInt32 in [1, 3, 5] {
            let head = RawFrame.headers(stream, Self.get, flags: RawFrame.endHeaders)
            server.receive(head.bytes)
            server.receive(RawFrame.headers(stream, Self.get).bytes)
            #expect(server.events.last == .reset(stream, .protocolError))
        }
    }

    /// A request whose path is spelt out as `path`, with some fields that mostly stay.
    private static func varied(_ path: [UInt8], _ random: inout RandomSource) -> [UInt8] {
        // :method POST or GET, :scheme http, and :path as a literal: 0x04 is not indexed, 0x14 never.
        var bytes: [UInt8] = [random.next(below: 8) == 0 ? 0x82 : 0x83, 0x86]
        bytes += [random.next(below: 8) == 0 ? 0x14 : 0x04, UInt8(path.count)] + path
        // :authority a, and content-length: 3 or 4.
        bytes += [0x01, 1, UInt8(ascii: "a")]
        bytes += [0x0F, 0x0D, 1, UInt8(ascii: random.next(below: 8) == 0 ? "4" : "3")]
        // A field with a name of its own, and one without a value.
        bytes += [0x00, 1, UInt8(ascii: "x"), 2, UInt8(ascii: "1"), UInt8(ascii: "2")]
        return bytes + [0x00, 1, UInt8(ascii: "y"), 0]
    }

    /// A string of HPACK (RFC 7541 §5.2); coded, it may have `/` and letters of five bits only.
    private static func string(_ text: [UInt8], isCoded: Bool) -> [UInt8] {
        var bytes = text
        if isCoded {
            var bits: [Bool] = []
            for byte in text {
                let (code, length) =
                    byte == UInt8(ascii: "/")
                    ? (0b011000, 6) : (Array("012aceiost".utf8).firstIndex(of: byte) ?? 0, 5)
                for place in (0..<length).reversed() { bits.append(code >> place & 1 == 1) }
            }
            while bits.count % 8 != 0 { bits.append(true) }
            bytes = stride(from: 0, to: bits.count, by: 8).map { start in
                bits[start..<start + 8].reduce(0) { $0 << 1 | ($1 ? 1 : 0) }
            }
        }
        let mark: UInt8 = isCoded ? 0x80 : 0
        guard bytes.count >= 127 else { return [mark | UInt8(bytes.count)] + bytes }
        var (length, rest) = ([mark | 127], bytes.count - 127)
        while rest >= 128 {
            length.append(UInt8(rest & 127 | 128))
            rest >>= 7
        }
        return length + [UInt8(rest)] + bytes
    }

    @Test("A path may be as long as a head", arguments: [false, true], 0..<8)
    func longPaths(isCoded: Bool, seed: UInt64) {
        var random = RandomSource(seed: seed)
        let arena = HTTPArena()
        let server = TestSession(.server, arena: arena)
        server.receive(Self.opening)
        let lengths = [1, 2, 3, 126, 127, 128, 255, 700, 999, 1_000, 1_024, 1_500, 4_000, 16_000]
        for number in 0..<40 {
            var path = [UInt8(ascii: "/")]
            let letters = Array("012aceiost".utf8)
            for _ in 1..<lengths[random.next(below: lengths.count)] {
                path.append(letters[random.next(below: letters.count)])
            }
            let block =
                [0x82, 0x86, 0x04] + Self.string(path, isCoded: isCoded)
                + [0x01, 1, UInt8(ascii: "a"), 0x00, 1, UInt8(ascii: "x"), 1, UInt8(ascii: "1")]
            let alone = TestSession(.server)
            alone.receive(Self.opening)
            alone.receive(RawFrame.headers(1, block).bytes)
            let stream = UInt32(2 * number + 1)
            server.receive(RawFrame.headers(stream, block).bytes)
            #expect(server.messages[stream]?.head == alone.messages[1]?.head, "\(path.count) bytes")
            #expect(server.messages[stream]?.head != nil || path.count > 8_000)
        }
    }

    @Test("A request that differs from others in its path means what it says", arguments: 0..<20)
    func variedPaths(seed: UInt64) {
        var random = RandomSource(seed: seed)
        let arena = HTTPArena()
        let server = TestSession(.server, arena: arena)
        server.receive(Self.opening)
        let paths = [
            "/", "/a", "/b", "/abc?n=1", "/abc?n=27", "*", "a", "/a b", "/a#b", "/\u{7F}", "",
        ]
        for number in 0..<60 {
            let path = Array(paths[random.next(below: paths.count)].utf8)
            let block = Self.varied(path, &random)
            let alone = TestSession(.server)
            alone.receive(Self.opening)
            let before = alone.events.count
            alone.receive(RawFrame.headers(1, block, flags: RawFrame.endHeaders).bytes)
            let stream = UInt32(2 * number + 1)
            let count = server.events.count
            server.receive(RawFrame.headers(stream, block, flags: RawFrame.endHeaders).bytes)
            // All fields in their order, and no more or fewer events.
            #expect(server.messages[stream]?.head == alone.messages[1]?.head)
            #expect(server.events.count - count == alone.events.count - before)
            // The promised length holds for each (RFC 9113 §8.1.1).
            guard server.messages[stream]?.head != nil else { continue }
            for (session, id) in [(server, stream), (alone, UInt32(1))] {
                let body = RawFrame.data(id, [1, 2, 3], flags: RawFrame.endStream)
                session.receive(body.bytes)
            }
            switch (server.events.last, alone.events.last) {
            case (.data(_, let body, let end), .data(_, let other, let otherEnd)):
                #expect(body == other)
                #expect(end == otherEnd)
            case (.reset(_, let code), .reset(_, let other)): #expect(code == other)
            case (let event, let other): Issue.record("\(event as Any) is not \(other as Any)")
            }
        }
        #expect(server.failure == nil)
    }

    @Test("A path as long as to take in what follows it is read as that (RFC 7541 §5.2)")
    func pathBeyondItsPiece() {
        let server = TestSession(.server)
        server.receive(Self.opening)
        // After the path comes x: 1.
        let rest: [UInt8] = [0x00, 1, UInt8(ascii: "x"), 1, UInt8(ascii: "1")]
        let start: [UInt8] = [0x82, 0x86, 0x04]
        func path(_ stream: UInt32, _ bytes: [UInt8]) -> String? {
            server.receive(RawFrame.headers(stream, start + bytes + rest).bytes)
            return server.messages[stream]?.head.first { $0.name == ":path" }?.value
        }
        #expect(path(1, [2] + Array("/a".utf8)) == "/a")
        #expect(path(3, [3] + Array("/ab".utf8)) == "/ab")
        // A path and then another field: x: 1 comes twice.
        #expect(path(5, [2] + Array("/a".utf8) + rest) == "/a")
        #expect(server.messages[5]?.head.count == 5)
        // The length says that the next field is part of the path, which is then none.
        #expect(path(7, [7] + Array("/a".utf8)) == nil)
        #expect(server.failure == nil)
        // It reaches beyond the block's end.
        _ = path(9, [20] + Array("/a".utf8))
        #expect(server.failure?.code == .compressionError)
    }
}
