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

/// A gateway between a client and backends, one side of which is struck at some byte; the seed says
/// which, how, and what was asked.
final class EndScene {
    enum Feature: CaseIterable {
        case plain, cached, rows, translated, queue, retries, hedge, mirror
    }

    enum Fault: CaseIterable {
        case reset, killed, ended, deaf, mute, silence
    }

    let seed: UInt64
    let feature: Feature
    let fault: Fault
    /// Whether the client's connections are struck, or else the first backend's.
    let strikesClient: Bool
    let isHTTP2: Bool
    let backendsSpeakHTTP2: Bool
    let horizon: Int
    let calls: [EchoCall]

    private static let timeout = Duration.seconds(1)
    private static let bodyTimeout = Duration.seconds(2)
    private let world: World
    private let model = RecordingModel()
    private let store = MetricStore()
    private let log = AccessChannel()
    private let count = ConnectionCount(maximum: 100)
    private let gate = MirrorGate()
    private let sharedStates = [RevisionSharedState(), RevisionSharedState()]
    private let board = BackendLoads()
    private var loads: [BackendLoad] = []
    private var servers: [SampleServer] = []
    private let gateway: EventLoop
    private let worker: Worker
    private let client: EchoClient

    init(seed: UInt64) throws {
        var random = RandomSource(seed: seed &* 0x9E37_79B9_7F4A_7C15)
        self.seed = seed
        feature = Feature.allCases[random.next(below: Feature.allCases.count)]
        fault = Fault.allCases[random.next(below: Fault.allCases.count)]
        strikesClient = random.next(below: 2) == 0
        isHTTP2 = random.next(below: 2) == 0
        backendsSpeakHTTP2 = random.next(below: 2) == 0
        // Near the beginning, where heads are, or anywhere in a body.
        let size = [20, 3_000, 40_000, 300_000, 700_000][random.next(below: 5)]
        horizon =
            random.next(below: 2) == 0
            ? random.next(below: 600) : random.next(below: size * 5 / 4 + 600)
        calls = EndScene.calls(seed, size: size, isHTTP2: isHTTP2, &random)

        world = World(seed: seed)
        gateway = world.makeLoop(name: "gateway").loop
        let cached = feature == .cached || feature == .rows
        worker = Worker(
            loop: gateway,
            number: 0,
            shared: .simulated(
                store: store,
                accessLog: log,
                connectionCount: count,
                cache: cached
                    ? ResultCache(
                        maxBytes: 8 << 20,
                        maxEntryBytes: 1 << 18,
                        redis: nil,
                        mailboxes: WorkerMailboxes(),
                        seed: 1
                    ) {
                        _ in
                    } : nil
            )
        )
        let address = SocketAddress.loopback(port: 8_080)
        client = EchoClient(
            loop: world.makeLoop(name: "client").loop,
            endpoint: Endpoint(
                address: address,
                httpVersion: isHTTP2 ? .http2 : .http1,
                tls: nil,
                serverName: "a"
            ),
            calls: calls,
            vanishing: nil
        )
        var limits = IngressLimits()
        limits.bodyTimeout = EndScene.bodyTimeout
        _ = try worker.listen(on: address, name: "main", tls: nil, limits: limits)
        world.network.use(plan(isStruck: strikesClient, &random), for: address)
        var plans: [BackendPlan] = []
        for number in 0..<3 {
            let isStruck = !strikesClient && number != 1
            world.network.use(plan(isStruck: isStruck, &random), for: Self.backend(number))
            plans.append(try backend(number))
        }
        worker.publish(snapshot(plans))
    }

    private static func backend(_ number: Int) -> SocketAddress {
        .loopback(port: UInt16(9_001 + number))
    }

    private static func calls(
        _ seed: UInt64,
        size: Int,
        isHTTP2: Bool,
        _ random: inout RandomSource
    ) -> [EchoCall] {
        let rest: [EchoCall.Kind] = [.v1, .v2, .binary, .binary, .unmatchedName, .live]
        let grpc: [EchoCall.Kind] = [.grpc, .grpc, .grpc, .grpcStream, .grpcUnmatched]
        let kinds = isHTTP2 ? rest + grpc + grpc : rest
        return (0..<(1 + random.next(below: 3))).map { number in
            let kind = kinds[random.next(below: kinds.count)]
            let isText = [EchoCall.Kind.v1, .v2, .unmatchedName].contains(kind)
            // Equal ones meet in the cache.
            let call = EchoCall(
                id: "e\(seed)r\(number)",
                kind: kind,
                payload: [UInt8](repeating: 7, count: isText ? min(size, 5_000) : size),
                messageCount: kind == .grpcStream ? 2 : 1
            )
            call.start = Int64(random.next(below: 3)) * 1_000_000
            call.fragments = 1 + random.next(below: 4)
            call.pause = Int64(random.next(below: 10_000_000))
            if random.next(below: 6) == 0 { call.slowness = 50_000_000 }
            if random.next(below: 6) == 0 {
                call.progressTimeout = Int64(random.next(below: 900_000_000))
            }
            return call
        }
    }

    private func plan(isStruck: Bool, _ random: inout RandomSource) -> FaultPlan {
        var plan = FaultPlan()
        plan.shortRead = [0, 100][random.next(below: 2)]
        plan.shortWrite = [0, 100][random.next(below: 2)]
        plan.buffer = [2_048...8_192, 65_536...262_144][random.next(below: 2)]
        guard isStruck else { return plan }
        plan.horizon = horizon...horizon
        let side = strikesClient ? 0 : 1
        switch fault {
        case .reset: plan.reset = 1_000
        case .silence: plan.silence = 1_000
        case .killed: plan.ailment = .killed(side)
        case .ended: plan.ailment = .ended(side)
        case .deaf: plan.ailment = .deaf(side)
        case .mute: plan.ailment = .mute(side)
        }
        return plan
    }

    private func backend(_ number: Int) throws -> BackendPlan {
        var options = SampleServerOptions()
        options.delay = .milliseconds(5)
        let server = SampleServer(
            loop: world.makeLoop(name: "backend-\(number)").loop,
            service: SampleService(models: [model], version: "1"),
            options: options,
            seed: seed &+ UInt64(number)
        )
        let address = try server.listen(on: Self.backend(number))
        servers.append(server)
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
            rest: feature == .translated ? nil : target(backendsSpeakHTTP2 ? .http2 : .http1),
            grpc: target(.http2),
            load: load,
            probePath: "/",
            probeInterval: .seconds(5),
            probeTimeout: .seconds(1),
            maxInFlight: feature == .queue ? 1 : 0
        )
    }

    private func snapshot(_ plans: [BackendPlan]) -> Snapshot {
        var resilience = ResiliencePlan()
        resilience.queueTimeout = .milliseconds(600)
        resilience.retry.isIdempotent = feature == .retries || feature == .hedge
        if feature == .retries { resilience.retry.tryTimeout = .milliseconds(200) }
        if feature == .hedge {
            resilience.hedge = HedgePolicy(delay: .milliseconds(50), maxAttempts: 2)
        }
        var revisions = [
            RevisionPlan(
                name: "v1",
                backendModelName: nil,
                // In line there must be something to wait for.
                backends: Array(plans[..<(feature == .queue ? 1 : 2)]),
                board: sharedStates[0]
            )
        ]
        var mirror: MirrorPlan?
        if feature == .mirror {
            revisions.append(
                RevisionPlan(
                    name: "v2",
                    backendModelName: nil,
                    backends: [plans[2]],
                    board: sharedStates[1]
                )
            )
            mirror = MirrorPlan(
                revision: 1,
                share: 10_000,
                maxInFlight: 10,
                maxBytes: 1 << 20,
                tolerance: 0,
                gate: gate
            )
        }
        let isCached = feature == .cached || feature == .rows
        return Snapshot(
            generation: 1,
            models: [
                ModelPlan(
                    name: "echo",
                    timeout: EndScene.timeout,
                    balancing: .roundRobin,
                    split: TrafficSplit(weights: mirror == nil ? [10_000] : [10_000, 0]),
                    revisions: revisions,
                    cache: isCached
                        ? CachePolicy(timeToLive: .seconds(60), rows: feature == .rows) : nil,
                    mirror: mirror,
                    resilience: resilience
                )
            ],
            maxRequestBytes: 4 << 20
        )
    }

    // MARK: - Playing

    /// What happened in which scene, for a failure's sentence.
    var title: String {
        let side = strikesClient ? "the client" : "the backend"
        let kinds = calls.map { "\($0.kind)(\($0.body.count))" }.joined(separator: " ")
        let wires = "\(isHTTP2 ? "h2" : "h1") \(backendsSpeakHTTP2 ? "h2" : "h1")"
        return "seed \(seed): \(feature), \(side) \(fault) at \(horizon), \(wires), \(kinds)"
    }

    /// Plays the scene and tells everything that is wrong with it.
    func play() throws -> [String] {
        var faults = try deadlines()
        worker.drain(isFinal: true)
        // Windows are looked at every half `bodyTimeout`, last words wait for one, and a client
        // with a stream open is asked after 30 s whether it lives.
        try? world.run(until: world.clock.now + .seconds(hasStream ? 60 : 10), "the drain") {
            worker.openWork == 0
        }
        if worker.openWork > 0 { faults.append("the drain leaves \(worker.openWork) behind") }
        try world.pass(.seconds(75))
        for call in calls where call.outcome == .pending { faults.append("\(call.id) never ended") }
        if !strikesClient {
            for call in calls where call.outcome == .hung { faults.append("\(call.id) hung") }
        }
        faults += remains()
        client.close()
        worker.closeAll()
        for server in servers { server.closeAll() }
        world.tickAll()
        try world.pass(.seconds(5))
        if gateway.timerCount != 0 { faults.append("\(gateway.timerCount) timers") }
        return faults + world.network.violations
    }

    private var hasStream: Bool { calls.contains { $0.kind == .grpcStream } }

    /// No request outlives what it may take.
    private func deadlines() throws -> [String] {
        // A request to no known model has no deadline: its refusal lingers for five seconds.
        let isKnown = calls.allSatisfy { $0.kind != .unmatchedName }
        let isGRPC = calls.contains { $0.kind.isGRPC }
        let bound: Duration =
            !isKnown ? Worker.errorReplyLinger : isGRPC ? Self.bodyTimeout : Self.timeout
        // The last head comes within 200 ms; the log knows better how long each took.
        try world.pass(.milliseconds(200) + bound)
        guard !hasStream, worker.openRequestCount > 0 else { return [] }
        return ["\(worker.openRequestCount) requests outlive their deadline"]
    }

    private func remains() -> [String] {
        let ledger = Ledger(log: log, store: store)
        var faults: [String] = []
        func expect(_ value: Int, _ name: String) {
            if value != 0 { faults.append("\(name): \(value)") }
        }
        for line in ledger.lines {
            let kind = calls.first { $0.id == line.id }?.kind
            guard kind != .grpcStream else { continue }
            let limit = kind == .unmatchedName ? 5.0 : line.isGRPC ? 2.0 : 1.0
            if line.seconds > limit + 0.01 { faults.append("\(line.id) took \(line.seconds) s") }
        }
        expect(worker.openWork, "open work")
        expect(worker.liveRecordCount, "live records")
        expect(count.current, "connections counted")
        expect(ledger.sum("sluice_requests_in_flight"), "requests in flight")
        expect(ledger.sum("sluice_backend_in_flight"), "backends' requests in flight")
        expect(ledger.sum("sluice_connections"), "connections")
        for (index, load) in loads.enumerated() { expect(load.inFlight, "backend \(index)") }
        for board in sharedStates {
            expect(board.queue.depth, "line")
            expect(board.retries.count, "retries")
            expect(board.concurrency.inFlight, "places")
        }
        expect(gate.count, "copies")
        return faults
    }
}
