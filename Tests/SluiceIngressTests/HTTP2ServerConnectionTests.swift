import SluiceCore
import SluiceHTTP
import SluiceIO
import SluiceIngress
import SluiceSimulation
import SluiceTestKit
import Testing

@Suite("A client's HTTP/2 connection")
struct HTTP2ServerConnectionTests {
    /// A scene with one client whose HTTP/2 is nghttp2's.
    private final class Scene {
        let base: IngressScene
        let peer: NghttpPeer
        let client: RawClient
        var handler: RecordingHandler { base.handler }

        init(
            settings: [(UInt32, UInt32)] = [],
            limits: IngressLimits = IngressLimits()
        ) throws {
            base = try IngressScene(limits: limits)
            let peer = NghttpPeer(.client, settings: settings, creditsByHand: true)
            self.peer = peer
            client = try base.connect()
            client.onReceive = { [unowned client] in
                peer.receive($0)
                client.say(peer.takeOutput())
            }
            flush()
        }

        /// Sends a request; its stream.
        func ask(
            _ path: String,
            _ fields: [(String, String)] = [],
            body: [UInt8]? = nil
        ) -> Int32 {
            let head = [
                (":method", body == nil ? "GET" : "POST"), (":scheme", "http"),
                (":authority", "a"), (":path", path),
            ]
            let id = peer.request((head + fields).map { HeaderField($0.0, $0.1) }, body: body)
            flush()
            return id
        }

        func flush() { client.say(peer.takeOutput()) }
        func pass(_ milliseconds: Int) throws { try base.pass(milliseconds) }
        func end() throws -> [String] { try base.end(client) }

        func status(_ id: Int32) -> String? {
            peer.messages[id]?.head.first { $0.name == ":status" }?.value
        }
    }

    @Test("Requests begin together and are answered in any order")
    func together() throws {
        let scene = try Scene()
        let ids = [scene.ask("/1"), scene.ask("/2", body: [1, 2, 3]), scene.ask("/3")]
        try scene.pass(20)
        #expect(
            scene.handler.events == [
                "began 1 GET /1 end", "began 2 POST /2", "body 2 3 end", "began 3 GET /3 end",
            ]
        )
        for number in [3, 1, 2] { scene.handler.answer(number, "answer \(number)") }
        try scene.pass(20)
        for (index, id) in ids.enumerated() {
            let message = try #require(scene.peer.messages[id])
            #expect(message.isComplete && scene.status(id) == "200")
            #expect(message.body == Array("answer \(index + 1)".utf8))
        }
        #expect(scene.base.events == ["openedHTTP2"])
        #expect(try scene.end() == [])
    }

    @Test("A reset stream's request is aborted, alone")
    func reset() throws {
        let scene = try Scene()
        let (first, second) = (scene.ask("/1"), scene.ask("/2"))
        try scene.pass(20)
        scene.peer.reset(first, code: 8)
        scene.flush()
        try scene.pass(20)
        #expect(scene.handler.events.last == "aborted 1 clientGone")
        scene.handler.answer(2)
        try scene.pass(20)
        #expect(scene.status(second) == "200" && scene.status(first) == nil)
        #expect(try scene.end() == [])
    }

    @Test("A closed connection aborts each open request once, and none that was answered")
    func closed() throws {
        let scene = try Scene()
        for path in ["/1", "/2", "/3"] { _ = scene.ask(path) }
        try scene.pass(20)
        scene.handler.answer(2)
        try scene.pass(20)
        scene.client.close()
        try scene.pass(20)
        let aborted = scene.handler.events.filter { $0.hasPrefix("aborted") }
        #expect(aborted.sorted() == ["aborted 1 clientGone", "aborted 3 clientGone"])
        #expect(try scene.end() == [])
    }

    @Test("The client's window opens as the handler lets bytes go, not before")
    func window() throws {
        let scene = try Scene()
        scene.handler.consumes = false
        let id = scene.ask("/", body: [UInt8](repeating: 7, count: 3 << 20))
        try scene.pass(5_000)
        let held = scene.handler.bodies[1] ?? 0
        #expect(held > 0 && held < 3 << 20 && scene.peer.sendWindow(stream: id) == 0)
        try scene.pass(5_000)
        #expect(scene.handler.bodies[1] == held)
        scene.handler.consumes = true
        scene.handler[1]?.consumed(held)
        try scene.pass(5_000)
        #expect(scene.handler.events.last == "body 1 \(3 << 20) end")
        #expect(try scene.end() == [])
    }

    @Test("An answer waits for its client's window, and what has waited is reported as it goes")
    func answerWindow() throws {
        let scene = try Scene(settings: [(4, 1_000)])
        let id = scene.ask("/")
        try scene.pass(20)
        let sent = scene.handler.begin(1, count: 2_500)
        try scene.pass(20)
        #expect(scene.peer.messages[id]?.body.count == 1_000)
        #expect(sent + (scene.handler.drained[1] ?? 0) == 1_000)
        scene.peer.consume(1_000, stream: id)
        scene.flush()
        try scene.pass(20)
        #expect(sent + (scene.handler.drained[1] ?? 0) == 2_000)
        scene.peer.consume(1_000, stream: id)
        scene.flush()
        try scene.pass(20)
        #expect(sent + (scene.handler.drained[1] ?? 0) == 2_500)
        #expect(try scene.end() == [])
    }

    @Test("An answer whose client gives no window is given up, and others on its connection aren't")
    func zeroWindow() throws {
        let scene = try Scene(settings: [(4, 0)])
        let (stuck, good) = (scene.ask("/stuck"), scene.ask("/good"))
        try scene.pass(20)
        _ = scene.handler.begin(1, count: 10)
        try scene.pass(29_000)
        #expect(!scene.handler.events.contains("aborted 1 tooSlow"))
        try scene.pass(17_000)
        #expect(scene.handler.events.last == "aborted 1 tooSlow")
        #expect(scene.base.abuse(.zeroWindow) == 1)
        // CANCEL, RFC 9113 §7.
        #expect(scene.peer.messages[stuck]?.resetCode == 8)
        scene.handler.answer(2, "")
        try scene.pass(20)
        #expect(scene.status(good) == "200")
        #expect(try scene.end() == [])
    }

    // MARK: - Continue

    @Test("A client that waits is told to continue once, on its own stream")
    func expects() throws {
        let scene = try Scene()
        let id = scene.ask("/", [("expect", "100-Continue")], body: [1, 2])
        let other = scene.ask("/other")
        try scene.pass(20)
        let exchange = try #require(scene.handler[1])
        #expect(exchange.expectsContinue && scene.handler[2]?.expectsContinue == false)
        exchange.sendContinue()
        exchange.sendContinue()
        scene.handler[2]?.sendContinue()
        try scene.pass(20)
        #expect(scene.peer.messages[id]?.interims == [[HeaderField(":status", "100")]])
        #expect(scene.peer.messages[other]?.interims ?? [] == [])
        #expect(try scene.end() == [])
    }

    @Test(
        "An expectation that isn't known is refused with 417, and no request begins (RFC 9110 §10.1.1)"
    )
    func unknownExpectation() throws {
        let scene = try Scene()
        let id = scene.ask("/", [("expect", "a-miracle")])
        try scene.pass(20)
        #expect(scene.handler.events == ["unreadable - 417"] && scene.status(id) == "417")
        let body = String(decoding: scene.peer.messages[id]?.body ?? [], as: UTF8.self)
        #expect(body.contains("100-continue"))
        #expect(try scene.end() == [])
    }

    // MARK: - Slowness and abuse

    @Test("Streams that are opened and reset at once are cut off and counted")
    func rapidReset() throws {
        let scene = try Scene()
        for _ in 0..<400 {
            let id = scene.ask("/")
            guard id > 0 else { break }
            scene.peer.reset(id, code: 8)
            scene.flush()
            try scene.pass(1)
        }
        try scene.pass(100)
        #expect(scene.base.abuse(.rapidReset) == 1)
        #expect(scene.client.hasEnded && scene.base.listener.connectionCount == 0)
        // ENHANCE_YOUR_CALM, RFC 9113 §7.
        #expect(scene.peer.goAways.last?.code == 11)
        let began = scene.handler.events.count { $0.hasPrefix("began") }
        #expect(scene.handler.events.count { $0.hasPrefix("aborted") } == began)
        #expect(try scene.end() == [])
    }

    @Test("A client that never acknowledges our SETTINGS is cut off after ten seconds")
    func settings() throws {
        let base = try IngressScene()
        // The preface and empty SETTINGS, and not a word more.
        let client = try base.connect(
            "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\u{0}\u{0}\u{0}\u{4}\u{0}\u{0}\u{0}\u{0}\u{0}"
        )
        try base.pass(9_000)
        #expect(!client.hasEnded && base.abuse(.settingsTimeout) == 0)
        try base.pass(2_000)
        #expect(client.hasEnded && base.abuse(.settingsTimeout) == 1)
        #expect(try base.end(client) == [])
    }

    @Test(
        "A silent client with an open request is asked by PING after 30 s, and goes on if it answers"
    )
    func pinged() throws {
        let scene = try Scene()
        _ = scene.ask("/")
        try scene.pass(29_000)
        #expect(scene.peer.pingCount == 0)
        try scene.pass(2_000)
        #expect(scene.peer.pingCount == 1)
        try scene.pass(20_000)
        #expect(scene.handler.events.count == 1 && !scene.client.hasEnded)
        // From here on it hears nothing.
        scene.client.onReceive = { _ in }
        try scene.pass(45_000)
        #expect(scene.handler.events.last == "aborted 1 clientGone")
        #expect(scene.base.listener.connectionCount == 0)
        #expect(try scene.end() == [])
    }

    @Test("A connection at rest ends after the idle time, by GOAWAY without a fault")
    func idle() throws {
        let scene = try Scene()
        _ = scene.ask("/")
        try scene.pass(20)
        scene.handler.answer(1)
        try scene.pass(59_500)
        #expect(!scene.client.hasEnded)
        try scene.pass(1_000)
        #expect(scene.client.hasEnded && scene.peer.goAways.last == .init(last: 1, code: 0))
        #expect(scene.base.events == ["openedHTTP2", "closedHTTP2"])
        #expect(try scene.end() == [])
    }

    @Test("A drain is announced, takes what is on its way, and closes when all is answered")
    func drains() throws {
        let scene = try Scene()
        _ = scene.ask("/1")
        try scene.pass(20)
        scene.base.listener.drain(isFinal: false)
        try scene.pass(20)
        #expect(scene.peer.goAways.map(\.last) == [0x7FFF_FFFF])
        scene.base.listener.drain(isFinal: true)
        try scene.pass(20)
        #expect(scene.peer.goAways.last == .init(last: 1, code: 0) && !scene.client.hasEnded)
        scene.handler.answer(1)
        try scene.pass(20)
        #expect(scene.client.hasEnded && scene.status(1) == "200")
        #expect(try scene.end() == [])
    }
}
