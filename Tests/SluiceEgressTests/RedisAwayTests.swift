import SluiceCore
import SluiceEgress
import SluiceIO
import SluiceRedis
import SluiceSimulation
import Testing

/// A connection to Redis has a session that is over where it has none.
@Suite("Where there is no session with Redis")
struct RedisAwayTests {
    enum Redis: CaseIterable, Sendable {
        /// Nobody was asked to connect.
        case notStarted
        /// Never answers a SYN; refuses; takes the connection and says nothing; says goodbye at once.
        case unanswered, refused, silent, slams
        /// It was there, and is gone.
        case gone
        /// It is there, and we have closed.
        case closed
    }

    @Test(
        "Nothing is taken and nothing told, and closing is possible at any moment",
        arguments: Redis.allCases,
        // Before, in and after the first attempt's half of a second.
        [0, 1, 100, 490, 510, 1400]
    )
    func nothing(redis: Redis, milliseconds: Int) throws {
        let world = World(seed: 1)
        let loop = world.makeLoop(name: "worker").loop
        let address = SocketAddress.loopback(port: 6379)
        let server = try ScriptedRedis(loop: world.makeLoop(name: "redis").loop, on: address)
        switch redis {
        case .unanswered: world.network.use(.deadEnd(\.unanswered), for: address)
        case .refused: world.network.use(.deadEnd(\.refusal), for: address)
        case .silent: server.manner = .silently
        case .slams: server.manner = .slams
        case .notStarted, .gone, .closed: break
        }
        let ledger = LookUpLedger(loop: loop)
        let connection = RedisConnection(
            loop: loop,
            endpoint: RedisEndpoint(addresses: [address], settings: RedisSettings()),
            receiver: ledger,
            seed: 1
        )
        ledger.connection = connection
        if redis != .notStarted { connection.start() }
        if redis == .gone || redis == .closed {
            try world.run(until: world.clock.now + .seconds(1), "up") { connection.isUp }
            loop.tick(until: nil)
            #expect(connection.purge(prefix: "a", token: 9) && ledger.ask(["a"]) != nil)
        }
        if redis == .gone {
            server.shut()
            world.tickAll()
            try world.pass(.milliseconds(5))
        }
        if redis == .closed { connection.close() }
        try world.pass(.milliseconds(milliseconds))
        loop.tick(until: nil)
        let writesBefore = connection.counters.droppedWrites
        #expect(!connection.isUp && connection.pendingCount <= (redis == .silent ? 1 : 0))
        #expect(ledger.ask(["a"]) == nil && ledger.ask(["a", "b"]) == nil)
        ledger.store("a", [1])
        connection.remove([[1]])
        #expect(connection.counters.droppedWrites == writesBefore + 2)
        #expect(!connection.purge(prefix: "a", token: 1))
        #expect(unsafe connection.streamOutput.isEmpty)

        connection.close()
        connection.close()
        #expect(!connection.isUp && connection.pendingCount == 0)
        #expect(ledger.ask(["a"]) == nil && !connection.purge(prefix: "a", token: 2))
        if redis == .gone || redis == .closed {
            #expect(ledger.purges[9]?.isComplete == false)
            #expect(ledger.changes.count == 2)
        } else {
            #expect(ledger.changes.isEmpty)
        }
        server.shut()
        world.tickAll()
        try world.pass(.seconds(2))
        #expect(ledger.violations == [] && ledger.openCount == 0)
        #expect(loop.timerCount == 0 && loop.descriptorCount == 0)
        #expect(world.network.openDescriptorCount == 0 && world.network.violations.isEmpty)
    }
}
