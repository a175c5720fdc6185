import Glibc
import SluiceCore
import SluiceEgress
import SluiceIO
import SluiceRedis
import Synchronization
import Testing

/// How late a thread that only sleeps wakes up meanwhile: what is judged by the clock is judged beside it.
private final class Lateness: Sendable {
    private let worst = Atomic<Int64>(0)
    private let isStopping = Atomic<Bool>(false)

    /// Measures until the returned thread is stopped by ``stop(_:)``.
    func start() -> LoopThread {
        LoopThread.start(core: nil) { [self] in
            let clock = ContinuousClock()
            while !isStopping.load(ordering: .relaxed) {
                let began = clock.now
                usleep(1_000)
                let late = (clock.now - began - .milliseconds(1)).nanoseconds
                if late > worst.load(ordering: .relaxed) { worst.store(late, ordering: .relaxed) }
            }
        }
    }

    func stop(_ thread: LoopThread) {
        isStopping.store(true, ordering: .relaxed)
        thread.join()
    }

    /// The worst so far.
    var soFar: Duration { .nanoseconds(worst.load(ordering: .relaxed)) }
}

/// The bounds are those we promise, with the margin that a busy machine needs: its scheduler may
/// keep a test waiting, as it keeps a control.
@Suite(
    "A connection to a real Redis",
    .enabled(if: RedisServer.isInstalled, "redis-server isn't installed"),
    .tags(.integration),
    .timeLimit(.minutes(2)),
    .serialized
)
struct RealRedisTests {
    private final class Scene {
        static let timeout = Duration.milliseconds(20)
        static let margin = Duration.milliseconds(10)

        let server: RedisServer
        let kernel: LinuxKernel
        let loop: EventLoop
        let ledger: LookUpLedger
        let connection: RedisConnection
        /// Look-ups that weren't sent, and how long it took to learn that.
        private(set) var refusals: [(at: Instant, cost: Duration)] = []

        private let lateness = Lateness()
        private let control: LoopThread

        init(_ transport: RedisServer.Transport, password: String? = nil) throws {
            control = lateness.start()
            server = try RedisServer(transport)
            kernel = try LinuxKernel()
            loop = EventLoop(kernel: kernel)
            ledger = LookUpLedger(loop: loop)
            guard let url = RedisURL(server.url) else { throw POSIXFailure.badURL }
            var endpoint = try RedisEndpoint.resolve(url)
            if let password { endpoint.settings.password = password }
            connection = RedisConnection(
                loop: loop,
                endpoint: endpoint,
                receiver: ledger,
                seed: 1
            )
            ledger.connection = connection
            connection.start()
        }

        enum POSIXFailure: Error { case badURL }

        /// Asks once a millisecond for so long, or until `isDone`; returns how long that took.
        @discardableResult
        func ask(
            for duration: Duration,
            within timeout: Duration = Scene.timeout,
            until isDone: () -> Bool = { false }
        ) -> Duration {
            let start = kernel.now()
            while kernel.now() < start + duration, !isDone() {
                loop.tick(until: kernel.now() + .milliseconds(1))
                let before = kernel.now()
                if ledger.ask(["k"], within: timeout) == nil {
                    refusals.append((before, kernel.now() - before))
                }
            }
            return kernel.now() - start
        }

        func untilUp(_ limit: Duration = .seconds(2)) {
            let time = ask(for: .seconds(10)) { connection.isUp }
            #expect(connection.isUp && time <= limit + lateness.soFar, "up after \(time)")
        }

        /// Waits until everything is answered, if it is.
        func settle() {
            let start = kernel.now()
            while connection.pendingCount > 0, kernel.now() < start + .seconds(2) {
                loop.tick(until: kernel.now() + .milliseconds(5))
            }
        }

        /// What a request has waited for Redis at most, of 99 in 100 that began in that time.
        func p99(from start: Instant, to end: Instant) -> Duration {
            let waits =
                ledger.waits(from: start, to: end)
                + refusals.filter { $0.at >= start && $0.at < end }.map(\.cost)
            return waits.sorted()[waits.count * 99 / 100]
        }

        /// Checks the promise for a Redis that stopped answering at `start`.
        func expectCheap(since start: Instant, _ name: String) {
            settle()
            let second = start + .seconds(1)
            let early = p99(from: start, to: second)
            let late = p99(from: second, to: kernel.now())
            let worst = ledger.slowest(since: start)
            print("\(name): first second p99 \(early), worst \(worst), later p99 \(late)")
            let margin = Scene.margin + lateness.soFar
            #expect(early <= Scene.timeout + margin)
            #expect(late <= .milliseconds(1) + lateness.soFar)
            #expect(worst <= Scene.timeout + margin)
        }

        func end() {
            lateness.stop(control)
            connection.close()
            settle()
            loop.tick(until: kernel.now())
            #expect(ledger.violations == [])
            #expect(ledger.openCount == 0)
            #expect(loop.timerCount == 0 && loop.descriptorCount == 0)
            let counters = connection.counters
            #expect(counters.lookUps == counters.answered + counters.failedLookUps)
        }
    }

    @Test(
        "Values come back as they went, and a purge takes what it should",
        arguments: RedisServer.Transport.allCases
    )
    func round(transport: RedisServer.Transport) throws {
        let scene = try Scene(transport)
        scene.untilUp()
        let large = [UInt8](repeating: 7, count: 1_000_000)
        scene.ledger.store("k", Array("value".utf8))
        scene.ledger.store("l", large)
        scene.settle()
        scene.loop.tick(until: scene.kernel.now())
        let token = scene.ledger.ask(["k", "x", "l"], within: .seconds(1)) ?? 0
        scene.settle()
        let isEqual = scene.ledger.entries[token]?.values == [Array("value".utf8), nil, large]
        #expect(isEqual)

        for number in 0..<3_100 {
            scene.ledger.store(number < 3_000 ? "p*\(number)" : "pq\(number - 3_000)", [1])
            if number % 500 == 499 { scene.settle() }
        }
        scene.settle()
        #expect(scene.connection.counters.droppedWrites == 0)
        #expect(scene.connection.purge(prefix: "p*", token: 1))
        while scene.connection.pendingCount > 0 { scene.settle() }
        #expect(scene.ledger.purges[1]?.isComplete == true)
        #expect(scene.ledger.purges[1]?.removed == 3_000)
        scene.loop.tick(until: scene.kernel.now())
        let left = scene.ledger.ask(["p*1", "pq1"], within: .seconds(1)) ?? 0
        scene.settle()
        #expect(scene.ledger.entries[left]?.values == [nil, [1]])
        scene.end()
    }

    @Test("Stopped (SIGSTOP) and continued", arguments: RedisServer.Transport.allCases)
    func stopped(transport: RedisServer.Transport) throws {
        let scene = try Scene(transport)
        scene.untilUp()
        scene.ask(for: .milliseconds(200))
        // On a busy machine the breaker may have opened by itself.
        scene.untilUp()
        scene.server.signal(SIGSTOP)
        let start = scene.kernel.now()
        scene.ask(for: .seconds(4))
        #expect(!scene.connection.isUp)
        scene.expectCheap(since: start, "stopped")
        scene.server.signal(SIGCONT)
        scene.untilUp()
        scene.ask(for: .milliseconds(100))
        scene.end()
    }

    @Test("Killed and started again", arguments: RedisServer.Transport.allCases)
    func killed(transport: RedisServer.Transport) throws {
        let scene = try Scene(transport)
        scene.untilUp()
        scene.ask(for: .milliseconds(200))
        scene.server.kill()
        let start = scene.kernel.now()
        scene.ask(for: .seconds(3))
        #expect(!scene.connection.isUp)
        scene.expectCheap(since: start, "killed")
        try scene.server.start()
        scene.untilUp()
        #expect(scene.connection.counters.reconnects == 1)
        scene.end()
    }

    @Test("Paused (CLIENT PAUSE)")
    func paused() throws {
        let scene = try Scene(.unix)
        scene.untilUp()
        try scene.server.command("CLIENT", "PAUSE", "3000", "ALL")
        let start = scene.kernel.now()
        scene.ask(for: .seconds(2))
        #expect(!scene.connection.isUp)
        scene.expectCheap(since: start, "paused")
        // It may have been up again a second after the pause, and that's two from here.
        scene.untilUp(.seconds(3))
        scene.end()
    }

    @Test("Full (maxmemory, noeviction): what is there is found, what isn't can't be stored")
    func full() throws {
        let scene = try Scene(.tcp)
        scene.untilUp()
        scene.ledger.store("k", [1, 2, 3])
        // What is counted here isn't how fast the machine is.
        let patience = Duration.seconds(10)
        scene.ask(for: .milliseconds(50), within: patience)
        scene.settle()
        try scene.server.command("CONFIG", "SET", "maxmemory-policy", "noeviction")
        try scene.server.command("CONFIG", "SET", "maxmemory", "1")
        let before = scene.connection.counters
        for _ in 0..<50 {
            scene.loop.tick(until: scene.kernel.now())
            scene.ledger.store("n", [1])
            scene.ask(for: .milliseconds(5), within: patience)
        }
        scene.settle()
        let counters = scene.connection.counters
        #expect(scene.connection.isUp)
        #expect(counters.failedWrites - before.failedWrites == 50)
        #expect(counters.hits > before.hits)
        #expect(counters.failedLookUps == before.failedLookUps)
        scene.end()
    }

    @Test("A wrong password is tried about once a second, and costs nobody anything")
    func wrongPassword() throws {
        let scene = try Scene(.tcp, password: "wrong")
        let start = scene.kernel.now()
        scene.ask(for: .seconds(4))
        #expect(!scene.connection.isUp)
        #expect((3...8).contains(scene.connection.counters.failedAttempts))
        #expect(scene.connection.counters.answered == 0)
        #expect(scene.p99(from: start, to: scene.kernel.now()) <= .milliseconds(1))
        scene.end()
    }

    @Test("Replaced by a server that answers garbage, and put back")
    func garbage() throws {
        let scene = try Scene(.unix)
        scene.untilUp()
        scene.ledger.store("k", [1, 2, 3])
        scene.ask(for: .milliseconds(50))
        scene.settle()
        scene.server.kill()
        let impostor = try ScriptedRedis(
            loop: scene.loop,
            on: scene.connection.endpoint.addresses[0]
        )
        impostor.manner = .garbage
        let start = scene.kernel.now()
        let hits = scene.connection.counters.hits
        scene.ask(for: .seconds(4))
        #expect(scene.connection.counters.hits == hits)
        #expect(scene.connection.counters.nonsense > 0)
        scene.expectCheap(since: start, "garbage")
        impostor.shut()
        try scene.server.start()
        scene.untilUp()
        scene.end()
    }
}
