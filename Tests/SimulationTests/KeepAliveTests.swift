import SluiceCore
import SluiceEgress
import SluiceHTTP
import SluiceIO
import SluiceSimulation
import Testing

@Suite("PINGs to silent backends")
struct KeepAliveTests {
    private static let address = SocketAddress.loopback(port: 80)

    private final class Scene {
        let world = World(seed: 1)
        let backend: NghttpBackend
        let loop: EventLoop
        let kernel: SimulatedKernel
        let caller: Caller
        let pool: ConnectionPool
        var timeouts = 0

        init() throws {
            backend = try NghttpBackend(
                loop: world.makeLoop(name: "backend").loop,
                on: KeepAliveTests.address
            )
            (loop, kernel) = world.makeLoop(name: "client")
            let arena = HTTPArena(buffers: loop.buffers)
            caller = Caller(arena: arena)
            pool = ConnectionPool(
                loop: loop,
                arena: arena,
                endpoint: Endpoint(
                    address: KeepAliveTests.address,
                    httpVersion: .http2,
                    tls: nil,
                    serverName: "a"
                ),
                receiver: caller
            )
            pool.keepAliveTimedOut = { [unowned self] in timeouts += 1 }
        }

        func call(_ number: Int) {
            // The loop's time is that of its last tick, and here somebody calls from outside.
            world.tickAll()
            caller.call(number, by: pool)
        }

        /// Closes everything and says whether anything is left.
        func end() throws -> Bool {
            pool.closeAll()
            backend.close()
            world.tickAll()
            try world.pass(.seconds(2))
            return loop.timerCount == 0 && world.network.openDescriptorCount == 0
                && caller.arena.openStreamCount == 0 && world.network.violations.isEmpty
        }
    }

    @Test("A resting call is asked after once in five minutes, and answered in the end")
    func restingCall() throws {
        let scene = try Scene()
        scene.call(1)
        try scene.world.pass(.seconds(29))
        #expect(scene.backend.pingCounts == [0])
        try scene.world.pass(.seconds(2))
        #expect(scene.backend.pingCounts == [1])
        // A PING's answer breaks the silence, and is no data that would allow another.
        try scene.world.pass(.seconds(298))
        #expect(scene.backend.pingCounts == [1])
        try scene.world.pass(.seconds(2))
        #expect(scene.backend.pingCounts == [2])
        scene.backend.connections[0].answer(1)
        try scene.world.pass(.seconds(1))
        #expect(scene.caller.heard[1] == ["200"])
        #expect(scene.timeouts == 0)
        #expect(try scene.end())
    }

    @Test("Data lets the next silence be asked about at once")
    func dataBetween() throws {
        let scene = try Scene()
        scene.call(1)
        scene.call(2)
        try scene.world.pass(.seconds(31))
        #expect(scene.backend.pingCounts == [1])
        scene.backend.connections[0].answer(1)
        try scene.world.pass(.seconds(29))
        #expect(scene.backend.pingCounts == [1])
        try scene.world.pass(.seconds(2))
        #expect(scene.backend.pingCounts == [2])
        #expect(scene.caller.heard[2] == nil)
        #expect(try scene.end())
    }

    @Test("A connection without calls is never asked")
    func idleConnection() throws {
        let scene = try Scene()
        scene.call(1)
        try scene.world.pass(.seconds(1))
        scene.backend.connections[0].answer(1)
        // Longer than a call may be silent, shorter than an unused connection is kept.
        try scene.world.pass(.seconds(50))
        #expect(scene.backend.pingCounts == [0])
        // After a rest the silence is counted from the next call.
        scene.call(2)
        try scene.world.pass(.seconds(29))
        #expect(scene.backend.pingCounts == [0])
        try scene.world.pass(.seconds(2))
        #expect(scene.backend.pingCounts == [1])
        #expect(try scene.end())
    }

    @Test("A backend that leaves a PING unanswered loses its connection and all its calls")
    func unanswered() throws {
        let scene = try Scene()
        scene.call(1)
        scene.call(2)
        try scene.world.pass(.seconds(1))
        scene.backend.connections[0].isDeaf = true
        try scene.world.pass(.seconds(38))
        #expect(scene.caller.heard.isEmpty && scene.timeouts == 0)
        try scene.world.pass(.seconds(2))
        #expect(scene.caller.heard == [1: ["failed"], 2: ["failed"]])
        #expect(scene.timeouts == 1)
        // Whatever comes next goes over a connection that is new.
        scene.call(3)
        try scene.world.pass(.seconds(1))
        #expect(scene.backend.connections.count == 2)
        scene.backend.connections[1].answer(1)
        try scene.world.pass(.seconds(1))
        #expect(scene.caller.heard[3] == ["200"])
        #expect(try scene.end())
    }

    @Test("Calls given up one by one without a word find a lost backend together")
    func hastyCalls() throws {
        let scene = try Scene()
        scene.call(1)
        try scene.world.pass(.seconds(1))
        scene.backend.connections[0].isDeaf = true
        scene.caller.calls[1]?.cancel()
        var number = 1
        // One call every 20 s, for 5 s each: none lasts as long as the silence that is asked about.
        for _ in 0..<3 {
            try scene.world.pass(.seconds(15))
            number += 1
            scene.call(number)
            try scene.world.pass(.seconds(5))
            scene.caller.calls[number]?.cancel()
        }
        try scene.world.pass(.seconds(10))
        #expect(scene.timeouts == 1)
        #expect(try scene.end())
    }

    @Test("A retired connection is asked after as well")
    func retired() throws {
        let scene = try Scene()
        scene.call(1)
        try scene.world.pass(.seconds(1))
        scene.pool.close()
        scene.backend.connections[0].isDeaf = true
        try scene.world.pass(.seconds(41))
        #expect(scene.caller.heard[1] == ["failed"])
        #expect(scene.kernel.openDescriptorCount == 0)
        #expect(try scene.end())
    }

    @Test("Closing all while an answer is awaited leaves no timer behind")
    func closedWhileAsking() throws {
        let scene = try Scene()
        scene.call(1)
        try scene.world.pass(.seconds(1))
        scene.backend.connections[0].isDeaf = true
        try scene.world.pass(.seconds(31))
        #expect(try scene.end())
        #expect(scene.timeouts == 0)
    }
}
