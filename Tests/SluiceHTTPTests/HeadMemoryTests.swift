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
}
