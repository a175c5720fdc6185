import SluiceCore
import SluiceHTTP
import SluiceIO
import SluiceSimulation
import Testing

@Suite("Client connections, to their very end")
struct IngressLifetimeTests {
    private static let address = SocketAddress.loopback(port: 80)
    private static let get = Array("GET / HTTP/1.1\r\nhost: a\r\n\r\n".utf8)

    private struct Scene {
        let world = World(seed: 1)
        let server: Answerer
        let serverKernel: SimulatedKernel
        let clientLoop: EventLoop

        init(
            delay: Duration?,
            reply: Answerer.Reply = .hello,
            buffer: Int = 65_536
        ) throws {
            let (loop, kernel) = world.makeLoop(name: "server")
            serverKernel = kernel
            clientLoop = world.makeLoop(name: "client").loop
            var plan = FaultPlan()
            plan.buffer = buffer...buffer
            world.network.use(plan, for: IngressLifetimeTests.address)
            server = try Answerer(
                loop: loop,
                on: IngressLifetimeTests.address,
                reply: reply,
                delay: delay
            )
        }

        func connect(saying bytes: [UInt8]) throws -> RawPeer {
            try RawPeer(loop: clientLoop, to: IngressLifetimeTests.address, saying: bytes)
        }

        /// Closes what is left, and says whether all of it went.
        func end() throws -> Bool {
            server.close()
            world.tickAll()
            try world.pass(.seconds(2))
            return world.network.openDescriptorCount == 0 && world.network.violations.isEmpty
        }
    }

    @Test("A closed connection gives everything back")
    func release() throws {
        let scene = try Scene(delay: nil)
        weak var stream: TCPStream?
        weak var handler: RawPeer?
        do {
            let peer = try scene.connect(saying: Self.get)
            try scene.world.pass(.seconds(1))
            #expect(peer.text.hasSuffix("hello"))
            (stream, handler) = (peer.stream, peer)
            peer.stream?.close()
        }
        try scene.world.pass(.seconds(2))
        scene.world.tickAll()
        #expect(stream == nil && handler == nil)
        #expect(try scene.end())
    }

    @Test("An answer that is broken off goes out as far as it came, and the connection ends")
    func brokenOff() throws {
        // With nothing but an end the client would think that nobody has seen its request.
        let scene = try Scene(delay: nil, reply: .half)
        let peer = try scene.connect(saying: Self.get)
        try scene.world.pass(.milliseconds(500))
        #expect(peer.text.hasPrefix("HTTP/1.1 200 ") && peer.text.hasSuffix("\r\n\r\n2\r\nhe\r\n"))
        #expect(peer.isOver && !peer.isBroken && scene.server.connectionCount == 0)
        peer.close()
        #expect(try scene.end())
    }

    @Test("An HTTP/1.0 client is told by a reset that its answer was broken off")
    func brokenOffForOldClient() throws {
        // It takes an end for the answer's.
        let scene = try Scene(delay: nil, reply: .half)
        let peer = try scene.connect(saying: Array("GET / HTTP/1.0\r\nhost: a\r\n\r\n".utf8))
        try scene.world.pass(.milliseconds(500))
        #expect(peer.isBroken && scene.server.connectionCount == 0)
        peer.close()
        #expect(try scene.end())
    }

    @Test("A client that never says another word after its answer is idle some day")
    func idleAfterAnswer() throws {
        let scene = try Scene(delay: .milliseconds(30))
        let peer = try scene.connect(saying: Self.get)
        try scene.world.pass(.seconds(50))
        #expect(peer.text.hasSuffix("hello"))
        #expect(scene.server.connectionCount == 1)
        try scene.world.pass(.seconds(15))
        #expect(scene.server.connectionCount == 0)
        #expect(peer.isOver)
        peer.close()
        #expect(try scene.end())
    }

    @Test("A client that promises a body and never begins it is too slow")
    func bodyNeverBegun() throws {
        let scene = try Scene(delay: .seconds(1_000))
        let head = "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\n"
        let peer = try scene.connect(saying: Array(head.utf8))
        try scene.world.pass(.seconds(20))
        #expect(scene.server.requestCount == 1 && scene.server.abortCount == 0)
        try scene.world.pass(.seconds(20))
        #expect(scene.server.abortCount == 1 && scene.server.connectionCount == 0)
        peer.close()
        #expect(try scene.end())
    }

    @Test("What comes after the last word is dropped, and who reads nothing is left in the end")
    func finishedAndStuck() throws {
        let scene = try Scene(delay: nil, buffer: 64)
        let peer = try scene.connect(saying: Self.get + Self.get + Array("nonsense\r\n".utf8))
        peer.setReading(false)
        // Piece by piece, so that the server reads again and again with its answer stuck.
        for _ in 0..<20 {
            try scene.world.pass(.milliseconds(50))
            peer.say(Array("and more of the same\r\n".utf8))
        }
        try scene.world.pass(.seconds(5))
        #expect(scene.server.connectionCount == 0)
        #expect(scene.serverKernel.openDescriptorCount == 2)
        try scene.world.pass(.seconds(60))
        #expect(scene.serverKernel.openDescriptorCount == 1)
        peer.close()
        #expect(try scene.end())
    }

    @Test("An HTTP/2 request that is answered and never ends keeps no connection open")
    func endlessRequest() throws {
        let scene = try Scene(delay: nil)
        let arena = HTTPArena()
        var session = HTTP2Session(role: .client, arena: arena)
        let head = arena.blocks.take()
        head.append(.method, "POST")
        head.append(.scheme, "http")
        head.append(.authority, "a")
        head.append(.path, "/")
        _ = unsafe session.openStream(head, endStream: false, context: nil)
        let peer = try scene.connect(saying: unsafe [UInt8](session.output.bytes))
        session.output.removeAll()
        try scene.world.pass(.seconds(1))
        var status = 0
        var body = 0
        var reset: HTTP2ErrorCode?
        let input = peer.input
        unsafe try input.withUnsafeBytes { bytes in
            unsafe session.receive(bytes)
            while let event = try session.nextEvent() {
                switch event {
                case .head(_, let head, _):
                    status = head.status
                    arena.blocks.give(head)
                case .data(_, let bytes, _): body += bytes.count
                case .reset(_, let code): reset = code
                default: break
                }
            }
        }
        #expect(status == 200 && body == 5 && reset == nil)
        #expect(scene.server.arena.openStreamCount == 1)
        try scene.world.pass(.seconds(65))
        #expect(scene.server.connectionCount == 0)
        #expect(scene.server.arena.openStreamCount == 0)
        peer.close()
        #expect(try scene.end())
    }
}
