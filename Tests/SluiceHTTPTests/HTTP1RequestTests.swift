import SluiceHTTP
import Testing

/// A request as it stands on the wire, and what a server hears.
struct HTTP1Exchange: Sendable, CustomTestStringConvertible {
    let section: String
    let wire: String
    let heard: [HTTP1Heard]

    init(_ section: String, _ wire: String, _ heard: [HTTP1Heard]) {
        self.section = section
        self.wire = wire
        self.heard = heard
    }

    var testDescription: String { section }
}

extension HTTP1Heard {
    /// The head of a plain `GET /`, and what else it carries.
    static func get(_ more: String...) -> HTTP1Heard {
        .head([":method: GET", ":scheme: http", ":authority: a", ":path: /"] + more)
    }

    static func post(_ more: String...) -> HTTP1Heard {
        .head([":method: POST", ":scheme: http", ":authority: a", ":path: /"] + more)
    }
}

@Suite("HTTP/1.1 requests, as a server hears them")
struct HTTP1RequestTests {
    static let exchanges: [HTTP1Exchange] = [
        .init(
            "RFC 9112 §2.1: a request without fields but host",
            "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
            [.get(), .end]
        ),
        .init(
            "RFC 9112 §2.2: one empty line before the request line",
            "\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
            [.get(), .end]
        ),
        .init(
            "RFC 9112 §3.2.1: origin form with a query",
            "GET /where?q=now HTTP/1.1\r\nHost: www.example.org:8080\r\n\r\n",
            [
                .head([
                    ":method: GET", ":scheme: http", ":authority: www.example.org:8080",
                    ":path: /where?q=now",
                ]), .end,
            ]
        ),
        .init(
            "RFC 9112 §3.2.2: absolute form overrules host",
            "GET http://b.example/p?x HTTP/1.1\r\nHost: a\r\n\r\n",
            [
                .head([":method: GET", ":scheme: http", ":authority: b.example", ":path: /p?x"]),
                .end,
            ]
        ),
        .init(
            "RFC 9112 §3.2.2: absolute form without a path",
            "GET HTTP://b.example HTTP/1.1\r\nHost: a\r\n\r\n",
            [.head([":method: GET", ":scheme: http", ":authority: b.example", ":path: /"]), .end]
        ),
        .init(
            "RFC 9112 §3.2.2: absolute form with a query and no path",
            "GET http://b.example?x=1 HTTP/1.1\r\nHost: a\r\n\r\n",
            [
                .head([":method: GET", ":scheme: http", ":authority: b.example", ":path: /?x=1"]),
                .end,
            ]
        ),
        .init(
            "RFC 9112 §3.2.4: asterisk form",
            "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
            [.head([":method: OPTIONS", ":scheme: http", ":authority: a", ":path: *"]), .end]
        ),
        .init(
            "RFC 9112 §3.2.4: OPTIONS in absolute form without a path",
            "OPTIONS http://b HTTP/1.1\r\nHost: a\r\n\r\n",
            [.head([":method: OPTIONS", ":scheme: http", ":authority: b", ":path: *"]), .end]
        ),
        .init(
            "RFC 9110 §7.2: an IPv6 host",
            "GET / HTTP/1.1\r\nHost: [::1]:80\r\n\r\n",
            [.head([":method: GET", ":scheme: http", ":authority: [::1]:80", ":path: /"]), .end]
        ),
        .init(
            "RFC 9112 §5: names are folded, values keep their case",
            "GET / HTTP/1.1\r\nHoSt: a\r\nX-Request-ID: AbC\r\nUSER-AGENT:me\r\n\r\n",
            [.get("x-request-id: AbC", "user-agent: me"), .end]
        ),
        .init(
            "RFC 9112 §5.1: white space around a value",
            "GET / HTTP/1.1\r\nHost:a\r\nx: \t y z \t\r\n\r\n",
            [.get("x: y z"), .end]
        ),
        .init(
            "RFC 9110 §5.5: an empty value, tabs and high bytes",
            "GET / HTTP/1.1\r\nHost: a\r\nx:\r\ny: a\tb\u{e9}\r\n\r\n",
            [.get("x: ", "y: a\tb\u{e9}"), .end]
        ),
        .init(
            "RFC 9112 §6.2: a body with a length",
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
            [.post("content-length: 5"), .body("hello"), .end]
        ),
        .init(
            "RFC 9112 §6.2: a length of zero",
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n",
            [.post("content-length: 0"), .end]
        ),
        .init(
            "RFC 9112 §6.3: neither length nor coding is no body",
            "POST / HTTP/1.1\r\nHost: a\r\n\r\n",
            [.post(), .end]
        ),
        .init(
            "RFC 9112 §7.1: chunks",
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nWiki\r\n5\r\npedia\r\n0\r\n\r\n",
            [.post(), .body("Wikipedia"), .end]
        ),
        .init(
            "RFC 9112 §7.1: no chunk but the last",
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n0\r\n\r\n",
            [.post(), .end]
        ),
        .init(
            "RFC 9112 §7.1: sizes in capitals and with leading zeros",
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n000A\r\n0123456789\r\n00\r\n\r\n",
            [.post(), .body("0123456789"), .end]
        ),
        .init(
            "RFC 9112 §7.1.1: chunk extensions are passed over",
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2;a=b;c=\"d e\"\r\nhi\r\n1 ; x\r\n!\r\n0;last\r\n\r\n",
            [.post(), .body("hi!"), .end]
        ),
        .init(
            "RFC 9112 §7.1.2: trailers",
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nGrpc-Status: 0\r\nx: y\r\n\r\n",
            [.post(), .body("hi"), .trailers(["grpc-status: 0", "x: y"]), .end]
        ),
        .init(
            "RFC 9110 §6.5.1: trailers that may not be are dropped",
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nContent-Length: 5\r\nHost: b\r\nAuthorization: c\r\nSet-Cookie: d\r\nTransfer-Encoding: chunked\r\nConnection: close\r\nok: 1\r\n\r\n",
            [.post(), .trailers(["ok: 1"]), .end]
        ),
        .init(
            "RFC 9110 §6.5.1: nothing is left of the trailers",
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
                + "1\r\nx\r\n0\r\nContent-Length: 5\r\n\r\n",
            [.post(), .body("x"), .end]
        ),
        .init(
            "RFC 9110 §7.6.1: fields of this hop only",
            "GET / HTTP/1.1\r\nHost: a\r\nKeep-Alive: timeout=5\r\nProxy-Connection: x\r\nUpgrade: h2c\r\nHTTP2-Settings: AA\r\nTE: gzip\r\nx: y\r\n\r\n",
            [.get("x: y"), .end]
        ),
        .init(
            "RFC 9110 §7.6.1: fields that connection names",
            "GET / HTTP/1.1\r\nHost: a\r\nfoo: 1\r\nConnection: Foo, keep-alive ,, BAR\r\nbar: 2\r\nbaz: 3\r\n\r\n",
            [.get("baz: 3"), .end]
        ),
        .init(
            "RFC 9110 §10.1.4: te keeps what concerns the far end",
            "GET / HTTP/1.1\r\nHost: a\r\nTE: deflate;q=0.5, Trailers\r\nConnection: TE\r\n\r\n",
            [.get("te: trailers"), .end]
        ),
        .init(
            "RFC 9110 §10.1.1: an expectation is taken out",
            "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-Continue\r\nContent-Length: 1\r\n\r\n!",
            [.post("content-length: 1"), .body("!"), .end]
        ),
        .init(
            "RFC 9110 §10.1.1: HTTP/1.0 has no expectations",
            "POST / HTTP/1.0\r\nExpect: the-worst\r\nHost: a\r\n\r\n",
            [.post(), .end]
        ),
        .init(
            "RFC 9112 §3.2: HTTP/1.0 needs no host",
            "GET / HTTP/1.0\r\n\r\n",
            [.head([":method: GET", ":scheme: http", ":path: /"]), .end]
        ),
        .init(
            "RFC 9112 §9.3: requests one after the other",
            "GET / HTTP/1.1\r\nHost: a\r\n\r\nPOST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nok\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
            [.get(), .end, .post("content-length: 2"), .body("ok"), .end, .get(), .end]
        ),
        .init(
            "RFC 9112 §9.3: chunks, trailers, and the next request",
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nt: u\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
            [.post(), .body("a"), .trailers(["t: u"]), .end, .get(), .end]
        ),
        .init(
            "RFC 9112 §9.6: nothing after close is a request",
            "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
            [.get(), .end]
        ),
        .init(
            "RFC 9112 §9.3: HTTP/1.0 closes unless it says otherwise",
            "GET / HTTP/1.0\r\nHost: a\r\n\r\nGET / HTTP/1.0\r\nHost: a\r\n\r\n",
            [.get(), .end]
        ),
        .init(
            "RFC 9112 §9.3: HTTP/1.0 with keep-alive",
            "GET / HTTP/1.0\r\nHost: a\r\nConnection: Keep-Alive\r\n\r\nGET / HTTP/1.0\r\nHost: a\r\n\r\n",
            [.get(), .end, .get(), .end]
        ),
    ]

    @Test("A request is heard the same however its bytes are cut", arguments: exchanges)
    func requests(_ exchange: HTTP1Exchange) {
        let (heard, difference) = http1Hear(exchange.wire) { .answering() }
        #expect(heard == exchange.heard)
        #expect(difference == nil)
    }

    @Test("A secure connection's requests have the scheme https")
    func secure() {
        let server = HTTP1TestSession(.server, isSecure: true)
        server.receive("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        #expect(
            server.heard == [
                .head([":method: GET", ":scheme: https", ":authority: a", ":path: /"]), .end,
            ]
        )
    }

    @Test("A head of exactly the limit passes, one byte more doesn't")
    func limit() {
        let head = "GET / HTTP/1.1\r\nHost: a\r\nx: yyyyyyyy\r\n\r\n"
        let exact = http1Hear(head) { .answering(maxHeadBytes: head.utf8.count) }
        #expect(exact.heard == [HTTP1Heard.get("x: yyyyyyyy"), .end])
        #expect(exact.difference == nil)
        let short = http1Hear(head) { .answering(maxHeadBytes: head.utf8.count - 1) }
        #expect(short.heard == [.failure(.headTooLarge, 431)])
        #expect(short.difference == nil)
    }

    @Test("A request line longer than the limit is a target too long")
    func longTarget() {
        let line = "GET /\(String(repeating: "x", count: 300)) HTTP/1.1\r\nHost: a\r\n\r\n"
        let (heard, difference) = http1Hear(line) { .answering(maxHeadBytes: 256) }
        #expect(heard == [.failure(.uriTooLong, 414)])
        #expect(difference == nil)
    }

    @Test("Trailers are bounded like a head")
    func longTrailers() {
        let wire =
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n"
            + String(repeating: "x: y\r\n", count: 50) + "\r\n"
        let (heard, difference) = http1Hear(wire) { .answering(maxHeadBytes: 256) }
        #expect(heard == [HTTP1Heard.post(), .failure(.headTooLarge, 431)])
        #expect(difference == nil)
    }

    @Test("The session knows when a head has begun and when it is idle")
    func states() {
        let server = HTTP1TestSession(.server)
        #expect(server.isIdle && !server.isReceivingHead)
        server.receive("G")
        #expect(!server.isIdle && server.isReceivingHead)
        server.receive("ET / HTTP/1.1\r\n")
        #expect(!server.isIdle && server.isReceivingHead)
        server.receive("Host: a\r\n\r\n")
        #expect(!server.isIdle && !server.isReceivingHead)
        server.respond([":status: 204"])
        #expect(server.isIdle && !server.shouldClose)
    }

    @Test("A pipelined request waits for the answer before it, and reading stops")
    func pipelining() {
        let server = HTTP1TestSession(.server)
        let get = "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
        server.receive(get + get + "GET / HT")
        #expect(server.heard == [HTTP1Heard.get(), .end])
        #expect(!server.wantsInput)
        server.respond([":status: 200"], endStream: false)
        server.pump()
        #expect(server.heard.count == 2)
        server.send("x", endStream: true)
        server.pump()
        #expect(server.heard.count == 4)
        #expect(!server.wantsInput)
        server.respond([":status: 200"])
        #expect(!server.isIdle)
        server.pump()
        #expect(server.wantsInput && server.isReceivingHead)
        server.receive("TP/1.1\r\nHost: a\r\n\r\n")
        #expect(server.heard.count == 6)
    }

    @Test("Pipelined requests that are answered at once are heard once", arguments: 1...3)
    func pipeliningAtOnce(waiting: Int) {
        let server = HTTP1TestSession(.server)
        let get = "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
        server.receive(String(repeating: get, count: 1 + waiting))
        server.onEvent = { server, heard in
            // An end to it, should the requests be heard again and again.
            if heard == .end, server.heard.count < 20 { server.respond([":status: 200"]) }
        }
        server.respond([":status: 200"])
        server.pump()
        #expect(server.heard.count == 2 * (1 + waiting))
        #expect(server.isIdle && server.wantsInput)
        server.receive(get)
        #expect(server.heard.count == 2 * (2 + waiting))
    }

    @Test("A client that closes its side still gets its answers, pipelined ones too")
    func halfClose() {
        let server = HTTP1TestSession(.server)
        let get = "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
        server.receive(get + get)
        server.receiveEnd()
        #expect(!server.shouldClose)
        server.respond([":status: 200"])
        server.pump()
        #expect(server.heard == [HTTP1Heard.get(), .end, HTTP1Heard.get(), .end])
        #expect(!server.shouldClose)
        server.respond([":status: 200"])
        server.pump()
        #expect(server.shouldClose)
        #expect(server.heard.count == 4)
    }

    @Test(
        "A connection that ends in the middle of a request is a failure",
        arguments: [
            "G", "GET / HTTP/1.1\r\n", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\na",
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na",
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n",
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n",
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nx: y\r\n",
        ]
    )
    func truncated(_ wire: String) {
        let (heard, difference) = http1Hear(wire, thenEnd: true) { .answering() }
        #expect(heard.last == .failure(.truncated, 400))
        #expect(difference == nil)
    }

    @Test("An idle connection may end")
    func idleEnd() {
        let server = HTTP1TestSession(.server)
        server.receiveEnd()
        #expect(server.heard.isEmpty && server.shouldClose)
    }

    @Test("Chunk extensions can't outweigh what they come with")
    func extensionFlood() {
        let server = HTTP1TestSession(.server)
        server.receive("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
        let chunk = "1;\(String(repeating: "e", count: 1000))\r\nx\r\n"
        var sent = 0
        while sent < 100, server.heard.last != .failure(.badRequest, 400) {
            server.receive(chunk)
            sent += 1
        }
        #expect(sent == 17)
    }
}
