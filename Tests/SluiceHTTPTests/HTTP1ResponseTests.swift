import SluiceCore
import SluiceHTTP
import Testing

/// Responses as they stand on the wire, and what a client hears that asked with these methods.
struct HTTP1Answer: Sendable, CustomTestStringConvertible {
    let section: String
    let methods: [String]
    let wire: String
    let endsConnection: Bool
    let heard: [HTTP1Heard]
    /// Whether the connection can be used again.
    let isReusable: Bool

    init(
        _ section: String,
        asking methods: [String] = ["GET"],
        _ wire: String,
        thenEnd endsConnection: Bool = false,
        _ heard: [HTTP1Heard],
        isReusable: Bool
    ) {
        self.section = section
        self.methods = methods
        self.wire = wire
        self.endsConnection = endsConnection
        self.heard = heard
        self.isReusable = isReusable
    }

    var testDescription: String { section }
}

@Suite("HTTP/1.1 responses, as a client hears them")
struct HTTP1ResponseTests {
    static let answers: [HTTP1Answer] = [
        .init(
            "RFC 9112 §6.2: a length",
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
            [.head([":status: 200", "content-length: 5"]), .body("hello"), .end],
            isReusable: true
        ),
        .init(
            "RFC 9112 §4: no reason",
            "HTTP/1.1 404 \r\nContent-Length: 0\r\n\r\n",
            [.head([":status: 404", "content-length: 0"]), .end],
            isReusable: true
        ),
        .init(
            "RFC 9112 §4: no reason and no space",
            "HTTP/1.1 404\r\nContent-Length: 0\r\n\r\n",
            [.head([":status: 404", "content-length: 0"]), .end],
            isReusable: true
        ),
        .init(
            "RFC 9112 §4: a reason of several words",
            "HTTP/1.1 500 Internal \u{e9}rror!\r\nContent-Length: 0\r\n\r\n",
            [.head([":status: 500", "content-length: 0"]), .end],
            isReusable: true
        ),
        .init(
            "RFC 9112 §7.1: chunks",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n1\r\nd\r\n0\r\n\r\n",
            [.head([":status: 200"]), .body("abcd"), .end],
            isReusable: true
        ),
        .init(
            "RFC 9112 §7.1.2: trailers",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X\r\n\r\n1\r\na\r\n0\r\nX: y\r\nContent-Length: 9\r\n\r\n",
            [.head([":status: 200", "trailer: X"]), .body("a"), .trailers(["x: y"]), .end],
            isReusable: true
        ),
        .init(
            "RFC 9112 §6.3: until the connection ends",
            "HTTP/1.1 200 OK\r\n\r\nall of it",
            thenEnd: true,
            [.head([":status: 200"]), .body("all of it"), .end],
            isReusable: false
        ),
        .init(
            "RFC 9112 §6.3: nothing until the connection ends",
            "HTTP/1.1 200 OK\r\n\r\n",
            thenEnd: true,
            [.head([":status: 200"]), .end],
            isReusable: false
        ),
        .init(
            "RFC 9112 §6.3: the response to HEAD",
            asking: ["HEAD"],
            "HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n",
            [.head([":status: 200", "content-length: 500"]), .end],
            isReusable: true
        ),
        .init(
            "RFC 9112 §6.3: the response to HEAD with chunks it doesn't send",
            asking: ["HEAD"],
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
            [.head([":status: 200"]), .end],
            isReusable: true
        ),
        .init(
            "RFC 9112 §6.3: 204",
            "HTTP/1.1 204 No Content\r\n\r\n",
            [.head([":status: 204"]), .end],
            isReusable: true
        ),
        .init(
            "RFC 9112 §6.3: 304 with the length of what it stands for",
            "HTTP/1.1 304 Not Modified\r\nContent-Length: 12\r\n\r\n",
            [.head([":status: 304", "content-length: 12"]), .end],
            isReusable: true
        ),
        .init(
            "RFC 9110 §15.2: interim responses",
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n",
            [
                .interim([":status: 100"]), .interim([":status: 103", "link: x"]),
                .head([":status: 204"]), .end,
            ],
            isReusable: true
        ),
        .init(
            "RFC 9112 §9.3: close",
            "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nConnection: Close\r\n\r\nx",
            [.head([":status: 200", "content-length: 1"]), .body("x"), .end],
            isReusable: false
        ),
        .init(
            "RFC 9112 §9.3: HTTP/1.0",
            "HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\nx",
            [.head([":status: 200", "content-length: 1"]), .body("x"), .end],
            isReusable: false
        ),
        .init(
            "RFC 9112 §9.3: HTTP/1.0 with keep-alive",
            "HTTP/1.0 200 OK\r\nContent-Length: 1\r\nConnection: keep-alive\r\nKeep-Alive: timeout=5\r\n\r\nx",
            [.head([":status: 200", "content-length: 1"]), .body("x"), .end],
            isReusable: true
        ),
        .init(
            "RFC 9110 §7.6.1: fields of this hop only",
            "HTTP/1.1 200 OK\r\nSecret: 1\r\nConnection: secret\r\nProxy-Authenticate: x\r\nSet-Cookie: a\r\nSet-Cookie: b\r\nContent-Length: 0\r\n\r\n",
            [
                .head([
                    ":status: 200", "proxy-authenticate: x", "set-cookie: a", "set-cookie: b",
                    "content-length: 0",
                ]), .end,
            ],
            isReusable: true
        ),
        .init(
            "RFC 9112 §9.3.2: a response after the other",
            asking: ["GET", "HEAD", "GET"],
            "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx",
            [.head([":status: 200", "content-length: 1"]), .body("x"), .end],
            isReusable: false
        ),
    ]

    @Test("A response is heard the same however its bytes are cut", arguments: answers)
    func responses(_ answer: HTTP1Answer) {
        let (heard, difference) = http1Hear(answer.wire, thenEnd: answer.endsConnection) {
            .asking(answer.methods)
        }
        #expect(heard == answer.heard)
        #expect(difference == nil)
        let client = HTTP1TestSession.asking(answer.methods)
        client.receive(answer.wire)
        if answer.endsConnection { client.receiveEnd() }
        #expect(client.isIdle == answer.isReusable)
    }

    @Test(
        "A connection that ends before its response does is a failure",
        arguments: [
            "", "HTTP/1.1 2", "HTTP/1.1 200 OK\r\n", "HTTP/1.1 100 Continue\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nx",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n",
        ]
    )
    func truncated(_ wire: String) {
        let (heard, difference) = http1Hear(wire, thenEnd: true) { .asking(["GET"]) }
        #expect(heard.last == .failure(.truncated, 0))
        #expect(!heard.contains(.end))
        #expect(difference == nil)
    }

    @Test("An idle client's connection may end")
    func idleEnd() {
        let client = HTTP1TestSession.asking(["GET"])
        client.receive("HTTP/1.1 204 No Content\r\n\r\n")
        #expect(client.isIdle)
        client.receiveEnd()
        #expect(!client.isIdle && client.shouldClose)
        #expect(client.heard.count == 2)
    }

    @Test("A response that ends before its request does costs the connection")
    func earlyResponse() {
        let client = HTTP1TestSession(.client)
        client.request(method: "POST", endStream: false)
        client.send("a")
        client.receive("HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\n\r\n")
        #expect(client.heard == [.head([":status: 413", "content-length: 0"]), .end])
        #expect(client.shouldClose && !client.isIdle)
        let before = client.outputCount
        #expect(client.send("bcd", endStream: true) == 3)
        #expect(client.outputCount == before)
    }
}
