import SluiceCore
import SluiceEgress
import SluiceHTTP
import SluiceIO
import SluiceSimulation
import Testing

@Suite("Backend connections, to their very end")
struct EgressLifetimeTests {
    private static let address = SocketAddress.loopback(port: 80)

    private struct Scene {
        let world = World(seed: 1)
        let server: Answerer
        let kernel: SimulatedKernel
        let loop: EventLoop
        let caller: Caller
        let pool: ConnectionPool

        init(
            _ httpVersion: Endpoint.HTTPVersionPolicy,
            delay: Duration?,
            plan: FaultPlan = FaultPlan()
        ) throws {
            let serverLoop = world.makeLoop(name: "server").loop
            (loop, kernel) = world.makeLoop(name: "client")
            world.network.use(plan, for: EgressLifetimeTests.address)
            server = try Answerer(
                loop: serverLoop,
                on: EgressLifetimeTests.address,
                delay: delay
            )
            let arena = HTTPArena(buffers: loop.buffers)
            caller = Caller(arena: arena)
            pool = ConnectionPool(
                loop: loop,
                arena: arena,
                endpoint: Endpoint(
                    address: EgressLifetimeTests.address,
                    httpVersion: httpVersion,
                    tls: nil,
                    serverName: "a"
                ),
                receiver: caller
            )
        }

        func end() throws -> Bool {
            pool.closeAll()
            server.close()
            world.tickAll()
            try world.pass(.seconds(2))
            return world.network.openDescriptorCount == 0 && world.network.violations.isEmpty
        }
    }

    @Test(
        "A reload lets calls that wait for a connection go on, and keeps no connection",
        arguments: [Endpoint.HTTPVersionPolicy.http1, .http2]
    )
    func reloadWhileConnecting(httpVersion: Endpoint.HTTPVersionPolicy) throws {
        let scene = try Scene(httpVersion, delay: .milliseconds(5))
        scene.caller.call(1, by: scene.pool)
        scene.caller.call(2, by: scene.pool)
        scene.pool.close()
        try scene.world.pass(.milliseconds(100))
        #expect(scene.caller.heard[1] == ["200", "end"])
        #expect(scene.caller.heard[2] == ["200", "end"])
        #expect(scene.kernel.openDescriptorCount == 0)
        // A request from before the reload may come to its call only now.
        scene.caller.call(3, by: scene.pool)
        try scene.world.pass(.milliseconds(100))
        #expect(scene.caller.heard[3] == ["200", "end"])
        #expect(scene.kernel.openDescriptorCount == 0)
        #expect(try scene.end())
    }

    @Test("Who has the whole answer hears nothing more of a request still on its way")
    func earlyAnswer() throws {
        // The server answers at the head; the body is more than the windows hold.
        let scene = try Scene(.http2, delay: nil)
        scene.caller.body = [UInt8](repeating: 7, count: 300_000)
        scene.caller.call(1, by: scene.pool)
        try scene.world.pass(.seconds(1))
        let heard = scene.caller.heard[1] ?? []
        #expect(heard.last == "end")
        #expect(!heard.contains("failed"))
        #expect(scene.caller.arena.openStreamCount == 0)
        scene.caller.body = []
        scene.caller.call(2, by: scene.pool)
        try scene.world.pass(.seconds(1))
        #expect(scene.caller.heard[2] == ["200", "end"])
        #expect(try scene.end())
    }

    @Test(
        "A stream may rest as long as it likes, if its client is there",
        arguments: [false, true]
    )
    func restingStream(isSilent: Bool) throws {
        var plan = FaultPlan()
        plan.silence = isSilent ? 1_000 : 0
        plan.horizon = 150...150
        let scene = try Scene(.http2, delay: .seconds(200), plan: plan)
        scene.caller.call(1, by: scene.pool)
        try scene.world.pass(.seconds(20))
        #expect(scene.server.connectionCount == 1 && scene.server.requestCount == 1)
        try scene.world.pass(.seconds(80))
        #expect(scene.server.connectionCount == (isSilent ? 0 : 1))
        #expect(scene.server.abortCount == (isSilent ? 1 : 0))
        try scene.world.pass(.seconds(110))
        // Its caller hears of it by its own PING.
        #expect(scene.caller.heard[1] == (isSilent ? ["failed"] : ["200", "end"]))
        #expect(try scene.end())
    }

    @Test("What a backend said before it reset the connection counts, though it takes no more")
    func goAwayBeforeReset() throws {
        var plan = FaultPlan()
        // All of it is there at once, to be read piece by piece, and the request is on its way.
        plan.delay = 0...0
        plan.shortRead = 1_000
        plan.buffer = 600...600
        let world = World(seed: 1)
        let serverLoop = world.makeLoop(name: "server").loop
        let (loop, kernel) = world.makeLoop(name: "client")
        world.network.use(plan, for: Self.address)
        var leaving: [Leaver] = []
        let listener = try TCPListener(loop: serverLoop, address: Self.address, sharesPort: false) {
            descriptor,
            peer in
            leaving.append(Leaver(loop: serverLoop, descriptor, peer))
            return true
        }
        listener.start()
        let caller = Caller(arena: HTTPArena(buffers: loop.buffers))
        caller.body = [UInt8](repeating: 7, count: 4_000)
        let pool = ConnectionPool(
            loop: loop,
            arena: caller.arena,
            endpoint: Endpoint(
                address: Self.address,
                httpVersion: .http2,
                tls: nil,
                serverName: "a"
            ),
            receiver: caller
        )
        caller.call(1, by: pool)
        try world.pass(.seconds(1))
        #expect(caller.heard[1]?.last == "untouched")
        #expect(kernel.openDescriptorCount == 0)
        pool.closeAll()
        listener.close()
        world.tickAll()
        #expect(world.network.openDescriptorCount == 0 && world.network.violations.isEmpty)
        #expect(leaving.count == 1)
    }

    @Test("A backend that has fallen silent keeps no connection that a reload retired")
    func silentAndRetired() throws {
        var plan = FaultPlan()
        plan.silence = 1_000
        plan.horizon = 400...400
        plan.buffer = 600...600
        let scene = try Scene(.http2, delay: .milliseconds(5), plan: plan)
        scene.caller.body = [UInt8](repeating: 7, count: 4_000)
        scene.caller.call(1, by: scene.pool)
        try scene.world.pass(.seconds(2))
        scene.pool.close()
        #expect(scene.kernel.openDescriptorCount == 1)
        scene.caller.calls[1]?.cancel()
        try scene.world.pass(.seconds(1))
        #expect(scene.kernel.openDescriptorCount == 0)
        #expect(scene.caller.heard[1] == nil)
        scene.server.close()
        scene.world.tickAll()
    }
}
