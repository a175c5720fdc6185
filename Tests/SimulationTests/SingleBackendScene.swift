import SluiceBalancing
import SluiceCache
import SluiceCore
import SluiceEgress
import SluiceGateway
import SluiceIO
import SluiceInference
import SluiceIngress
import SluiceRouting
import SluiceSimulation
import SluiceTelemetry
import Testing

extension Snapshot {
    /// A snapshot of the model `m`, whose only revision has this backend.
    static func single(
        _ backend: BackendPlan,
        timeout: Duration = .seconds(1),
        runtime: Runtime = Runtime(.generic),
        cache: CachePolicy? = nil,
        resilience: ResiliencePlan = ResiliencePlan()
    ) -> Snapshot {
        Snapshot(
            generation: 1,
            models: [
                ModelPlan(
                    name: "m",
                    timeout: timeout,
                    balancing: .leastRequest,
                    split: TrafficSplit(weights: [10_000]),
                    revisions: [
                        RevisionPlan(
                            name: "v1",
                            backendModelName: nil,
                            backends: [backend],
                            runtime: runtime
                        )
                    ],
                    cache: cache,
                    resilience: resilience
                )
            ],
            maxRequestBytes: 1 << 20
        )
    }
}

extension BackendPlan {
    /// A backend `b` that speaks REST, gRPC or both at `endpoint`.
    static func single(
        _ endpoint: Endpoint,
        _ load: BackendLoad,
        rest: Bool = true,
        grpc: Bool = false
    ) -> BackendPlan {
        let target = BackendTarget(key: "b", endpoint: endpoint, authority: "b")
        return BackendPlan(
            label: "b",
            rest: rest ? target : nil,
            grpc: grpc ? target : nil,
            load: load,
            probePath: "/",
            probeInterval: .seconds(5),
            probeTimeout: .seconds(1)
        )
    }
}

/// A worker with one model of one backend, which the test brings along and which is up.
final class SingleBackendScene {
    static let address = SocketAddress.loopback(port: 80)
    static let model = SocketAddress.loopback(port: 9_001)
    let world: World
    let store = MetricStore()
    let log = AccessChannel()
    let load: BackendLoad
    let client: EventLoop
    let backend: EventLoop
    private let worker: Worker
    private let board = BackendLoads()

    init(
        _ httpVersion: Endpoint.HTTPVersionPolicy,
        world: World = World(seed: 1),
        rest: Bool = true,
        grpc: Bool = false,
        timeout: Duration = .seconds(1),
        runtime: Runtime = Runtime(.generic),
        fields: BackendFields? = nil,
        maxInFlight: Int = 0,
        cache: CachePolicy? = nil,
        resilience: ResiliencePlan = ResiliencePlan(),
        _ change: (inout Endpoint) -> Void = { _ in }
    ) throws {
        self.world = world
        worker = Worker(
            loop: world.makeLoop(name: "gateway").loop,
            number: 0,
            shared: .simulated(
                store: store,
                accessLog: log,
                cache: cache.map { _ in
                    ResultCache(
                        maxBytes: 1 << 20,
                        maxEntryBytes: 1 << 16,
                        redis: nil,
                        mailboxes: WorkerMailboxes(),
                        seed: 1
                    ) { _ in }
                }
            )
        )
        // Within an instant the backend comes first, as its loop does.
        backend = world.makeLoop(name: "backend").loop
        client = world.makeLoop(name: "client").loop
        load = board.add()
        load.health = .up
        _ = try worker.listen(on: Self.address, name: "main", tls: nil, limits: IngressLimits())
        var endpoint = Endpoint(
            address: Self.model,
            httpVersion: httpVersion,
            tls: nil,
            serverName: "b"
        )
        change(&endpoint)
        var plan = BackendPlan.single(endpoint, load, rest: rest, grpc: grpc)
        plan.fields = fields
        plan.maxInFlight = maxInFlight
        worker.publish(
            .single(
                plan,
                timeout: timeout,
                runtime: runtime,
                cache: cache,
                resilience: resilience
            )
        )
    }

    var ledger: Ledger { Ledger(log: log, store: store) }

    /// Why the request that came last ended as it did.
    func reason() throws -> String? {
        // The log is handed over once a second.
        try world.pass(.seconds(3))
        return ledger.lines.last?.reason
    }

    /// Ends all but the caller and the backend, which `close` closes, and sees to it that nothing is left.
    func end(_ close: () -> Void) throws {
        close()
        worker.closeAll()
        world.tickAll()
        try world.pass(.seconds(2))
        #expect(worker.openWork == 0 && worker.liveRecordCount == 0 && load.inFlight == 0)
        #expect(world.network.openDescriptorCount == 0 && world.network.violations.isEmpty)
    }
}
