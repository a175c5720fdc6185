import SluiceCore
import SluiceEgress
import SluiceIO
import SluiceRedis
import SluiceSimulation
import Testing

@Suite("A connection to Redis, in a simulated world", .timeLimit(.minutes(3)))
struct RedisSimulationTests {
    private struct Scene {
        static let address = SocketAddress.unix(path: "/run/redis.sock")

        let world: World
        let server: ScriptedRedis
        let kernel: SimulatedKernel
        let loop: EventLoop
        let ledger: LookUpLedger
        let connection: RedisConnection

        init(
            seed: UInt64 = 1,
            plan: FaultPlan = FaultPlan(),
            addresses: [SocketAddress] = [address],
            settings: RedisSettings = RedisSettings(),
            starts: Bool = true
        ) throws {
            world = World(seed: seed)
            let serverLoop = world.makeLoop(name: "redis").loop
            (loop, kernel) = world.makeLoop(name: "worker")
            world.network.use(plan, for: Scene.address)
            server = try ScriptedRedis(loop: serverLoop, on: Scene.address)
            ledger = LookUpLedger(loop: loop)
            var endpoint = RedisEndpoint(addresses: addresses, settings: settings)
            endpoint.purgeTimeout = .seconds(2)
            connection = RedisConnection(
                loop: loop,
                endpoint: endpoint,
                receiver: ledger,
                seed: seed
            )
            ledger.connection = connection
            if starts { connection.start() }
        }

        /// Runs until Redis is in use.
        func untilUp(_ limit: Duration = .seconds(2)) throws {
            try world.run(until: world.clock.now + limit, "up") { connection.isUp }
        }

        /// Lets the loop see what time it is, then asks.
        @discardableResult
        func ask(_ keys: [String]) -> UInt64? {
            loop.tick(until: nil)
            return ledger.ask(keys)
        }

        func end() throws -> Bool {
            connection.close()
            (ledger.connection, ledger.heard) = (nil, nil)
            server.shut()
            world.tickAll()
            try world.pass(.seconds(2))
            let counters = connection.counters
            #expect(counters.lookUps == counters.answered + counters.failedLookUps)
            #expect(ledger.violations == [])
            #expect(ledger.openCount == 0)
            #expect(loop.timerCount == 0 && loop.descriptorCount == 0)
            #expect(server.loop.timerCount == 0)
            return world.network.openDescriptorCount == 0 && world.network.violations.isEmpty
        }
    }

    private static func bytes(_ text: String) -> [UInt8] { Array(text.utf8) }

    @Test("What a tick asks for leaves in one write, and comes back to who asked")
    func together() throws {
        let scene = try Scene()
        #expect(scene.ask(["a"]) == nil, "nobody waits for a connection")
        try scene.untilUp()
        scene.loop.tick(until: nil)
        scene.ledger.store("a", RedisSimulationTests.bytes("value"))
        scene.ledger.store("b", [])
        let before = scene.server.batchCount
        let one = scene.ledger.ask(["a"])
        let many = scene.ledger.ask(["a", "x", "b"])
        for _ in 0..<30 { scene.ledger.ask(["x"]) }
        try scene.world.pass(.milliseconds(10))
        #expect(scene.server.batchCount == before + 1)
        #expect(scene.ledger.entries[one ?? 0]?.values == [RedisSimulationTests.bytes("value")])
        #expect(
            scene.ledger.entries[many ?? 0]?.values == [
                RedisSimulationTests.bytes("value"), nil, [],
            ]
        )
        let counters = scene.connection.counters
        #expect(counters.lookUps == 33 && counters.answered == 32 && counters.skipped == 1)
        #expect(counters.hits == 3 && counters.misses == 31 && counters.writes == 2)
        #expect(scene.ledger.changes == [nil])
        #expect(try scene.end())
    }

    @Test("A silent Redis costs each look-up its timeout at most, and after 0.75 s nothing")
    func silent() throws {
        let scene = try Scene()
        try scene.untilUp()
        scene.server.manner = .silently
        // One look-up every 200 ms is too rare to open the breaker.
        let start = scene.world.clock.now
        for _ in 0..<20 {
            scene.ask(["a"])
            try scene.world.pass(.milliseconds(200))
        }
        #expect(scene.ledger.slowest() <= .milliseconds(20))
        #expect(scene.ledger.entries.values.allSatisfy { $0.asked <= start + .seconds(1) })
        #expect(scene.connection.counters.timeouts == 4)
        #expect(scene.connection.counters.skipped == 16)
        #expect(scene.connection.isUp == false)
        scene.server.manner = .well
        let back = scene.world.clock.now
        try scene.untilUp()
        #expect(scene.world.clock.now - back < .seconds(2))
        #expect(try scene.end())
    }

    @Test("A loop that was busy itself reads what has come before it gives anything up")
    func busyLoop() throws {
        let scene = try Scene()
        try scene.untilUp()
        for _ in 0..<10 {
            scene.ask(["a"])
            scene.loop.tick(until: nil)
            // The server answers meanwhile; this loop gets no turn for 50 ms.
            for _ in 0..<10 {
                scene.world.clock.advance(byNanoseconds: 5_000_000)
                scene.server.loop.tick(until: scene.world.clock.now)
            }
        }
        try scene.world.pass(.milliseconds(100))
        #expect(scene.connection.counters.timeouts == 0)
        #expect(scene.connection.counters.answered == 10)
        #expect(try scene.end())
    }

    @Test("Five look-ups in a row that come to nothing are enough, and PING brings it back")
    func breaker() throws {
        let scene = try Scene()
        try scene.untilUp()
        scene.server.manner = .errors
        let start = scene.server.connectionCount
        for _ in 0..<5 {
            scene.ask(["a"])
            try scene.world.pass(.milliseconds(5))
        }
        #expect(scene.connection.isUp == false)
        #expect(scene.connection.counters.refused == 5)
        #expect(scene.ask(["a"]) == nil)
        try scene.untilUp()
        #expect(scene.server.connectionCount == start, "the connection was good all the while")
        #expect(scene.ledger.changes == [nil, "look-ups come to nothing", nil])
        #expect(try scene.end())
    }

    @Test(
        "A Redis that lies loses its connection, and nobody gets a wrong value",
        arguments: [
            ScriptedRedis.Manner.garbage, .huge, .outOfStep, .wrongKind, .cut, .slams, .loading,
        ]
    )
    func liar(manner: ScriptedRedis.Manner) throws {
        let scene = try Scene()
        try scene.untilUp()
        scene.loop.tick(until: nil)
        scene.ledger.store("a", RedisSimulationTests.bytes("value"))
        try scene.world.pass(.milliseconds(5))
        scene.server.manner = manner
        for _ in 0..<40 {
            scene.ask(["a"])
            try scene.world.pass(.milliseconds(100))
        }
        for entry in scene.ledger.entries.values {
            for value in entry.values {
                #expect(value == nil || value == RedisSimulationTests.bytes("value"))
            }
        }
        let counters = scene.connection.counters
        switch manner {
        case .garbage, .wrongKind, .cut: #expect(counters.lost > 0 && counters.reconnects > 0)
        // The first reply was good; what came after it wasn't asked for.
        case .outOfStep: #expect(counters.nonsense > 0 && counters.reconnects > 0)
        // Nobody waits for the end of 4 GB.
        case .huge: #expect(counters.timeouts > 0 && counters.reconnects > 0)
        default: break
        }
        if manner == .garbage || manner == .wrongKind { #expect(counters.nonsense > 0) }
        #expect(scene.ledger.slowest() <= .milliseconds(20))
        scene.server.manner = .well
        try scene.untilUp()
        #expect(try scene.end())
    }

    @Test("Killed and started again, it is back in use within two seconds")
    func restart() throws {
        for seed in UInt64(0)..<50 {
            let scene = try Scene(seed: seed)
            try scene.untilUp()
            let token = scene.ask(["a"])
            scene.server.shut()
            scene.world.tickAll()
            try scene.world.pass(.milliseconds(50 + Int64(seed) * 150))
            #expect(scene.ledger.entries[token ?? 0]?.isOver == true)
            #expect(scene.connection.isUp == false)
            #expect(scene.ask(["a"]) == nil)
            try scene.server.open()
            scene.world.tickAll()
            let back = scene.world.clock.now
            try scene.untilUp()
            #expect(scene.world.clock.now - back < .seconds(2))
            #expect(try scene.end())
        }
    }

    @Test("An address that nobody answers at doesn't keep us from the next")
    func addresses() throws {
        for chance in [
            FaultPlan.deadEnd(\.unanswered), .deadEnd(\.refusal), .deadEnd(\.unreachable),
        ] {
            let nowhere = SocketAddress.loopback(port: 6379)
            let scene = try Scene(addresses: [nowhere, Scene.address])
            scene.world.network.use(chance, for: nowhere)
            try scene.untilUp(.milliseconds(300))
            #expect(try scene.end())
        }
    }

    @Test("Neither does one where somebody listens and says nothing, or something else")
    func unmatched() throws {
        for manner in [ScriptedRedis.Manner.silently, .loading, .slams] {
            let other = SocketAddress.loopback(port: 6379)
            let scene = try Scene(addresses: [other, Scene.address], starts: false)
            let unmatchedName = try ScriptedRedis(loop: scene.server.loop, on: other)
            unmatchedName.manner = manner
            scene.connection.start()
            try scene.untilUp(.milliseconds(300))
            #expect(unmatchedName.connectionCount == 1)
            scene.server.shut()
            scene.world.tickAll()
            try scene.world.pass(.seconds(3))
            try scene.server.open()
            scene.world.tickAll()
            try scene.untilUp()
            unmatchedName.shut()
            #expect(try scene.end())
        }
    }

    @Test("Writes leave most of the queue to look-ups")
    func manyWrites() throws {
        let scene = try Scene()
        try scene.untilUp()
        scene.loop.tick(until: nil)
        for _ in 0..<2_000 { scene.ledger.store("a", [1]) }
        #expect(scene.connection.counters.writes == 1_024)
        #expect(scene.ledger.ask(["a"]) != nil)
        try scene.world.pass(.seconds(1))
        #expect(scene.connection.counters.hits == 1)
        #expect(try scene.end())
    }

    @Test("Writes are dropped when much waits already, and look-ups are bounded")
    func bounds() throws {
        var plan = FaultPlan()
        plan.buffer = 4_096...4_096
        var settings = RedisSettings()
        settings.maximumPending = 50
        let scene = try Scene(plan: plan, settings: settings)
        try scene.untilUp()
        scene.loop.tick(until: nil)
        for number in 0..<10 {
            scene.ledger.store("\(number)", [UInt8](repeating: 1, count: 100_000))
        }
        let counters = scene.connection.counters
        #expect(counters.writes == 3 && counters.droppedWrites == 7)
        for _ in 0..<100 { scene.ledger.ask(["a"]) }
        #expect(scene.connection.counters.crowded == 53)
        #expect(scene.connection.pendingCount == 50)
        try scene.world.pass(.seconds(1))
        #expect(try scene.end())
    }

    @Test("A purge removes what begins alike, page by page, and says how much")
    func purge() throws {
        let scene = try Scene()
        #expect(!scene.connection.purge(prefix: "a", token: 1), "not in use")
        try scene.untilUp()
        scene.loop.tick(until: nil)
        for number in 0..<20 {
            scene.ledger.store("a\(number)", [1])
            scene.ledger.store("b\(number)", [1])
        }
        #expect(scene.connection.purge(prefix: "a1", token: 1))
        #expect(scene.connection.purge(prefix: "b", token: 2))
        try scene.world.pass(.seconds(1))
        // The scripted server's cursor is a place, so what is removed moves the rest: pages may
        // miss keys, as they never do with Redis, which promises to show what stays.
        #expect(scene.ledger.purges[1]?.isComplete == true)
        #expect(scene.ledger.purges[2]?.isComplete == true)
        #expect((1...11).contains(scene.ledger.purges[1]?.removed ?? 0))

        scene.server.manner = .endlessScan
        scene.loop.tick(until: nil)
        #expect(scene.connection.purge(prefix: "a", token: 3))
        #expect(scene.connection.purge(prefix: "a", token: 4))
        try scene.world.pass(.seconds(5))
        #expect(scene.ledger.purges[3]?.isComplete == false)
        #expect(scene.ledger.purges[4]?.isComplete == false)
        #expect(scene.server.unlinked.allSatisfy { $0.hasPrefix("a") || $0.hasPrefix("b") })
        #expect(scene.ledger.purges[3]?.removed ?? 0 < 100_000, "it said 2^63 each time")
        #expect(scene.connection.isUp)
        scene.loop.tick(until: nil)
        #expect(scene.connection.purge(prefix: "a", token: 5))
        scene.server.shut()
        scene.world.tickAll()
        try scene.world.pass(.milliseconds(100))
        #expect(scene.ledger.purges[5]?.isComplete == false)
        #expect(try scene.end())
    }

    @Test("Whoever hears may ask again, or close")
    func reentrant() throws {
        let scene = try Scene()
        try scene.untilUp()
        var rounds = 0
        scene.ledger.heard = { _ in
            rounds += 1
            if rounds < 5 { scene.ledger.ask(["a"]) }
            if rounds == 5 {
                scene.ledger.ask(["a"])
                scene.connection.close()
            }
        }
        scene.ask(["a"])
        try scene.world.pass(.milliseconds(100))
        #expect(rounds == 6)
        #expect(scene.connection.counters.lost == 1)
        #expect(try scene.end())
    }

    @Test(
        "Whatever the network and Redis do, each look-up ends once and in time",
        .tags(.simulation)
    )
    func chaos() throws {
        var answerCount = 0
        var seen: [RedisCounters] = []
        for seed in UInt64(0)..<200 {
            var random = RandomSource(seed: seed)
            var plan = FaultPlan()
            plan.shortRead = random.next(below: 500)
            plan.shortWrite = random.next(below: 500)
            plan.spurious = random.next(below: 300)
            plan.refusal = random.next(below: 200)
            plan.unreachable = random.next(below: 100)
            plan.unanswered = random.next(below: 100)
            plan.aborted = random.next(below: 100)
            plan.exhausted = random.next(below: 100)
            plan.reset = random.next(below: 300)
            plan.silence = random.next(below: 200)
            if seed % 2 == 0 { plan.buffer = 200...4_000 }
            let scene = try Scene(seed: seed, plan: plan)
            for _ in 0..<150 {
                scene.loop.tick(until: nil)
                for _ in 0..<random.next(below: 6) {
                    let key = "k\(random.next(below: 10))"
                    switch random.next(below: 4) {
                    case 0:
                        let filler = String(repeating: "x", count: random.next(below: 2_000))
                        scene.ledger.store(key, signed: RedisSimulationTests.bytes(key + filler))
                    case 1: scene.ledger.ask([key, "k3", "k4"])
                    default: scene.ledger.ask([key])
                    }
                }
                if random.next(below: 30) == 0 {
                    _ = scene.connection.purge(prefix: "k", token: random.next() >> 2)
                }
                if random.next(below: 10) == 0 {
                    let manners = ScriptedRedis.Manner.allCases
                    scene.server.manner =
                        random.next(below: 3) > 0
                        ? .well : manners[random.next(below: manners.count)]
                }
                if random.next(below: 40) == 0 {
                    scene.server.shut()
                    scene.world.tickAll()
                } else if random.next(below: 4) == 0 {
                    try scene.server.open()
                    scene.world.tickAll()
                }
                try scene.world.pass(.milliseconds(Int64(random.next(below: 40))))
            }
            #expect(scene.ledger.slowest() <= .milliseconds(20), "seed \(seed)")
            for entry in scene.ledger.entries.values {
                for index in entry.values.indices {
                    // Replies out of step may be of the right kind; the checksum covers the key.
                    let key = entry.keys[index]
                    guard let value = entry.values[index],
                        let answer = LookUpLedger.answer(in: value, under: key)
                    else { continue }
                    answerCount += 1
                    #expect(answer.starts(with: key.utf8), "seed \(seed)")
                }
            }
            #expect(try scene.end(), "seed \(seed)")
            seen.append(scene.connection.counters)
        }
        #expect(answerCount > 1_000)
        let kinds: [KeyPath<RedisCounters, Int>] = [
            \.skipped, \.timeouts, \.refused, \.lost, \.droppedWrites, \.failedWrites,
            \.reconnects, \.failedAttempts, \.nonsense,
        ]
        for kind in kinds { #expect(seen.contains { $0[keyPath: kind] > 0 }, "\(kind)") }
    }
}

extension FaultPlan {
    static func deadEnd(_ chance: WritableKeyPath<FaultPlan, Int>) -> FaultPlan {
        var plan = FaultPlan()
        plan[keyPath: chance] = 1_000
        return plan
    }
}
