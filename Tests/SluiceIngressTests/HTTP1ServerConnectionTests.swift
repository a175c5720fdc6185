import SluiceCore
import SluiceHTTP
import SluiceIO
import SluiceIngress
import SluiceSimulation
import Testing

@Suite("A client's HTTP/1.1 connection")
struct HTTP1ServerConnectionTests {
    private static func get(_ path: String, _ fields: String = "") -> String {
        "GET \(path) HTTP/1.1\r\nhost: a\r\n\(fields)\r\n"
    }

    private static func post(_ length: Int, _ fields: String = "") -> String {
        "POST /p HTTP/1.1\r\nhost: a\r\ncontent-length: \(length)\r\n\(fields)\r\n"
    }

    // MARK: - One after the other

    @Test("Pipelined requests begin one after the other, each when the one before it is answered")
    func pipelining() throws {
        let scene = try IngressScene()
        let client = try scene.connect(Self.get("/1") + Self.get("/2") + Self.get("/3"))
        try scene.pass(20)
        #expect(scene.handler.events == ["began 1 GET /1 end"])
        scene.handler.answer(1, "one")
        try scene.pass(20)
        #expect(scene.handler.events.last == "began 2 GET /2 end")
        scene.handler.answer(2, "two")
        try scene.pass(20)
        scene.handler.answer(3, "three")
        try scene.pass(20)
        #expect(client.statuses == ["200", "200", "200"] && client.text.hasSuffix("three"))
        let order = ["one", "two", "three"].compactMap { client.text.firstRange(of: $0) }
        #expect(order.count == 3 && order[0].lowerBound < order[1].lowerBound)
        #expect(scene.listener.connectionCount == 1 && !client.hasEnded)
        #expect(try scene.end(client) == [])
    }

    @Test(
        "An answer before the body's end costs the connection: what follows can't be told from the body"
    )
    func early() throws {
        let scene = try IngressScene()
        let client = try scene.connect(Self.post(10) + "01234")
        try scene.pass(20)
        scene.handler.answer(1)
        client.say("56789" + Self.get("/next"))
        try scene.pass(20)
        // The rest was no event of a request that is over.
        #expect(scene.handler.events == ["began 1 POST /p"] && scene.handler.bodies == [1: 5])
        #expect(client.statuses == ["200"] && client.hasEnded && !client.isBroken)
        #expect(try scene.end(client) == [])
    }

    @Test("A client that says close is answered and closed; the observer hears of both ends")
    func closes() throws {
        let scene = try IngressScene()
        let client = try scene.connect(Self.get("/", "connection: close\r\n"))
        try scene.pass(20)
        scene.handler.answer(1)
        try scene.pass(20)
        #expect(client.statuses == ["200"] && client.hasEnded && !client.isBroken)
        #expect(client.text.contains("connection: close"))
        #expect(scene.events == ["openedHTTP1", "closedHTTP1"])
        #expect(try scene.end(client) == [])
    }

    @Test("A client that leaves in the middle is told of as gone, once, and nothing after that")
    func leaves() throws {
        let scene = try IngressScene()
        let client = try scene.connect(Self.post(10) + "012")
        try scene.pass(20)
        client.close()
        try scene.pass(20)
        #expect(scene.handler.events == ["began 1 POST /p", "aborted 1 clientGone"])
        #expect(scene.listener.connectionCount == 0)
        #expect(try scene.end() == [])
    }

    @Test(
        "A FIN behind a whole last request waits for its answer; behind one to be kept it ends all"
    )
    func halfClose() throws {
        for (fields, isKept) in [("connection: close\r\n", false), ("", true)] {
            let scene = try IngressScene()
            let client = try scene.connect(Self.get("/", fields))
            try scene.pass(5)
            client.finish()
            try scene.pass(20)
            let wasAborted = scene.handler.events.contains("aborted 1 clientGone")
            #expect(wasAborted == isKept, "\(fields)")
            #expect(scene.handler.answer(1) == (isKept ? -1 : 5))
            try scene.pass(20)
            #expect(scene.listener.connectionCount == 0)
            #expect(try scene.end(client) == [])
        }
    }

    // MARK: - Continue

    @Test(
        "A client that waits is told to continue once, when the handler says so, and isn't slow till then"
    )
    func expects() throws {
        let scene = try IngressScene()
        let client = try scene.connect(Self.post(5, "expect: 100-continue\r\n"))
        try scene.pass(40_000)
        #expect(scene.handler.events == ["began 1 POST /p"])
        let exchange = try #require(scene.handler[1])
        #expect(exchange.expectsContinue && client.text.isEmpty)
        // A loop's time is that of its last tick, and this is called from outside.
        scene.world.tickAll()
        exchange.sendContinue()
        exchange.sendContinue()
        try scene.pass(20)
        #expect(client.text == "HTTP/1.1 100 Continue\r\n\r\n" && !exchange.expectsContinue)
        client.say("hello")
        try scene.pass(20)
        #expect(scene.handler.events.last == "body 1 5 end")
        scene.handler.answer(1)
        try scene.pass(20)
        #expect(client.statuses == ["100", "200"])
        #expect(try scene.end(client) == [])
    }

    @Test("Told to continue, it has to")
    func continuesNever() throws {
        let scene = try IngressScene()
        let client = try scene.connect(Self.post(5, "expect: 100-continue\r\n"))
        try scene.pass(20)
        scene.handler[1]?.sendContinue()
        try scene.pass(31_000)
        #expect(scene.handler.events.last == "aborted 1 tooSlow")
        #expect(scene.abuse(.slowBody) == 1)
        #expect(try scene.end(client) == [])
    }

    // MARK: - Slowness

    @Test("A connection at rest ends after the idle time, and that is no abuse")
    func idle() throws {
        let scene = try IngressScene()
        let client = try scene.connect(Self.get("/"))
        try scene.pass(20)
        scene.handler.answer(1)
        try scene.pass(59_000)
        #expect(!client.hasEnded)
        // Another request begins the time anew.
        client.say(Self.get("/"))
        try scene.pass(20)
        scene.handler.answer(2)
        try scene.pass(59_000)
        #expect(!client.hasEnded)
        try scene.pass(1_100)
        #expect(client.hasEnded && !client.isBroken)
        #expect(scene.events == ["openedHTTP1", "closedHTTP1"])
        #expect(try scene.end(client) == [])
    }

    @Test(
        "A head that is dribbled is answered 408 when its time is over, whatever comes in between"
    )
    func slowHead() throws {
        let scene = try IngressScene()
        let client = try scene.connect("GET / HTTP/1.1\r\nhost: a\r\nx: ")
        for _ in 0..<9 {
            try scene.pass(1_000)
            client.say("y")
        }
        #expect(client.text.isEmpty)
        try scene.pass(1_100)
        #expect(client.statuses == ["408"] && client.hasEnded)
        #expect(scene.abuse(.slowHead) == 1 && scene.handler.events.isEmpty)
        #expect(try scene.end(client) == [])
    }

    @Test(
        "A body below 1 KiB a second is given up, one above isn't",
        arguments: [(900, true), (1_100, false)]
    )
    func slowBody(bytesPerSecond: Int, isTooSlow: Bool) throws {
        let scene = try IngressScene()
        let client = try scene.connect(Self.post(1_000_000))
        for _ in 0..<65 {
            client.say([UInt8](repeating: 65, count: bytesPerSecond))
            try scene.pass(1_000)
        }
        #expect(scene.handler.events.contains("aborted 1 tooSlow") == isTooSlow)
        #expect(scene.abuse(.slowBody) == (isTooSlow ? 1 : 0))
        #expect(try scene.end(client) == [])
    }

    @Test("A body that the handler holds back isn't its client's slowness")
    func heldBack() throws {
        let scene = try IngressScene()
        scene.handler.consumes = false
        let client = try scene.connect(Self.post(10) + "01234")
        try scene.pass(65_000)
        #expect(scene.handler.events == ["began 1 POST /p"])
        // From here on it is.
        scene.handler[1]?.consumed(5)
        try scene.pass(65_000)
        #expect(scene.handler.events.last == "aborted 1 tooSlow")
        #expect(try scene.end(client) == [])
    }

    @Test("A client that reads nothing of its answer is a slow reader")
    func slowReader() throws {
        var plan = FaultPlan()
        plan.buffer = 4_096...4_096
        let scene = try IngressScene(plan)
        let client = try scene.connect(Self.get("/"))
        client.stream?.setReading(false)
        try scene.pass(20)
        #expect(scene.handler.begin(1, count: 1_000_000) < 1_000_000)
        try scene.pass(31_000)
        #expect(scene.handler.events.last == "aborted 1 tooSlow")
        #expect(scene.abuse(.slowReader) == 1)
        #expect(try scene.end(client) == [])
    }

    // MARK: - Pressure

    @Test("Reading stops while the handler holds 256 KiB of a body, and goes on when they moved on")
    func bodyPressure() throws {
        let scene = try IngressScene()
        scene.handler.consumes = false
        let client = try scene.connect(Self.post(3 << 20))
        client.say([UInt8](repeating: 65, count: 3 << 20))
        try scene.pass(5_000)
        let held = scene.handler.bodies[1] ?? 0
        // Behind the mark at most one more read, which has 256 KiB.
        #expect(held >= 256 << 10 && held <= 512 << 10)
        scene.handler.consumes = true
        scene.handler[1]?.consumed(held)
        try scene.pass(5_000)
        #expect(scene.handler.events.last == "body 1 \(3 << 20) end")
        #expect(try scene.end(client) == [])
    }

    @Test("What is left over of an answer is reported as it moves on, all of it once")
    func answerPressure() throws {
        var plan = FaultPlan()
        plan.buffer = 4_096...4_096
        let scene = try IngressScene(plan)
        let client = try scene.connect(Self.get("/"))
        client.stream?.setReading(false)
        try scene.pass(20)
        let sent = scene.handler.begin(1, count: 500_000)
        try scene.pass(1_000)
        let before = scene.handler.drained[1] ?? 0
        #expect(sent + before < 500_000)
        client.stream?.setReading(true)
        try scene.pass(10_000)
        #expect(sent + (scene.handler.drained[1] ?? 0) == 500_000)
        #expect(try scene.end(client) == [])
    }

    // MARK: - Nonsense

    @Test("What isn't HTTP behind a request is answered behind its answer, and ends the connection")
    func nonsenseBehind() throws {
        let scene = try IngressScene()
        let client = try scene.connect(Self.get("/") + "NONSENSE\r\n\r\n" + Self.get("/never"))
        try scene.pass(20)
        #expect(scene.handler.events == ["began 1 GET / end"])
        scene.handler.answer(1)
        try scene.pass(20)
        #expect(client.statuses == ["200", "400"] && client.hasEnded)
        #expect(scene.handler.events == ["began 1 GET / end", "unreadable - 400"])
        #expect(try scene.end(client) == [])
    }

    @Test(
        "A body that breaks off in nonsense aborts its request as the client's fault, and is told so"
    )
    func brokenChunk() throws {
        let scene = try IngressScene()
        let client = try scene.connect(
            "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\nzz\r\n"
        )
        try scene.pass(20)
        #expect(
            scene.handler.events == [
                "began 1 POST /", "unreadable - 400", "aborted 1 protocolError",
            ]
        )
        #expect(client.statuses == ["400"] && client.hasEnded)
        #expect(try scene.end(client) == [])
    }

    @Test("A head beyond the limit is answered 431 and counted")
    func largeHead() throws {
        var limits = IngressLimits()
        limits.maxHeaderBytes = 1_000
        let scene = try IngressScene(limits: limits)
        let client = try scene.connect(
            Self.get("/", "x: " + String(repeating: "y", count: 2_000) + "\r\n")
        )
        try scene.pass(20)
        #expect(client.statuses == ["431"] && client.hasEnded && scene.abuse(.largeHead) == 1)
        #expect(try scene.end(client) == [])
    }

    // MARK: - Drain

    @Test(
        "While it drains an answer says close, and a connection at rest goes after a second of quiet"
    )
    func drains() throws {
        let scene = try IngressScene()
        let busy = try scene.connect(Self.get("/"))
        try scene.pass(20)
        let resting = try scene.connect(Self.get("/"))
        try scene.pass(20)
        scene.handler.answer(2)
        try scene.pass(100)
        scene.listener.drain(isFinal: false)
        try scene.pass(500)
        #expect(!resting.hasEnded)
        try scene.pass(700)
        #expect(resting.hasEnded && !busy.hasEnded)
        scene.handler.answer(1)
        try scene.pass(20)
        #expect(busy.text.contains("connection: close") && busy.hasEnded)
        #expect(try scene.end(busy, resting) == [])
    }

    @Test("An answer that is sent twice ends the process")
    func twice() async {
        await #expect(processExitsWith: .failure) {
            let scene = try IngressScene()
            let client = try scene.connect("GET / HTTP/1.1\r\nhost: a\r\n\r\n")
            try scene.pass(20)
            let exchange = try #require(scene.handler[1])
            scene.handler.answer(1)
            let head = scene.handler.arena.blocks.take()
            head.append(status: 200)
            exchange.sendHead(head, endStream: true)
            client.close()
        }
    }
}
