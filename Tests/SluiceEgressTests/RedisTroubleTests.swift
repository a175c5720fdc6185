import SluiceCore
import SluiceEgress
import SluiceIO
import SluiceRedis
import SluiceSimulation
import Testing

/// A Redis that refuses, in a simulated world: what is complained of, and what is done about it.
@Suite("A Redis that says why", .tags(.simulation), .timeLimit(.minutes(2)))
struct RedisTroubleTests {
    private final class Scene {
        static let address = SocketAddress.loopback(port: 6379)
        let world = World(seed: 1)
        let loop: EventLoop
        let server: ScriptedRedis
        let ledger: LookUpLedger
        let connection: RedisConnection

        init(_ manner: ScriptedRedis.Manner, directory: RedisDirectory? = nil) throws {
            let serverLoop = world.makeLoop(name: "redis").loop
            loop = world.makeLoop(name: "worker").loop
            server = try ScriptedRedis(loop: serverLoop, on: Scene.address)
            server.manner = manner
            ledger = LookUpLedger(loop: loop)
            var endpoint = RedisEndpoint(addresses: directory == nil ? [Scene.address] : [])
            endpoint.directory = directory
            connection = RedisConnection(
                loop: loop,
                endpoint: endpoint,
                receiver: ledger,
                seed: 1
            )
            ledger.connection = connection
            connection.start()
        }

        func untilUp() throws {
            try world.run(until: world.clock.now + .seconds(3), "up") { connection.isUp }
        }

        func store(_ count: Int) throws {
            for _ in 0..<count {
                loop.tick(until: nil)
                ledger.store("a", [1])
                try world.pass(.milliseconds(50))
            }
        }

        func end() throws {
            connection.close()
            ledger.connection = nil
            server.shut()
            world.tickAll()
            try world.pass(.seconds(2))
            #expect(ledger.violations == [] && loop.timerCount == 0)
        }
    }

    @Test(
        "A greeting that is refused tells Redis's reason, each time",
        arguments: [
            (ScriptedRedis.Manner.wrongPassword, RedisReason.password),
            (.loading, .loading), (.slams, .disconnected), (.silently, .silent),
        ]
    )
    func greeting(manner: ScriptedRedis.Manner, reason: RedisReason) throws {
        let scene = try Scene(manner)
        try scene.world.pass(.seconds(6))
        let told = scene.ledger.complaints
        #expect(told.count >= 3 && told.allSatisfy { $0.use == .connection })
        #expect(told.contains { $0.complaint.reason == reason })
        #expect(!scene.connection.isUp && scene.ledger.recoveries.isEmpty)
        scene.server.manner = .well
        try scene.untilUp()
        #expect(scene.ledger.recoveries == [.connection])
        try scene.end()
    }

    @Test(
        "READONLY connects anew, with growing pauses, and isn't complained of as a lost connection"
    )
    func readonly() throws {
        let scene = try Scene(.readonly)
        try scene.untilUp()
        try scene.store(400)
        let told = scene.ledger.complaints
        #expect(told.count > 100)
        #expect(told.allSatisfy { $0.use == .writes && $0.complaint.reason == .readonly })
        // In twenty seconds: after 1, 2, 4 and 8.
        #expect((4...7).contains(scene.server.connectionCount))
        #expect(scene.connection.isUp)
        // The name leads to the new master.
        scene.server.manner = .well
        try scene.store(40)
        #expect(scene.ledger.recoveries.filter { $0 == .writes }.count == 1)
        try scene.end()
    }

    @Test("Look-ups that are refused tell why, and go well after a while of going well")
    func lookUps() throws {
        let scene = try Scene(.errors)
        try scene.untilUp()
        for _ in 0..<20 {
            scene.loop.tick(until: nil)
            scene.ledger.ask(["a"])
            try scene.world.pass(.milliseconds(50))
        }
        #expect(
            scene.ledger.complaints.contains {
                $0.use == .lookUps && $0.complaint.words == "ERR no"
            }
        )
        scene.server.manner = .well
        try scene.untilUp()
        for _ in 0..<20 {
            scene.loop.tick(until: nil)
            scene.ledger.ask(["a"])
            try scene.world.pass(.milliseconds(50))
        }
        #expect(scene.ledger.recoveries.filter { $0 == .lookUps }.count == 1)
        try scene.end()
    }

    @Test("A name that isn't known yet is wished for, and used once it is known")
    func names() throws {
        let directory = RedisDirectory()
        #expect(directory.takeLookRequest() && !directory.takeLookRequest())
        let scene = try Scene(.well, directory: directory)
        try scene.world.pass(.seconds(2))
        #expect(directory.takeLookRequest() && scene.ledger.complaints.isEmpty)
        var entry = RedisDirectory.Entry()
        entry.complaint = RedisComplaint(.name, "no such name")
        directory.put(entry)
        try scene.world.pass(.seconds(3))
        #expect(scene.ledger.complaints.first?.complaint.reason == .name)
        entry.addresses = [Scene.address]
        directory.put(entry)
        try scene.untilUp()
        // It went away: the name may lead elsewhere.
        _ = directory.takeLookRequest()
        scene.server.shut()
        try scene.world.pass(.seconds(1))
        #expect(directory.takeLookRequest() && !scene.connection.isUp)
        try scene.end()
    }
}
