import SluiceBalancing
import SluiceCore
import SluiceEgress
import SluiceGateway
import SluiceIO
import SluiceIngress
import SluiceRouting
import SluiceSampleModels
import SluiceSimulation
import SluiceTLS
import SluiceTelemetry

/// A worker, its backends and its clients, each on a loop of its own, in one simulated world.
final class GatewayWorld {
    let scenario: Scenario
    let world: World
    let model = RecordingModel()
    private let board = BackendLoads()
    let store = MetricStore()
    /// What answers copies, and how many of them are under way.
    let shadowModel = RecordingModel()
    let mirrorGate = MirrorGate()
    private let sharedStates = [RevisionSharedState(), RevisionSharedState()]
    private let log = AccessChannel()
    private let count = ConnectionCount(maximum: 1_000)
    private let worker: Worker
    private let gateway: (loop: EventLoop, kernel: SimulatedKernel)
    private let clientSide: (loop: EventLoop, kernel: SimulatedKernel)
    private var loops: [(name: String, loop: EventLoop)] = []
    private var servers: [SampleServer] = []
    private var rude: [TCPListener] = []
    private var hasty: [Answerer] = []
    private var loads: [BackendLoad] = []
    private var plans: [BackendPlan] = []
    private var clients: [EchoClient] = []
    private var pipelining: PipeliningClient?
    private var probe: HealthProbe?
    private var grpcTargetCount = 0
    private var script: Script?

    init(_ scenario: Scenario) throws {
        self.scenario = scenario
        world = World(seed: scenario.seed)
        gateway = world.makeLoop(name: "gateway")
        clientSide = world.makeLoop(name: "clients")
        let readiness = GatewayReadiness()
        worker = Worker(
            loop: gateway.loop,
            number: 0,
            shared: .simulated(
                store: store,
                accessLog: log,
                connectionCount: count,
                readiness: readiness
            )
        )
        loops = [("gateway", gateway.loop), ("clients", clientSide.loop)]
        for role in scenario.roles { try addBackend(role, model) }
        if let shadow = scenario.shadow { try addBackend(shadow.role, shadowModel) }
        let snapshot = snapshot(1, plans)
        worker.publish(snapshot)
        if scenario.usesProbe {
            let control = world.makeLoop(name: "probe")
            loops.append(("probe", control.loop))
            let probe = HealthProbe(loop: control.loop, readiness: readiness)
            probe.watch(snapshot)
            self.probe = probe
        }
        try addClients()
        let script = Script(self)
        script.set(on: gateway.loop)
        self.script = script
    }

    // MARK: - Making it

    private func addBackend(_ role: Scenario.Role, _ model: RecordingModel) throws {
        let number = plans.count
        let (loop, _) = world.makeLoop(name: "backend-\(number)")
        loops.append(("backend-\(number)", loop))
        var address: SocketAddress =
            scenario.usesSocketFiles
            ? .unix(path: "/run/backend-\(number)") : .loopback(port: UInt16(9_000 + number))
        world.network.use(scenario.backendSide, for: address)
        switch role {
        case .absent: break
        case .rude:
            let listener = try TCPListener(loop: loop, address: address, sharesPort: false) {
                descriptor,
                _ in
                loop.kernel.close(descriptor)
                return true
            }
            listener.start()
            rude.append(listener)
        case .hasty:
            hasty.append(try Answerer(loop: loop, on: address, reply: .failure, delay: nil))
        case .good, .slow, .failing, .stalling:
            var options = SampleServerOptions()
            if role == .slow {
                options.delay = .milliseconds(5)
                options.jitter = .milliseconds(60)
                options.concurrency = 2
            }
            if role == .failing { options.failRate = 0.3 }
            if role == .stalling { options.delay = .seconds(20) }
            let server = SampleServer(
                loop: loop,
                service: SampleService(models: [model], version: "1"),
                options: options,
                seed: scenario.seed &+ UInt64(number)
            )
            address = try server.listen(on: address)
            servers.append(server)
        }
        let load = board.add()
        loads.append(load)
        plans.append(plan(number, address, load, generation: 1))
    }

    private func plan(
        _ number: Int,
        _ address: SocketAddress,
        _ load: BackendLoad,
        generation: Int
    ) -> BackendPlan {
        func target(_ httpVersion: Endpoint.HTTPVersionPolicy, _ kind: String) -> BackendTarget {
            BackendTarget(
                key: "\(kind) \(address) \(generation)",
                endpoint: Endpoint(
                    address: address,
                    httpVersion: httpVersion,
                    tls: nil,
                    serverName: "backend"
                ),
                authority: "backend:\(address.port)"
            )
        }
        return BackendPlan(
            label: address.description,
            rest: target(scenario.usesHTTP2Backends ? .http2 : .http1, "rest"),
            grpc: target(.http2, "grpc"),
            load: load,
            probePath: "/v2/health/ready",
            probeInterval: .seconds(5),
            probeTimeout: .seconds(1),
            maxInFlight: scenario.maxInFlight
        )
    }

    private func snapshot(_ generation: Int, _ backends: [BackendPlan]) -> Snapshot {
        // Two revisions where there are backends for them, and the shadow's behind them.
        let end = scenario.roles.count
        let cut = (end + 1) / 2
        var revisions = [
            RevisionPlan(
                name: "v1",
                backendModelName: nil,
                backends: Array(backends[..<cut]),
                board: sharedStates[0]
            )
        ]
        if cut < end {
            revisions.append(
                RevisionPlan(
                    name: "v2",
                    backendModelName: nil,
                    backends: Array(backends[cut..<end]),
                    board: sharedStates[1]
                )
            )
        }
        let weights = revisions.count == 1 ? [10_000] : [6_000, 4_000]
        let mirror = scenario.shadow?.plan(revision: revisions.count, gate: mirrorGate)
        if mirror != nil { revisions.append(Shadow.revision(Array(backends[end...]))) }
        return Snapshot(
            generation: generation,
            models: [
                ModelPlan(
                    name: "echo",
                    timeout: scenario.timeout,
                    balancing: scenario.balancing,
                    split: TrafficSplit(weights: weights + (mirror == nil ? [] : [0])),
                    revisions: revisions,
                    mirror: mirror,
                    resilience: resilience
                )
            ],
            maxRequestBytes: 4 << 20
        )
    }

    private var resilience: ResiliencePlan {
        var plan = ResiliencePlan()
        plan.queueTimeout = scenario.timeout
        plan.retry.isIdempotent = scenario.isIdempotent
        plan.concurrency = scenario.concurrency
        plan.hedge = scenario.hedge
        if scenario.isIdempotent { plan.retry.tryTimeout = .milliseconds(400) }
        return plan
    }

    private func addClients() throws {
        let address: SocketAddress =
            scenario.usesSocketFiles ? .unix(path: "/run/gateway") : .loopback(port: 8_080)
        world.network.use(scenario.clientSide, for: address)
        let isTLS = scenario.wire == .tls
        _ = try worker.listen(
            on: address,
            name: "main",
            tls: isTLS ? try TestCertificate.server() : nil,
            limits: IngressLimits()
        )
        let endpoint = Endpoint(
            address: address,
            httpVersion: scenario.isHTTP2 ? .http2 : .http1,
            tls: isTLS ? try TestCertificate.client(scenario.isHTTP2 ? [.http2] : [.http1]) : nil,
            serverName: "localhost"
        )
        clients = scenario.clients.map {
            EchoClient(
                loop: clientSide.loop,
                endpoint: endpoint,
                calls: $0.calls,
                vanishing: $0.vanishing
            )
        }
        if !scenario.pipelined.isEmpty {
            pipelining = PipeliningClient(
                loop: clientSide.loop,
                address: address,
                calls: scenario.pipelined
            )
        }
    }

    // MARK: - What happens to the gateway meanwhile

    /// A reload: half of the backends go, the rest get new connections; those that went come back
    /// under another name, so that there's always somewhere to go.
    fileprivate func reload() {
        let fresh = plans.enumerated().map { number, old -> BackendPlan in
            guard number % 2 == 0, let address = old.rest?.endpoint.address else { return old }
            let load = board.add()
            loads.append(load)
            return plan(number, address, load, generation: 2)
        }
        worker.publish(snapshot(2, fresh))
    }

    fileprivate func drain() { worker.drain(isFinal: false) }

    /// Reload and drain, at their times.
    private final class Script: TimerTarget {
        private unowned let world: GatewayWorld

        init(_ world: GatewayWorld) { self.world = world }

        func set(on loop: EventLoop) {
            if let reload = world.scenario.reload {
                _ = loop.setTimer(after: .nanoseconds(reload), target: self, tag: 0)
            }
            if let drain = world.scenario.drain {
                _ = loop.setTimer(after: .nanoseconds(drain), target: self, tag: 1)
            }
        }

        func timerFired(_ tag: UInt, at now: Instant) {
            if tag == 0 { world.reload() } else { world.drain() }
        }
    }

    // MARK: - Running it

    /// Every call of every client.
    var calls: [EchoCall] { clients.flatMap(\.calls) + (pipelining?.calls ?? []) }

    /// Runs the world to its end and tells everything that is wrong with it.
    func play() -> [String] {
        do {
            try world.run(until: world.clock.now + .seconds(200), "calls") {
                clients.allSatisfy(\.isDone) && (pipelining?.isDone ?? true)
            }
            for client in clients { client.close() }
            pipelining?.close()
            probe?.close()
            world.tickAll()
            // Longer than any time-out of a connection.
            try world.pass(.seconds(150))
            var faults = answers() + gauges() + bookkeeping()
            close()
            try world.pass(.seconds(5))
            faults += remains()
            return faults
        } catch {
            close()
            return ["\(error)"]
        }
    }

    private func close() {
        for client in clients { client.close() }
        pipelining?.close()
        probe?.close()
        worker.closeAll()
        for server in servers { server.closeAll() }
        for listener in rude { listener.close() }
        rude = []
        for answerer in hasty { answerer.close() }
        world.tickAll()
    }

    // MARK: - What must be true

    /// What the clients saw.
    private func answers() -> [String] {
        calls.flatMap { call -> [String] in
            let name = "\(call.id) (\(call.kind))"
            if let complaint = call.complaint { return ["\(name): \(complaint)"] }
            switch call.outcome {
            case .pending: return ["\(name) never ended"]
            case .hung where scenario.clientSide.silence == 0:
                return ["\(name) got neither an answer nor a failure"]
            case .answered(let status) where scenario.isCalm:
                let wanted =
                    switch call.kind {
                    case .unmatchedName: 404
                    case .grpcUnmatched: 5
                    case .grpc, .grpcStream: 0
                    default: 200
                    }
                return status == wanted ? [] : ["\(name) was answered \(status) on a calm day"]
            case .failed, .cancelled, .hung:
                return scenario.isCalm ? ["\(name) ended \(call.outcome) on a calm day"] : []
            default: return []
            }
        }
    }

    /// What must be zero again when all clients are gone.
    private func gauges() -> [String] {
        var faults: [String] = []
        func expect(_ value: Int, _ wanted: Int, _ name: String) {
            if value != wanted { faults.append("\(name) is \(value) instead of \(wanted)") }
        }
        expect(worker.openWork, 0, "worker.openWork")
        expect(worker.liveRecordCount, 0, "the worker's live records")
        expect(count.current, 0, "the connection count")
        for (index, load) in loads.enumerated() {
            expect(load.inFlight, 0, "backend \(index)'s requests in flight")
        }
        for (index, board) in sharedStates.enumerated() {
            expect(board.concurrency.inFlight, 0, "the count of revision \(index)'s requests")
            expect(board.queue.depth, 0, "the depth of line \(index)")
            expect(board.retries.count, 0, "the retries under way of revision \(index)")
        }
        for client in clients { expect(client.liveRecordCount, 0, "a client's live records") }
        expect(clientSide.kernel.openDescriptorCount, 0, "the clients' open descriptors")
        // HTTP/2 connections to backends stay; each pool has one at most.
        let listeners = 1
        let pools = loads.count * (scenario.usesHTTP2Backends ? 2 : 1)
        let open = gateway.kernel.openDescriptorCount
        if open > listeners + pools {
            faults.append("the gateway has \(open) descriptors for \(pools) pools")
        }
        return faults
    }

    /// Whether log, metrics, clients and backends tell the same story.
    private func bookkeeping() -> [String] {
        var faults: [String] = []
        let ledger = Ledger(log: log, store: store)
        for gauge in ["sluice_requests_in_flight", "sluice_connections"] {
            for sample in ledger.nonzero(gauge) {
                faults.append("\(gauge)\(sample.labels) is \(sample.value)")
            }
        }
        let byID = Dictionary(grouping: ledger.lines, by: \.id)
        let total = ledger.sum("sluice_requests_total")
        if total != ledger.lines.count {
            faults.append("\(total) requests counted, \(ledger.lines.count) logged")
        }
        for line in ledger.lines where line.reason == nil {
            if line.status >= 400 || line.grpcStatus ?? "OK" != "OK" {
                faults.append("nothing explains \(line)")
            }
        }
        for call in calls {
            let lines = byID[call.id] ?? []
            if lines.count > 1 { faults.append("\(call.id) was logged \(lines.count) times") }
            if !lines.isEmpty, !call.wasSent { faults.append("\(call.id) was never sent") }
            guard case .answered(let status) = call.outcome else { continue }
            guard let line = lines.first else {
                faults.append("\(call.id) was answered, but not logged")
                continue
            }
            let isSame =
                call.kind.isGRPC
                ? line.grpcStatus == GRPCStatusName.of(status).description
                : line.status == status
            if !isSame { faults.append("\(call.id) got \(status), the log says \(line)") }
        }
        let known = Set(calls.map(\.id))
        for id in byID.keys where !known.contains(id) { faults.append("nobody sent '\(id)'") }
        faults += mirrorBookkeeping(ledger)
        for (id, times) in model.counts {
            // A gRPC stream asks once for each message.
            let call = calls.first { $0.id == id }
            let most = (scenario.isIdempotent ? 2 : 1) + 2 * (scenario.hedge?.maxAttempts ?? 0)
            if times > most, call?.kind != .grpcStream {
                faults.append("\(id) reached backends \(times) times")
            }
        }
        return faults
    }

    /// What must be gone when everything is closed.
    private func remains() -> [String] {
        var faults: [String] = []
        let open = world.network.openDescriptorCount
        if open != 0 { faults.append("\(open) descriptors are left open") }
        for (name, loop) in loops {
            if loop.descriptorCount != 0 {
                faults.append("\(name) still watches \(loop.descriptorCount) descriptors")
            }
            if loop.timerCount != 0 { faults.append("\(name) has \(loop.timerCount) timers set") }
        }
        if worker.liveRecordCount != 0 {
            faults.append("the worker holds \(worker.liveRecordCount) records in the end")
        }
        return faults + world.network.violations
    }
}
