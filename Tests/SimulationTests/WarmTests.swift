import SluiceBalancing
import SluiceCache
import SluiceCore
import SluiceEgress
import SluiceGateway
import SluiceIO
import SluiceInference
import SluiceIngress
import SluiceRouting
import SluiceSampleModels
import SluiceSimulation
import SluiceTelemetry
import Synchronization
import Testing

/// A worker with a cache and one revision to be warmed.
private final class WarmScene {
    enum Backend {
        /// Echoes after so long.
        case echo(Duration)
        /// Answers with a failure.
        case fails
        /// Nobody listens.
        case absent
    }

    let world = World(seed: 11)
    let store = MetricStore()
    let cache = ResultCache(
        maxBytes: 8 << 20,
        maxEntryBytes: 1 << 20,
        redis: nil,
        mailboxes: WorkerMailboxes(),
        seed: 1
    ) { _ in }
    private let asked = RecordingModel()
    private let worker: Worker
    private let gateway: EventLoop
    private var servers: [SampleServer] = []
    private let board = BackendLoads()
    private let load: BackendLoad
    private let ends = Ends()

    init(_ backend: Backend) throws {
        load = board.add()
        gateway = world.makeLoop(name: "gateway").loop
        worker = Worker(
            loop: gateway,
            number: 0,
            shared: .simulated(
                store: store,
                cache: cache
            )
        )
        var options = SampleServerOptions()
        switch backend {
        case .echo(let delay): options.delay = delay
        case .fails: options.failRate = 1
        case .absent: break
        }
        let address = SocketAddress.loopback(port: 9_001)
        if case .absent = backend {
        } else {
            let server = SampleServer(
                loop: world.makeLoop(name: "v2").loop,
                service: SampleService(models: [asked], version: "v2"),
                options: options,
                seed: 1
            )
            _ = try server.listen(on: address)
            servers.append(server)
        }
        worker.publish(snapshot(address))
    }

    private func snapshot(_ address: SocketAddress?) -> Snapshot {
        let target = address.map {
            BackendTarget(
                key: "v2",
                endpoint: Endpoint(address: $0, httpVersion: .http2, tls: nil, serverName: "b"),
                authority: "b:1"
            )
        }
        let backend = BackendPlan(
            label: "b",
            rest: target,
            grpc: target,
            load: load,
            probePath: "/",
            probeInterval: .seconds(5),
            probeTimeout: .seconds(1)
        )
        let revision = RevisionPlan(name: "v2", backendModelName: nil, backends: [backend])
        return Snapshot(
            generation: 1,
            models: address == nil
                ? []
                : [
                    ModelPlan(
                        name: "echo",
                        timeout: .seconds(1),
                        balancing: .leastRequest,
                        split: TrafficSplit(weights: [10_000]),
                        revisions: [revision],
                        cache: CachePolicy(
                            timeToLive: .seconds(60),
                            warm: WarmPolicy(top: 10, rate: 100)
                        )
                    )
                ],
            maxRequestBytes: 1 << 20
        )
    }

    /// A run over `count` inputs, taken up by the worker.
    func warm(_ count: Int, rate: Int = 100) -> WarmupRun {
        let requests = (0..<count).map { number in
            TopRequest(
                form: .v2,
                path: Array("/v2/models/echo/infer".utf8),
                contentType: Array("application/json".utf8),
                body: Array(
                    "{\"inputs\":[{\"name\":\"x\",\"datatype\":\"INT32\",\"shape\":[1],\"data\":[\(number)]}]}"
                        .utf8
                )
            )
        }
        let run = WarmupRun(model: "echo", revision: "v2", rate: rate, requests) { [ends] end in
            ends.add(end)
        }
        worker.warm(run)
        return run
    }

    /// How runs have ended, each once.
    var ended: [WarmupRun.Progress] { ends.all }

    /// Runs until so many runs are over; returns how many seconds that took.
    func run(_ count: Int = 1) throws -> Double {
        let start = world.clock.now
        try world.run(until: start + .seconds(60), "runs") { ended.count >= count }
        return Double(world.clock.now.nanoseconds(since: start)) / 1e9
    }

    func pass(_ duration: Duration) throws { try world.pass(duration) }

    func forgetModel() { worker.publish(snapshot(nil)) }

    private func sum(_ family: String, _ label: String = "") -> Int {
        Ledger(log: AccessChannel(), store: store).sum(family) {
            label.isEmpty || $0.contains(label)
        }
    }

    func counted(_ result: String) -> Int {
        sum("sluice_warm_requests_total", "result=\"\(result)\"")
    }

    /// What was counted as if callers had asked.
    var clientCounts: Int {
        sum("sluice_requests_total") + sum("sluice_cache_requests_total")
    }

    /// Calls that the backend has now.
    var inFlight: Int { load.inFlight }

    /// Ends all; returns what is not as it was in the beginning.
    func close() throws -> [String] {
        worker.closeAll()
        for server in servers { server.closeAll() }
        world.tickAll()
        try world.pass(.seconds(3))
        var faults: [String] = []
        if sum("sluice_requests_in_flight") != 0 { faults.append("requests in flight") }
        if load.inFlight != 0 { faults.append("\(load.inFlight) at the backend") }
        if worker.liveRecordCount != 0 { faults.append("\(worker.liveRecordCount) records") }
        if gateway.timerCount != 0 { faults.append("\(gateway.timerCount) timers") }
        if world.network.openDescriptorCount != 0 { faults.append("open descriptors") }
        return faults + world.network.violations
    }
}

private final class Ends: Sendable {
    private let ends = Mutex<[WarmupRun.Progress]>([])
    func add(_ end: WarmupRun.Progress) { ends.withLock { $0.append(end) } }
    var all: [WarmupRun.Progress] { ends.withLock { $0 } }
}

@Suite("Warming a revision")
struct WarmTests {
    @Test("All inputs are answered at the rate, kept, and counted as nobody's requests")
    func answered() throws {
        let scene = try WarmScene(.echo(.milliseconds(3)))
        let run = scene.warm(200)
        let seconds = try scene.run()
        #expect(run.progress.answered == 200 && run.progress.end == .done)
        #expect((1.9...2.2).contains(seconds), "200 at 100/s took \(seconds) s")
        #expect(scene.counted("answered") == 200 && scene.clientCounts == 0)
        // Once more: all of it is known, so it takes no time and asks nobody.
        let again = scene.warm(200)
        #expect(try scene.run(2) < 0.5)
        #expect(again.progress.skipped == 200 && again.progress.answered == 0)
        #expect(scene.ended.count == 2)
        #expect(try scene.close() == [])
    }

    @Test("A slow backend has eight of them at most")
    func bounded() throws {
        let scene = try WarmScene(.echo(.milliseconds(200)))
        _ = scene.warm(40, rate: 1000)
        var most = 0
        for _ in 0..<150 {
            try scene.pass(.milliseconds(10))
            most = max(most, scene.inFlight)
        }
        #expect(most == WarmupRun.inFlightMaximum)
        #expect(scene.ended.map(\.answered) == [40])
        #expect(try scene.close() == [])
    }

    @Test("Ten failures in a row end it", arguments: [true, false])
    func failing(isThere: Bool) throws {
        let scene = try WarmScene(isThere ? .fails : .absent)
        _ = scene.warm(200)
        _ = try scene.run()
        let end = try #require(scene.ended.first)
        #expect(end.failed == WarmupRun.failureMaximum && end.answered == 0)
        guard case .failing(let sentence)? = end.end else {
            Issue.record("it ended with \(String(describing: end.end))")
            return
        }
        #expect(sentence.hasPrefix("HTTP 50"), "\(sentence)")
        try scene.pass(.seconds(3))
        #expect(
            scene.counted("failed") <= WarmupRun.failureMaximum + WarmupRun.inFlightMaximum,
            "it is let alone then"
        )
        #expect(try scene.close() == [])
    }

    @Test("Cancelled, it sends nothing more, and all that was counted up comes down")
    func cancelled() throws {
        let scene = try WarmScene(.echo(.milliseconds(50)))
        let run = scene.warm(500)
        try scene.pass(.seconds(1))
        run.cancel()
        run.cancel()
        let counted = scene.counted("answered")
        try scene.pass(.seconds(2))
        #expect(scene.ended.map(\.end) == [.cancelled])
        #expect((50...110).contains(counted))
        #expect(scene.counted("answered") <= counted + WarmupRun.inFlightMaximum)
        #expect(scene.inFlight == 0)
        #expect(try scene.close() == [])
    }

    @Test("A model that a reload takes away, and a worker that closes, end it")
    func gone() throws {
        let scene = try WarmScene(.echo(.milliseconds(50)))
        _ = scene.warm(500)
        try scene.pass(.milliseconds(500))
        scene.forgetModel()
        _ = try scene.run()
        #expect(scene.ended.map(\.end) == [.failing("it isn't configured any more")])
        let other = try WarmScene(.echo(.milliseconds(50)))
        _ = other.warm(500)
        try other.pass(.milliseconds(500))
        #expect(try other.close() == [])
        #expect(other.ended.map(\.end) == [.cancelled])
        #expect(try scene.close() == [])
    }

    @Test("Failures that are the inputs' own don't end it")
    func inputs() {
        let requests = (0..<30).map { _ in
            TopRequest(form: .v2, path: [], contentType: [], body: [])
        }
        let run = WarmupRun(model: "m", revision: "r", rate: 1000, requests) { _ in }
        var now = Instant.zero + .seconds(1)
        for number in 0..<30 {
            now = now + .milliseconds(1)
            guard case .replay = run.next(at: now) else {
                Issue.record("the rate allows one a millisecond")
                return
            }
            run.ended(.failed, isRevisionsFault: number % 10 == 0, "HTTP 400")
        }
        #expect(run.progress.failed == 30 && run.progress.end == .done)
    }
}
