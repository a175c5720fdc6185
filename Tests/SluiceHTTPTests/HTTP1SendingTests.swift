import SluiceCore
import SluiceHTTP
import Testing

/// A response a server is asked to send, and what it puts on the wire.
struct HTTP1SentResponse: Sendable, CustomTestStringConvertible {
    let section: String
    let request: String
    let head: [String]
    /// Body pieces; nil ends the stream with the head.
    let body: [String]?
    let wire: String
    let closes: Bool

    init(
        _ section: String,
        to request: String = "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        _ head: [String],
        body: [String]? = nil,
        _ wire: String,
        closes: Bool = false
    ) {
        self.section = section
        self.request = request
        self.head = head
        self.body = body
        self.wire = wire
        self.closes = closes
    }

    var testDescription: String { section }
}

@Suite("What HTTP/1.1 sessions write")
struct HTTP1SendingTests {
    static let head10 = "GET / HTTP/1.0\r\nHost: a\r\n\r\n"
    static let keepAlive10 = "GET / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n"
    static let headMethod = "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n"

    static let responseCases: [HTTP1SentResponse] = [
        .init(
            "RFC 9110 §8.6: no body",
            [":status: 200", "x: y"],
            "HTTP/1.1 200 OK\r\nx: y\r\ncontent-length: 0\r\n\r\n"
        ),
        .init(
            "RFC 9112 §6.2: a length that was promised",
            [":status: 200", "content-length: 5"],
            body: ["hel", "lo"],
            "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello"
        ),
        .init(
            "RFC 9112 §7.1: chunks when there is no length",
            [":status: 200"],
            body: ["hello", "", ", long world, 123"],
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n11\r\n, long world, 123\r\n0\r\n\r\n"
        ),
        .init(
            "RFC 9112 §6.3: HTTP/1.0 gets the connection's end",
            to: head10,
            [":status: 200"],
            body: ["a", "b"],
            "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nab",
            closes: true
        ),
        .init(
            "RFC 9112 §9.3: HTTP/1.0 that would stay, without a length",
            to: keepAlive10,
            [":status: 200"],
            body: ["ab"],
            "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nab",
            closes: true
        ),
        .init(
            "RFC 9112 §9.3: HTTP/1.0 that stays",
            to: keepAlive10,
            [":status: 200", "content-length: 2"],
            body: ["ab"],
            "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: keep-alive\r\n\r\nab"
        ),
        .init(
            "RFC 9112 §9.6: close is answered with close",
            to: "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
            [":status: 204"],
            "HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n",
            closes: true
        ),
        .init(
            "RFC 9110 §9.3.2: HEAD keeps the length and drops the body",
            to: headMethod,
            [":status: 200", "content-length: 5"],
            body: ["hello"],
            "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n"
        ),
        .init(
            "RFC 9110 §9.3.2: HEAD without a length",
            to: headMethod,
            [":status: 200"],
            body: ["hello"],
            "HTTP/1.1 200 OK\r\n\r\n"
        ),
        .init(
            "RFC 9110 §8.6: 204 has no length",
            [":status: 204", "content-length: 0"],
            "HTTP/1.1 204 No Content\r\n\r\n"
        ),
        .init(
            "RFC 9110 §15.4.5: 304 may say a length",
            [":status: 304", "content-length: 7"],
            "HTTP/1.1 304 Not Modified\r\ncontent-length: 7\r\n\r\n"
        ),
        .init(
            "RFC 9112 §4: a status without a phrase",
            [":status: 299"],
            "HTTP/1.1 299 \r\ncontent-length: 0\r\n\r\n"
        ),
        .init(
            "RFC 9110 §7.6.1: fields of another hop",
            [
                ":status: 200", "connection: x", "keep-alive: 1", "proxy-connection: x",
                "transfer-encoding: chunked", "upgrade: x", "te: trailers", "x: y",
                "content-length: 0", "content-length: 9",
            ],
            "HTTP/1.1 200 OK\r\nx: y\r\ncontent-length: 0\r\n\r\n"
        ),
        .init(
            "RFC 9112 §11.1: fields that would be two",
            [":status: 200", "x: a\r\nb: c", "y\r\nz: 1", "ok: 1", "Z: 2"],
            "HTTP/1.1 200 OK\r\nok: 1\r\ncontent-length: 0\r\n\r\n"
        ),
    ]

    @Test("A response is framed by what its peer and its block allow", arguments: responseCases)
    func responses(_ response: HTTP1SentResponse) {
        let server = HTTP1TestSession(.server)
        server.receive(response.request)
        server.respond(response.head, endStream: response.body == nil)
        for (index, fragment) in (response.body ?? []).enumerated() {
            let isLast = index == (response.body ?? []).count - 1
            #expect(server.send(fragment, endStream: isLast) == fragment.utf8.count)
        }
        #expect(server.writtenText() == response.wire)
        #expect(server.shouldClose == response.closes)
        #expect(server.isIdle != response.closes)
        #expect(server.arena.blocks.liveCount == 0)
    }

    static let requestCases: [(String, [String], [String]?, String)] = [
        (
            "RFC 9112 §3: pseudo-fields become the request line and host",
            [":method: GET", ":scheme: https", ":authority: b:1", ":path: /p?q", "x: y"], nil,
            "GET /p?q HTTP/1.1\r\nhost: b:1\r\nx: y\r\n\r\n"
        ),
        (
            "RFC 9113 §8.3.1: host where there is no authority",
            [":method: GET", ":scheme: http", ":path: /", "host: b"], nil,
            "GET / HTTP/1.1\r\nhost: b\r\n\r\n"
        ),
        (
            "RFC 9113 §8.3.1: authority overrules host",
            [":method: GET", ":scheme: http", ":authority: b", ":path: /", "host: c"], nil,
            "GET / HTTP/1.1\r\nhost: b\r\n\r\n"
        ),
        (
            "RFC 9113 §8.2.3: crumbs of cookies are joined",
            [
                ":method: GET", ":scheme: http", ":authority: b", ":path: /", "cookie: a=b", "x: y",
                "cookie: c=d", "cookie: e",
            ], nil,
            "GET / HTTP/1.1\r\nhost: b\r\nx: y\r\ncookie: a=b; c=d; e\r\n\r\n"
        ),
        (
            "RFC 9110 §7.6.1: te and expectations stay here",
            [
                ":method: OPTIONS", ":scheme: http", ":authority: b", ":path: *", "te: trailers",
                "expect: 100-continue",
            ], nil,
            "OPTIONS * HTTP/1.1\r\nhost: b\r\n\r\n"
        ),
        (
            "RFC 9110 §8.6: a POST without content says so",
            [":method: POST", ":scheme: http", ":authority: b", ":path: /"], nil,
            "POST / HTTP/1.1\r\nhost: b\r\ncontent-length: 0\r\n\r\n"
        ),
        (
            "RFC 9112 §6.2: a request with a length",
            [":method: PUT", ":scheme: http", ":authority: b", ":path: /", "content-length: 2"],
            ["hi"], "PUT / HTTP/1.1\r\nhost: b\r\ncontent-length: 2\r\n\r\nhi"
        ),
        (
            "RFC 9112 §7.1: a request without one",
            [":method: PUT", ":scheme: http", ":authority: b", ":path: /"], ["h", "i"],
            "PUT / HTTP/1.1\r\nhost: b\r\ntransfer-encoding: chunked\r\n\r\n"
                + "1\r\nh\r\n1\r\ni\r\n0\r\n\r\n"
        ),
    ]

    @Test("A request is written as HTTP/1.1", arguments: requestCases)
    func requests(_ section: String, _ head: [String], _ body: [String]?, _ wire: String) {
        let client = HTTP1TestSession(.client)
        client.request(head, endStream: body == nil)
        for (index, fragment) in (body ?? []).enumerated() {
            client.send(fragment, endStream: index == (body ?? []).count - 1)
        }
        #expect(client.writtenText() == wire)
        #expect(!client.isIdle && client.arena.blocks.liveCount == 0)
    }

    @Test(
        "A request that HTTP/1.1 would read as another is refused before it is written",
        arguments: [
            [":method: CONNECT", ":authority: b:443"],
            [":method: GET", ":scheme: http", ":authority: b", ":path: /a HTTP/1.1"],
            [":method: GET", ":scheme: http", ":authority: b", ":path: a"],
            [":method: GET", ":scheme: http", ":authority: b", ":path: *"],
            [":method: GET", ":scheme: http", ":authority: b", ":path: /\r\nx: y"],
            [":method: GET", ":scheme: http", ":authority: b c", ":path: /"],
            [":method: GET", ":scheme: http", ":authority: u@b", ":path: /"],
            [":method: G T", ":scheme: http", ":authority: b", ":path: /"],
            [":method: GET", ":scheme: http", ":authority: b"],
        ]
    )
    func refusedRequests(_ head: [String]) {
        let client = HTTP1TestSession(.client)
        client.request(head)
        client.pump()
        client.pump()
        #expect(client.heard == [.failure(.badRequest, 400)])
        #expect(client.hasWrittenNothing && client.shouldClose)
        #expect(client.arena.blocks.liveCount == 0)
    }

    @Test("Interim responses reach HTTP/1.1 peers only, and 101 nobody")
    func interim() {
        let server = HTTP1TestSession(.server)
        server.receive("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        server.respond([":status: 103", "link: x"], endStream: false)
        server.respond([":status: 101", "upgrade: x"], endStream: false)
        server.respond([":status: 100"], endStream: false)
        server.respond([":status: 204"])
        #expect(
            server.writtenText()
                == "HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n"
        )
        let old = HTTP1TestSession(.server)
        old.receive(HTTP1SendingTests.keepAlive10)
        old.respond([":status: 103", "link: x"], endStream: false)
        #expect(old.hasWrittenNothing)
        #expect(server.arena.blocks.liveCount == 0 && old.arena.blocks.liveCount == 0)
    }

    @Test("100 (Continue) is said once, and only while the body is awaited")
    func continues() {
        let head = "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n"
        let server = HTTP1TestSession(.server)
        server.receive(head)
        #expect(server.expectsContinue)
        server.session.sendContinue()
        server.session.sendContinue()
        server.respond([":status: 100"], endStream: false)
        #expect(server.writtenText() == "HTTP/1.1 100 Continue\r\n\r\n")

        let passed = HTTP1TestSession(.server)
        passed.receive(head)
        passed.respond([":status: 100"], endStream: false)
        passed.session.sendContinue()
        #expect(passed.writtenText() == "HTTP/1.1 100 Continue\r\n\r\n")

        let late = HTTP1TestSession(.server)
        late.receive(head + "a")
        late.session.sendContinue()
        #expect(!late.expectsContinue && late.hasWrittenNothing)

        let chunked = HTTP1TestSession(.server)
        chunked.receive(
            "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n"
        )
        #expect(chunked.expectsContinue)
        chunked.receive("1\r\n")
        #expect(!chunked.expectsContinue)

        let bodyless = HTTP1TestSession(.server)
        bodyless.receive("GET / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n\r\n")
        #expect(!bodyless.expectsContinue)
    }

    @Test("A response before the request's end closes the connection, and says so")
    func earlyResponse() {
        let server = HTTP1TestSession(.server)
        server.receive("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nabc")
        server.respond([":status: 413"])
        #expect(server.shouldClose)
        #expect(
            server.writtenText()
                == "HTTP/1.1 413 Content Too Large\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
        )
        server.receive("defghiGET / HTTP/1.1\r\nHost: a\r\n\r\n")
        #expect(server.heard == [HTTP1Heard.post("content-length: 9"), .body("abc")])
        #expect(server.wantsInput)
    }

    @Test("Draining adds close to the next head, or ends an idle connection")
    func drain() {
        let server = HTTP1TestSession(.server)
        server.receive("GET / HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n")
        server.session.closeAfterThisExchange()
        #expect(!server.shouldClose)
        server.respond([":status: 204"])
        server.pump()
        #expect(server.writtenText() == "HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n")
        #expect(server.shouldClose && server.heard.count == 2)
        let idle = HTTP1TestSession(.server)
        idle.session.closeAfterThisExchange()
        #expect(idle.shouldClose)
        let begun = HTTP1TestSession(.server)
        begun.receive("GET / HT")
        begun.session.closeAfterThisExchange()
        #expect(!begun.shouldClose)
        begun.receive("TP/1.1\r\nHost: a\r\n\r\n")
        begun.respond([":status: 204"])
        #expect(begun.shouldClose)
        let client = HTTP1TestSession(.client)
        client.request(method: "GET")
        client.session.closeAfterThisExchange()
        client.receive("HTTP/1.1 204 No Content\r\n\r\n")
        #expect(client.shouldClose)
    }

    @Test("A body longer or shorter than promised never ends cleanly")
    func mismatch() {
        let get = "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
        let long = HTTP1TestSession(.server)
        long.receive(get)
        long.respond([":status: 200", "content-length: 3"], endStream: false)
        long.send("ab")
        #expect(!long.bodyMismatch)
        long.send("cd", endStream: true)
        #expect(long.bodyMismatch && long.shouldClose && !long.isIdle)
        #expect(long.writtenText().hasSuffix("\r\n\r\nab"))
        #expect(long.send("more", endStream: true) == 4)
        #expect(long.hasWrittenNothing)

        let short = HTTP1TestSession(.server)
        short.receive(get)
        short.respond([":status: 200", "content-length: 3"], endStream: false)
        short.send("ab", endStream: true)
        #expect(short.bodyMismatch && short.shouldClose)

        let none = HTTP1TestSession(.server)
        none.receive(get)
        none.respond([":status: 200", "content-length: 3"])
        #expect(none.bodyMismatch && none.shouldClose)
        #expect(none.writtenText() == "HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\n")

        let trailed = HTTP1TestSession(.server)
        trailed.receive(get)
        trailed.respond([":status: 200", "content-length: 3"], endStream: false)
        trailed.send("ab")
        trailed.trailers(["x: y"])
        #expect(trailed.bodyMismatch && trailed.arena.blocks.liveCount == 0)
    }

    @Test("Trailers go out behind chunks, without what may not be there")
    func trailers() {
        let server = HTTP1TestSession(.server)
        server.receive("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        server.respond([":status: 200"], endStream: false)
        server.send("hi")
        _ = server.written()
        server.trailers(["grpc-status: 0", "content-length: 5", "set-cookie: x", "x: y"])
        #expect(server.writtenText() == "0\r\ngrpc-status: 0\r\nx: y\r\n\r\n")
        #expect(server.isIdle)
        server.receive("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        server.respond([":status: 200", "content-length: 2"], endStream: false)
        server.send("hi")
        _ = server.written()
        server.trailers(["x: y"])
        #expect(server.hasWrittenNothing && server.isIdle)
        #expect(!server.bodyMismatch && server.arena.blocks.liveCount == 0)
    }

    @Test("What is sent above the high water is owed until the output has drained")
    func owed() {
        let server = HTTP1TestSession(.server)
        let get = "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
        server.receive(get)
        server.respond([":status: 200"], endStream: false)
        let fragment = String(repeating: "x", count: 100_000)
        #expect(server.send(fragment) == 100_000)
        #expect(server.send(fragment) == 100_000)
        #expect(server.send(fragment) == 0)
        #expect(server.send("yy", endStream: true) == 0)
        server.receive(get)
        #expect(!server.isIdle && !server.wantsInput)
        server.session.output.consume(server.session.output.count - HTTP1Session.outputLowWater)
        server.pump()
        #expect(server.heard == [HTTP1Heard.get(), .end])
        server.session.output.consume(1)
        server.pump()
        #expect(
            server.heard
                == [HTTP1Heard.get(), .end, .drained(100_002), HTTP1Heard.get(), .end]
        )
    }
}
