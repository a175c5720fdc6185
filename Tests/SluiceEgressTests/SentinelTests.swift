import SluiceCore
import SluiceEgress
import SluiceIO
import SluiceRedis
import SluiceSimulation
import Testing

/// Sentinels in a simulated world: who is asked, what is believed, and what is said of those who don't
/// know.
@Suite("Sentinels", .tags(.simulation), .timeLimit(.minutes(2)))
struct SentinelTests {
    private final class Scene {
        let world = World(seed: 1)
        let loop: EventLoop
        private(set) var sentinels: [ScriptedRedis] = []

        init(_ manners: [ScriptedRedis.Manner?]) throws {
            loop = world.makeLoop(name: "control").loop
            for (number, manner) in manners.enumerated() {
                guard let manner else { continue }
                let sentinel = try ScriptedRedis(
                    loop: world.makeLoop(name: "sentinel-\(number)").loop,
                    on: .loopback(port: UInt16(26_379 + number))
                )
                sentinel.manner = manner
                sentinels.append(sentinel)
            }
        }

        func ask(count: Int, for master: String = "mine") throws -> SentinelQuery.Outcome? {
            var outcome: SentinelQuery.Outcome?
            let query = SentinelQuery(
                loop: loop,
                ways: (0..<count).map {
                    SentinelQuery.Way(
                        name: "s\($0)",
                        address: .loopback(port: UInt16(26_379 + $0)),
                        serverName: ""
                    )
                },
                master: master,
                settings: RedisSettings()
            ) { outcome = $0 }
            query.start()
            try world.run(until: world.clock.now + .seconds(10), "told") { query.isOver }
            world.tickAll()
            #expect(loop.timerCount == 0)
            return outcome
        }
    }

    private static let here = SentinelQuery.Outcome.master(host: "10.0.0.1", port: 6_380, way: 0)

    @Test(
        "The next one is asked when one is away, silent, refuses us or talks nonsense",
        arguments: [
            nil, ScriptedRedis.Manner.silently, .slams, .wrongPassword, .garbage, .cut, .wrongKind,
        ]
    )
    func next(manner: ScriptedRedis.Manner?) throws {
        let scene = try Scene([manner, .well])
        for sentinel in scene.sentinels { sentinel.masters = ["mine": ("10.0.0.1", 6_380)] }
        #expect(
            try scene.ask(count: 2) == .master(host: "10.0.0.1", port: 6_380, way: 1)
        )
    }

    @Test("The first that knows is believed, and no other is asked")
    func first() throws {
        let scene = try Scene([.well, .well])
        scene.sentinels[0].masters = ["mine": ("10.0.0.1", 6_380)]
        #expect(try scene.ask(count: 2) == Self.here)
        #expect(scene.sentinels[1].connectionCount == 0)
    }

    @Test("One that doesn't know the master is followed by one that does")
    func unmatchedName() throws {
        let scene = try Scene([.well, .well])
        scene.sentinels[1].masters = ["mine": ("10.0.0.1", 6_380)]
        #expect(try scene.ask(count: 2) == .master(host: "10.0.0.1", port: 6_380, way: 1))
    }

    @Test(
        "What all of them come to has a reason, and each is named",
        arguments: [
            ([nil, nil], RedisReason.sentinel), ([nil, .well], .master),
            ([.well, .silently], .master),
            ([.wrongPassword, nil], .password), ([.errors, nil], .sentinel),
        ] as [([ScriptedRedis.Manner?], RedisReason)]
    )
    func verdict(manners: [ScriptedRedis.Manner?], reason: RedisReason) throws {
        let scene = try Scene(manners)
        guard case .failed(let complaint) = try scene.ask(count: 2) else {
            Issue.record("a master was found")
            return
        }
        #expect(complaint.reason == reason)
        #expect(complaint.words.contains("Sentinel s0: ") && complaint.words.contains("s1: "))
    }

    @Test(
        "An address that can't be one isn't believed",
        arguments: [("h", 0), ("h", 65_536), ("", 6_379)]
    )
    func nonsense(host: String, port: Int) throws {
        let scene = try Scene([.well])
        scene.sentinels[0].masters = ["mine": (host, port)]
        guard case .failed = try scene.ask(count: 1) else {
            Issue.record("it was believed")
            return
        }
    }

    @Test(
        "A server that became a replica is left for the new master, once the Sentinels say where it is"
    )
    func failover() throws {
        let world = World(seed: 1)
        let loop = world.makeLoop(name: "worker").loop
        let addresses = [SocketAddress.loopback(port: 6_379), .loopback(port: 6_380)]
        let servers = try addresses.enumerated().map {
            try ScriptedRedis(loop: world.makeLoop(name: "redis-\($0.offset)").loop, on: $0.element)
        }
        servers[1].role = "slave"
        let directory = RedisDirectory()
        func say(_ number: Int) {
            var entry = RedisDirectory.Entry()
            entry.addresses = [addresses[number]]
            directory.put(entry)
        }
        say(0)
        let url = try #require(RedisURL("redis+sentinel://s/mine"))
        let ledger = LookUpLedger(loop: loop)
        let connection = RedisConnection(
            loop: loop,
            endpoint: RedisEndpoint(url, directory: directory),
            receiver: ledger,
            seed: 1
        )
        ledger.connection = connection
        connection.start()
        try world.run(until: world.clock.now + .seconds(3), "up") { connection.isUp }
        // The master becomes a replica, and its clients are cut off.
        servers[0].shut()
        servers[0].role = "slave"
        try servers[0].open()
        _ = directory.takeLookRequest()
        try world.pass(.seconds(4))
        #expect(!connection.isUp && directory.takeLookRequest())
        #expect(ledger.complaints.contains { $0.complaint.reason == .role })
        servers[1].role = "master"
        say(1)
        try world.run(until: world.clock.now + .seconds(3), "up again") { connection.isUp }
        connection.close()
        ledger.connection = nil
        for server in servers { server.shut() }
        world.tickAll()
        try world.pass(.seconds(2))
        #expect(ledger.violations == [] && loop.timerCount == 0)
    }
}
