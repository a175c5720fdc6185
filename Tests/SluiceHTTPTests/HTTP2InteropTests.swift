import SluiceCore
import SluiceHTTP
import SluiceTestKit
import Testing

private let sizes = [0, 1, 16_383, 16_384, 16_385, 65_535, 65_536, 200_000, 1 << 20]
private let smallSizes = [0, 1, 9, 300, 16_385]
private let trailer = [HeaderField("grpc-status", "0"), HeaderField("x-end", "yes")]

/// One shape of exchange, for tables.
struct Transfer: Sendable, CustomTestStringConvertible {
    var size: Int
    var hasTrailers = false
    var padding = 0
    var cut = Cut.whole

    static let all: [Transfer] =
        sizes.flatMap { size in
            [
                Transfer(size: size), Transfer(size: size, hasTrailers: true),
                Transfer(size: size, padding: 255),
                Transfer(size: size, hasTrailers: true, padding: 7, cut: .random(seed: 9)),
            ]
        }
        + smallSizes.map { Transfer(size: $0, hasTrailers: true, padding: 3, cut: .bytewise) }

    var testDescription: String { "\(size) bytes, trailers \(hasTrailers), \(padding), \(cut)" }
}

@Suite("HTTP/2 against nghttp2")
struct HTTP2InteropTests {
    /// Answers each request with its own body, and trailers when it had some.
    static func echo(_ server: TestSession, _ event: TestSession.Event) {
        let id: UInt32
        switch event {
        case .head(let stream, _, end: true): id = stream
        case .data(let stream, _, end: true): id = stream
        case .trailers(let stream, _): id = stream
        default: return
        }
        guard let message = server.messages[id] else { return }
        server.respond(
            id,
            TestSession.status(200, [HeaderField("content-type", "application/grpc")]),
            body: message.body,
            trailers: message.trailers
        )
    }

    @Test("Our server gives an nghttp2 client back what it sent", arguments: Transfer.all)
    func serverEchoes(transfer: Transfer) {
        let server = TestSession(.server)
        server.onEvent = HTTP2InteropTests.echo
        let client = NghttpPeer(.client, padding: transfer.padding)
        let body = TestSession.body(transfer.size)
        let id = client.request(
            TestSession.post(length: transfer.size),
            body: body,
            trailers: transfer.hasTrailers ? trailer : nil
        )
        exchange(server, client, cut: transfer.cut)
        #expect(server.failure == nil)
        #expect(server.violations == [])
        #expect(server.messages[UInt32(id)]?.body == body)
        #expect(client.messages[id]?.body == body)
        #expect(client.messages[id]?.trailers == (transfer.hasTrailers ? trailer : nil))
        #expect(client.messages[id]?.isComplete == true)
        #expect(client.closed.contains(id))
        expectQuiet(server)
    }

    @Test("An nghttp2 server gives our client back what it sent", arguments: Transfer.all)
    func clientReceives(transfer: Transfer) throws {
        let client = TestSession(.client)
        let server = NghttpPeer(.server, padding: transfer.padding)
        let body = TestSession.body(transfer.size)
        let id = try #require(
            client.request(
                TestSession.post(length: transfer.size),
                body: body,
                trailers: transfer.hasTrailers ? trailer : nil
            )
        )
        exchange(client, server, cut: transfer.cut)
        let heard = try #require(server.messages[Int32(id)])
        #expect(heard.body == body)
        #expect(heard.trailers == (transfer.hasTrailers ? trailer : nil))
        #expect(heard.isComplete)
        server.interim(Int32(id), TestSession.status(103, [HeaderField("link", "</a>")]))
        server.respond(
            Int32(id),
            TestSession.status(200, [HeaderField("content-length", "\(transfer.size)")]),
            body: body,
            trailers: transfer.hasTrailers ? trailer : nil
        )
        exchange(client, server, cut: transfer.cut)
        #expect(client.failure == nil)
        #expect(client.violations == [])
        let message = try #require(client.messages[id])
        #expect(message.interims.count == 1)
        #expect(message.body == body)
        #expect(message.trailers == (transfer.hasTrailers ? trailer : nil))
        #expect(message.isComplete)
        expectQuiet(client)
    }

    @Test(
        "However the bytes are cut, the events are the same",
        arguments: smallSizes,
        [0, 100]
    )
    func cutsDoNotMatter(size: Int, padding: Int) {
        let server = TestSession(.server)
        server.onEvent = HTTP2InteropTests.echo
        let client = NghttpPeer(.client, padding: padding)
        for index in 0..<3 {
            client.request(
                TestSession.post("/\(index)"),
                body: TestSession.body(size, seed: UInt64(index)),
                trailers: index == 1 ? trailer : nil
            )
        }
        exchange(server, client)
        client.ping([1, 2, 3, 4, 5, 6, 7, 8])
        let reset = client.request(TestSession.post("/gone"), body: nil, trailers: trailer)
        client.reset(reset, code: 8)
        client.goAway(last: 0)
        exchange(server, client)
        #expect(server.events.contains(.goAway(0, .noError)))
        let bytes = server.heard
        var cuts: [Cut] = [.bytewise] + (0..<8).map { .random(seed: $0) }
        if bytes.count < 2000 { cuts += (0..<bytes.count).map { .at($0) } }
        for cut in cuts {
            let second = TestSession(.server)
            second.onEvent = HTTP2InteropTests.echo
            second.receive(bytes, cut: cut)
            #expect(second.events == server.events, "cut \(cut)")
            #expect(second.violations == [])
        }
    }

    @Test("A head too large for one frame travels in CONTINUATION frames, both ways")
    func largeHeads() throws {
        // Letters that Huffman coding can't shorten much, in fields too long for the table.
        let fields = (0..<6).map { index in
            HeaderField("x-large-\(index)", String(repeating: "#~@{}|\\^", count: 700 + index))
        }
        var settings = HTTP2Settings()
        settings.maxHeaderListSize = 256 << 10
        let server = TestSession(.server, settings: settings)
        server.onEvent = { server, event in
            guard case .head(let id, let head, end: true) = event else { return }
            server.respond(id, TestSession.status(200, Array(head[4...])))
        }
        let client = NghttpPeer(.client)
        let id = client.request(TestSession.get() + fields)
        exchange(server, client, cut: .random(seed: 4))
        #expect(server.messages[UInt32(id)]?.head == TestSession.get() + fields)
        #expect(client.messages[id]?.head == TestSession.status(200, fields))
        expectQuiet(server)

        let ours = TestSession(.client, settings: settings)
        let peer = NghttpPeer(.server)
        let stream = try #require(ours.request(TestSession.get() + fields))
        exchange(ours, peer)
        #expect(peer.messages[Int32(stream)]?.head == TestSession.get() + fields)
        peer.respond(Int32(stream), TestSession.status(200, fields))
        exchange(ours, peer, cut: .bytewise)
        #expect(ours.messages[stream]?.head == TestSession.status(200, fields))
        expectQuiet(ours)
    }

    @Test("A hundred streams at once keep their bodies apart", arguments: [1, 1000, 40_000])
    func manyStreams(size: Int) {
        let server = TestSession(.server)
        server.onEvent = HTTP2InteropTests.echo
        let client = NghttpPeer(.client)
        var bodies: [Int32: [UInt8]] = [:]
        for index in 0..<100 {
            let body = TestSession.body(size, seed: UInt64(index))
            bodies[client.request(TestSession.post(), body: body)] = body
        }
        exchange(server, client, cut: .random(seed: 2))
        #expect(bodies.count == 100)
        for (id, body) in bodies { #expect(client.messages[id]?.body == body) }
        expectQuiet(server)
    }

    @Test("PING comes back with its octets")
    func ping() {
        let server = TestSession(.server)
        let client = NghttpPeer(.client)
        client.ping([9, 8, 7, 6, 5, 4, 3, 2])
        exchange(server, client)
        #expect(client.acknowledgedPings == [[9, 8, 7, 6, 5, 4, 3, 2]])
        #expect(client.settingsAcknowledgements == 1)
        #expect(server.isSettingsAcknowledged)
    }

    @Test("An early answer, then a reset, leaves the connection in use")
    func earlyResponse() {
        let server = TestSession(.server)
        server.onEvent = { server, event in
            guard case .head(let id, let head, _) = event, head[3].value == "/early" else {
                return HTTP2InteropTests.echo(server, event)
            }
            server.respond(id, TestSession.status(413))
            server.reset(id, .noError)
        }
        let client = NghttpPeer(.client)
        for _ in 0..<40 {
            let early = client.request(
                TestSession.post("/early"),
                body: TestSession.body(300_000)
            )
            let body = TestSession.body(1000)
            let next = client.request(TestSession.post("/next"), body: body)
            exchange(server, client)
            #expect(client.messages[early]?.head == TestSession.status(413))
            #expect(client.messages[next]?.body == body)
        }
        #expect(server.failure == nil)
        expectQuiet(server)
    }

    @Test("Responses that never have content may promise some", arguments: ["HEAD", "304"])
    func promiseWithoutBody(kind: String) throws {
        for endsWithData in [false, true] {
            let client = TestSession(.client)
            let server = NghttpPeer(.server)
            var head = TestSession.get()
            if kind == "HEAD" { head[0].value = "HEAD" }
            let id = try #require(client.request(head))
            exchange(client, server)
            server.respond(
                Int32(id),
                TestSession.status(
                    kind == "304" ? 304 : 200,
                    [HeaderField("content-length", "12345")]
                ),
                body: endsWithData ? [] : nil
            )
            exchange(client, server)
            #expect(client.messages[id]?.isComplete == true)
            #expect(client.messages[id]?.resetCode == nil)
            expectQuiet(client)
        }
    }

    @Test("GOAWAY loses the streams above its last, each told once, and keeps the others")
    func goAwayRefuses() throws {
        let client = TestSession(.client)
        let server = NghttpPeer(.server)
        let ids = try (0..<5).map { _ in
            try #require(client.request(TestSession.post(), body: TestSession.body(10)))
        }
        exchange(client, server)
        server.announceShutdown()
        exchange(client, server)
        #expect(client.events.last == .goAway(0x7FFF_FFFF, .noError))
        #expect(!client.canOpenStream)
        #expect(client.request(TestSession.get()) == nil)
        server.goAway(last: Int32(ids[1]))
        exchange(client, server)
        let resets = client.events.suffix(3)
        #expect(Array(resets) == ids[2...].map { .reset($0, .refusedStream) })
        server.respond(Int32(ids[0]), TestSession.status(200))
        server.respond(Int32(ids[1]), TestSession.status(200))
        exchange(client, server)
        #expect(client.messages[ids[0]]?.isComplete == true)
        #expect(client.messages[ids[1]]?.isComplete == true)
        #expect(client.violations == [])
        #expect(client.isFinished)
        expectQuiet(client)
    }

    @Test("Our GOAWAY comes in two steps, and refuses only after the second")
    func goAwayGraceful() {
        let server = TestSession(.server)
        let client = NghttpPeer(.client)
        let first = client.request(TestSession.get())
        exchange(server, client)
        server.session.sendGoAway(isFinal: false)
        let second = client.request(TestSession.get())
        server.receive(client.takeOutput())
        #expect(server.messages[UInt32(second)] != nil)
        server.session.sendGoAway(isFinal: true)
        server.session.sendGoAway(isFinal: true)
        exchange(server, client)
        #expect(
            client.goAways == [
                NghttpPeer.GoAway(last: 0x7FFF_FFFF, code: 0),
                NghttpPeer.GoAway(last: UInt32(second), code: 0),
            ]
        )
        #expect(!server.isFinished)
        for id in [first, second] { server.respond(UInt32(id), TestSession.status(200)) }
        exchange(server, client)
        #expect(server.isFinished)
        #expect(client.isFinished)
    }

    @Test("A reset ends the stream at once, whoever sends it", arguments: [0, 100, 500_000])
    func resets(size: Int) {
        let server = TestSession(.server)
        server.consumesAtOnce = false
        let client = NghttpPeer(.client)
        let theirs = client.request(TestSession.post(), body: TestSession.body(size))
        let ours = client.request(TestSession.post(), body: TestSession.body(size))
        exchange(server, client)
        client.reset(theirs, code: 8)
        server.reset(UInt32(ours), .enhanceYourCalm)
        exchange(server, client)
        #expect(server.events.contains(.reset(UInt32(theirs), .cancel)))
        #expect(client.messages[ours]?.resetCode == HTTP2ErrorCode.enhanceYourCalm.rawValue)
        #expect(server.failure == nil)
        expectQuiet(server)
    }

    @Test("A limit on streams that shrinks holds for the next stream")
    func concurrencyShrinks() throws {
        let client = TestSession(.client)
        let server = NghttpPeer(.server, settings: [(3, 10)])
        exchange(client, server)
        let ids = try (0..<10).map { _ in try #require(client.request(TestSession.get())) }
        #expect(client.request(TestSession.get()) == nil)
        server.submitSettings([(3, 2)])
        exchange(client, server)
        for id in ids[2...] { server.respond(Int32(id), TestSession.status(204)) }
        exchange(client, server)
        #expect(client.request(TestSession.get()) == nil)
        server.respond(Int32(ids[0]), TestSession.status(204))
        exchange(client, server)
        #expect(client.request(TestSession.get()) != nil)
        #expect(client.failure == nil)
    }
}

/// Nothing may be left over once every stream is done.
func expectQuiet(
    _ session: TestSession,
    sourceLocation: SourceLocation = #_sourceLocation
) {
    session.session.reap()
    #expect(session.violations == [], sourceLocation: sourceLocation)
    #expect(session.openStreamCount == 0, sourceLocation: sourceLocation)
    #expect(session.arena.openStreamCount == 0, sourceLocation: sourceLocation)
    #expect(session.arena.blocks.liveCount == 0, sourceLocation: sourceLocation)
    #expect(session.outputCount == 0, sourceLocation: sourceLocation)
    #expect(!session.isMidFrame, sourceLocation: sourceLocation)
}
