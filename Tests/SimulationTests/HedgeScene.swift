import SluiceBalancing
import SluiceCache
import SluiceCore
import SluiceEgress
import SluiceGateway
import SluiceIO
import SluiceIngress
import SluiceRouting
import SluiceSampleModels
import SluiceSimulation
import SluiceTelemetry

/// A worker and the backends of one revision, which are asked in their order.
final class HedgeScene {
    enum Backend {
        /// Echoes after so long.
        case echo(Duration)
        /// Answers 503, or UNAVAILABLE, at once.
        case unavailable
        /// Nobody listens.
        case absent
        /// Hears and says nothing, unless it is told to.
        case silent
    }

    static let timeout = Duration.seconds(1)
    let world = World(seed: 7)
    let model = RecordingModel()
    let calls: [EchoCall]
    let revision = RevisionSharedState()
    private(set) var silent: [NghttpBackend] = []
    private(set) var loads: [BackendLoad] = []
    private let store = MetricStore()
    private let log = AccessChannel()
    private let worker: Worker
    private let gateway: EventLoop
    private let client: EchoClient
    private var servers: [SampleServer] = []
    private let board = BackendLoads()

    init(
        _ backends: [Backend],
        calls: [EchoCall],
        delay: Duration = .milliseconds(50),
        maxAttempts: Int = 2,
        http2: Bool = true,
        sharesEndpoint: Bool = false,
        _ adjust: (inout ResiliencePlan) -> Void = { _ in },
        maxInFlight: Int = 0,
        cache: CachePolicy? = nil,
        adjustBackends: (inout [BackendPlan]) -> Void = { _ in }
    ) throws {
        self.calls = calls
        gateway = world.makeLoop(name: "gateway").loop
        worker = Worker(
            loop: gateway,
            number: 0,
            shared: .simulated(
                store: store,
                accessLog: log,
                cache: cache.map { _ in
                    ResultCache(
                        maxBytes: 8 << 20,
                        maxEntryBytes: 1 << 20,
                        redis: nil,
                        mailboxes: WorkerMailboxes(),
                        seed: 1
                    ) {
                        _ in
                    }
                }
            )
        )
        let address = SocketAddress.loopback(port: 8_080)
        client = EchoClient(
            loop: world.makeLoop(name: "client").loop,
            endpoint: Endpoint(address: address, httpVersion: .http2, tls: nil, serverName: "a"),
            calls: calls,
            vanishing: nil
        )
        _ = try worker.listen(on: address, name: "main", tls: nil, limits: IngressLimits())
        var plans = try backends.enumerated().map {
            try plan($0.offset, $0.element, http2: http2, maxInFlight: maxInFlight)
        }
        if sharesEndpoint {
            for index in plans.indices {
                (plans[index].rest, plans[index].grpc) = (plans[0].rest, plans[0].grpc)
            }
        }
        adjustBackends(&plans)
        var resilience = ResiliencePlan()
        resilience.retry.isIdempotent = true
        resilience.hedge = HedgePolicy(delay: delay, maxAttempts: maxAttempts)
        adjust(&resilience)
        worker.publish(
            Snapshot(
                generation: 1,
                models: [
                    ModelPlan(
                        name: "echo",
                        timeout: HedgeScene.timeout,
                        balancing: .roundRobin,
                        split: TrafficSplit(weights: [10_000]),
                        revisions: [
                            RevisionPlan(
                                name: "v1",
                                backendModelName: nil,
                                backends: plans,
                                board: revision
                            )
                        ],
                        cache: cache,
                        resilience: resilience
                    )
                ],
                maxRequestBytes: 4 << 20
            )
        )
    }

    private func plan(
        _ number: Int,
        _ backend: Backend,
        http2: Bool,
        maxInFlight: Int
    ) throws -> BackendPlan {
        let address = SocketAddress.loopback(port: UInt16(9_001 + number))
        var options = SampleServerOptions()
        switch backend {
        case .echo(let pause): options.delay = pause
        case .unavailable: options.failRate = 1
        case .absent, .silent: break
        }
        switch backend {
        case .absent: break
        case .silent:
            let loop = world.makeLoop(name: "silent-\(number)").loop
            silent.append(try NghttpBackend(loop: loop, on: address))
        case .echo, .unavailable:
            let server = SampleServer(
                loop: world.makeLoop(name: "backend-\(number)").loop,
                service: SampleService(models: [model], version: "1"),
                options: options,
                seed: 1
            )
            _ = try server.listen(on: address)
            servers.append(server)
        }
        let load = board.add()
        loads.append(load)
        func target(_ httpVersion: Endpoint.HTTPVersionPolicy) -> BackendTarget {
            BackendTarget(
                key: "\(number) \(httpVersion)",
                endpoint: Endpoint(
                    address: address,
                    httpVersion: httpVersion,
                    tls: nil,
                    serverName: "b"
                ),
                authority: "b:\(address.port)"
            )
        }
        return BackendPlan(
            label: address.description,
            rest: target(http2 ? .http2 : .http1),
            grpc: target(.http2),
            load: load,
            probePath: "/",
            probeInterval: .seconds(5),
            probeTimeout: .seconds(1),
            maxInFlight: maxInFlight
        )
    }

    /// Runs until every call is over; returns how many milliseconds that took.
    @discardableResult
    func run() throws -> Int64 {
        let start = world.clock.now
        try world.run(until: start + .seconds(30), "calls") { client.isDone }
        return world.clock.now.nanoseconds(since: start) / 1_000_000
    }

    func pass(_ duration: Duration) throws { try world.pass(duration) }

    /// The first backend's connections are closed, whatever it has under way.
    func closeFirst() { servers[0].closeAll() }

    /// What became of copies.
    func count(_ result: String) -> Int {
        ledger.sum("sluice_hedges_total") { $0.contains("result=\"\(result)\"") }
    }

    /// Copies in all, whatever became of them.
    var hedgeCount: Int { ledger.sum("sluice_hedges_total") { _ in true } }

    /// What a backend's requests came to, by code.
    func answers(_ backend: Int, _ code: String) -> Int {
        ledger.sum("sluice_backend_requests_total") {
            $0.contains(":\(9_001 + backend)\"") && $0.contains("code=\"\(code)\"")
        }
    }

    /// How often the cache said so.
    func looked(_ result: String) -> Int {
        ledger.sum("sluice_cache_requests_total") { $0.contains("result=\"\(result)\"") }
    }

    private var ledger: Ledger { Ledger(log: AccessChannel(), store: store) }

    /// How many attempts each call took, from the access log.
    var attempts: [String: Int] {
        Ledger(log: log, store: store).lines.reduce(into: [:]) { $0[$1.id] = $1.attempts }
    }

    /// What is not as it was before the first request.
    var remains: [String] {
        var faults: [String] = []
        let open = ledger.sum("sluice_requests_in_flight") { _ in true }
        if open != 0 { faults.append("\(open) requests in flight") }
        for (index, load) in loads.enumerated() where load.inFlight != 0 {
            faults.append("backend \(index) has \(load.inFlight) requests")
        }
        if revision.retries.count != 0 { faults.append("\(revision.retries.count) retries") }
        if revision.concurrency.inFlight != 0 { faults.append("places are still taken") }
        return faults
    }

    /// Closes everything, and tells what is left.
    func close() throws -> [String] {
        client.close()
        worker.closeAll()
        for server in servers { server.closeAll() }
        for backend in silent { backend.close() }
        world.tickAll()
        try world.pass(.seconds(3))
        var faults = remains
        if worker.liveRecordCount != 0 { faults.append("\(worker.liveRecordCount) records") }
        if gateway.timerCount != 0 { faults.append("\(gateway.timerCount) timers") }
        if world.network.openDescriptorCount != 0 { faults.append("open descriptors") }
        return faults + world.network.violations
    }
}
