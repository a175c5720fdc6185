import SluiceBalancing
import SluiceCore
import SluiceEgress
import SluiceGateway
import SluiceIO
import SluiceIngress
import SluiceRouting
import SluiceSimulation
import SluiceTelemetry
import Testing

/// A canary that gets all traffic, and what is counted against it.
final class JudgedScene {
    static let address = SocketAddress.loopback(port: 80)
    static let timeout = Duration.seconds(1)
    let world = World(seed: 1)
    let store = MetricStore()
    let log = AccessChannel()
    let backend: ObedientBackend
    let loads: [BackendLoad]
    let client: EventLoop
    private let worker: Worker
    private let stable: ObedientBackend
    private let loadBoard = BackendLoads()
    private let board = RevisionSharedState()

    init(isHTTP2: Bool = false, _ change: (inout ResiliencePlan) -> Void = { _ in }) throws {
        worker = Worker(
            loop: world.makeLoop(name: "gateway").loop,
            number: 0,
            shared: .simulated(store: store, accessLog: log)
        )
        client = world.makeLoop(name: "client").loop
        var limits = IngressLimits()
        limits.bodyTimeout = .seconds(10)
        _ = try worker.listen(on: Self.address, name: "main", tls: nil, limits: limits)
        let addresses = [9_001, 9_002].map { SocketAddress.loopback(port: UInt16($0)) }
        stable = try ObedientBackend(loop: world.makeLoop(name: "stable").loop, on: addresses[0])
        backend = try ObedientBackend(loop: world.makeLoop(name: "canary").loop, on: addresses[1])
        loads = [loadBoard.add(), loadBoard.add()]
        var resilience = ResiliencePlan()
        resilience.concurrency = ConcurrencyBounds(minimum: 50, maximum: 200)
        change(&resilience)
        func revision(_ number: Int) -> RevisionPlan {
            func target(_ httpVersion: Endpoint.HTTPVersionPolicy) -> BackendTarget {
                BackendTarget(
                    key: "\(number) \(httpVersion)",
                    endpoint: Endpoint(
                        address: addresses[number],
                        httpVersion: httpVersion,
                        tls: nil,
                        serverName: "b"
                    ),
                    authority: "b"
                )
            }
            loads[number].health = .up
            let plan = BackendPlan(
                label: "b\(number)",
                rest: target(isHTTP2 ? .http2 : .http1),
                grpc: target(.http2),
                load: loads[number],
                probePath: "/",
                probeInterval: .seconds(5),
                probeTimeout: .seconds(1)
            )
            return RevisionPlan(
                name: "v\(number + 1)",
                backendModelName: nil,
                backends: [plan],
                board: number == 1 ? board : RevisionSharedState()
            )
        }
        worker.publish(
            Snapshot(
                generation: 1,
                models: [
                    ModelPlan(
                        name: "m",
                        timeout: Self.timeout,
                        balancing: .peakEwma,
                        split: TrafficSplit(weights: [0, 10_000]),
                        revisions: [revision(0), revision(1)],
                        resilience: resilience
                    )
                ],
                maxRequestBytes: 1 << 20
            )
        )
    }

    /// What a rollout would read.
    var answers: AnswerReading { store.answers.read(model: "m", revision: "v2") }

    /// Everything that has been counted against the canary or its backend.
    var charges: [String] {
        var charges: [String] = []
        if answers.failures > 0 { charges.append("\(answers.failures) failures for the rollout") }
        let record = loads[1].failures
        if record != .clean {
            charges.append("failures of the backend: \(record.share(at: world.clock.now))")
        }
        if loads[1].health != .up { charges.append("the backend is \(loads[1].health)") }
        if board.retries.count > 0 { charges.append("\(board.retries.count) retries under way") }
        let ledger = Ledger(log: log, store: store)
        for family in [
            "sluice_retries_total", "sluice_backend_ejections_total",
            "sluice_retry_budget_exhausted_total", "sluice_rejected_total",
        ] {
            let sum = ledger.sum(family)
            if sum > 0 { charges.append("\(family) is \(sum)") }
        }
        // A tenth of the timeout is far more than the backend takes for anything.
        let slow = answers.durations.enumerated().filter { $0.element > 0 }.map(\.offset)
        let bound = DurationScale.bucket(nanoseconds: 100_000_000)
        if let worst = slow.max(), worst > bound { charges.append("an answer took long") }
        return charges
    }

    func end() throws {
        worker.closeAll()
        backend.close()
        stable.close()
        world.tickAll()
        try world.pass(.seconds(2))
        #expect(worker.openWork == 0 && worker.liveRecordCount == 0)
        #expect(
            loads[1].inFlight == 0 && board.retries.count == 0 && board.concurrency.inFlight == 0
        )
        #expect(world.network.violations.isEmpty)
    }
}
