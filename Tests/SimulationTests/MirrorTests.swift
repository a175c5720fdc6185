import SluiceBalancing
import SluiceCore
import SluiceEgress
import SluiceGateway
import SluiceIO
import SluiceIngress
import SluiceRouting
import SluiceSampleModels
import SluiceSimulation
import SluiceTelemetry
import Testing

/// A worker, one revision that answers, and one that gets copies of all it is asked.
private final class MirrorScene {
    enum Backend {
        /// Echoes after so long.
        case echo(Duration)
        /// Its connections are reset at once when something comes.
        case resets
        /// Nobody listens.
        case absent
        /// Answers 400, or INVALID_ARGUMENT, after so long.
        case refuses(Duration)
    }

    static let timeout = Duration.seconds(1)
    let world = World(seed: 7)
    let store = MetricStore()
    let gate = MirrorGate()
    let copied = RecordingModel()
    let calls: [EchoCall]
    private let worker: Worker
    private let gateway: EventLoop
    private let client: EchoClient
    private var servers: [SampleServer] = []
    private var loads: [BackendLoad] = []
    private let board = BackendLoads()

    init(
        _ original: Backend,
        _ shadow: Backend,
        calls: [EchoCall],
        maxInFlight: Int = 32,
        maxBytes: Int = 1 << 20
    ) throws {
        self.calls = calls
        gateway = world.makeLoop(name: "gateway").loop
        worker = Worker(
            loop: gateway,
            number: 0,
            shared: .simulated(store: store)
        )
        let address = SocketAddress.loopback(port: 8_080)
        client = EchoClient(
            loop: world.makeLoop(name: "client").loop,
            endpoint: Endpoint(address: address, httpVersion: .http2, tls: nil, serverName: "a"),
            calls: calls,
            vanishing: nil
        )
        _ = try worker.listen(on: address, name: "main", tls: nil, limits: IngressLimits())
        let revisions = [
            try revision("v1", 9_001, original, RecordingModel()),
            try revision("v2", 9_002, shadow, copied),
        ]
        worker.publish(
            snapshot(
                revisions,
                MirrorPlan(
                    revision: 1,
                    share: 10_000,
                    maxInFlight: maxInFlight,
                    maxBytes: maxBytes,
                    tolerance: 0,
                    gate: gate
                )
            )
        )
    }

    private func snapshot(_ revisions: [RevisionPlan], _ mirror: MirrorPlan?) -> Snapshot {
        Snapshot(
            generation: 1,
            models: [
                ModelPlan(
                    name: "echo",
                    timeout: MirrorScene.timeout,
                    balancing: .leastRequest,
                    split: TrafficSplit(weights: revisions.count == 1 ? [10_000] : [10_000, 0]),
                    revisions: revisions,
                    mirror: mirror
                )
            ],
            maxRequestBytes: 1 << 20
        )
    }

    private func revision(
        _ name: String,
        _ port: UInt16,
        _ backend: Backend,
        _ model: RecordingModel
    ) throws -> RevisionPlan {
        let address = SocketAddress.loopback(port: port)
        var faults = FaultPlan()
        var delay = Duration.zero
        switch backend {
        case .echo(let pause), .refuses(let pause): delay = pause
        case .resets: (faults.reset, faults.horizon) = (1_000, 150...150)
        case .absent: break
        }
        world.network.use(faults, for: address)
        if case .absent = backend {
        } else {
            var options = SampleServerOptions()
            options.delay = delay
            var served = model
            if case .refuses = backend { served = RecordingModel(refuses: true) }
            let server = SampleServer(
                loop: world.makeLoop(name: name).loop,
                service: SampleService(models: [served], version: name),
                options: options,
                seed: 1
            )
            _ = try server.listen(on: address)
            servers.append(server)
        }
        let load = board.add()
        loads.append(load)
        let target = BackendTarget(
            key: name,
            endpoint: Endpoint(address: address, httpVersion: .http2, tls: nil, serverName: "b"),
            authority: "b:\(port)"
        )
        let plan = BackendPlan(
            label: address.description,
            rest: target,
            grpc: target,
            load: load,
            probePath: "/",
            probeInterval: .seconds(5),
            probeTimeout: .seconds(1)
        )
        return RevisionPlan(name: name, backendModelName: nil, backends: [plan])
    }

    /// Runs until every call is over, and returns how many nanoseconds that took.
    @discardableResult
    func run() throws -> Int64 {
        let start = world.clock.now
        try world.run(until: start + .seconds(30), "calls") { client.isDone }
        return world.clock.now.nanoseconds(since: start)
    }

    func pass(_ duration: Duration) throws { try world.pass(duration) }

    private var shadowHold: MetricHold?

    /// A configuration without the shadow takes over.
    func forgetShadow() throws {
        let old = loads
        // Its series go with one look at the metrics once nothing holds them, and tests look twice.
        shadowHold = store.hold(model: "echo", revision: "v2")
        worker.publish(snapshot([try revision("v1", 9_003, .absent, RecordingModel())], nil))
        loads = old
    }

    private func sum(_ family: String, _ labels: String...) -> Int {
        Ledger(log: AccessChannel(), store: store).sum(family) { text in
            labels.allSatisfy { text.contains($0) }
        }
    }

    func count(_ result: String) -> Int {
        sum("sluice_mirror_requests_total", "revision=\"v2\"", "result=\"\(result)\"")
    }

    func compared(_ result: String) -> Int {
        sum("sluice_mirror_comparisons_total", "revision=\"v2\"", "result=\"\(result)\"")
    }

    /// What is not as it was before the first request.
    var remains: [String] {
        var faults: [String] = []
        for revision in ["v1", "v2"] {
            let value = sum("sluice_requests_in_flight", "revision=\"\(revision)\"")
            if value != 0 { faults.append("\(revision) has \(value) requests in flight") }
        }
        for (index, load) in loads.enumerated() where load.inFlight != 0 {
            faults.append("backend \(index) has \(load.inFlight) requests")
        }
        if gate.count != 0 { faults.append("\(gate.count) copies") }
        return faults
    }

    func close() throws -> [String] {
        client.close()
        worker.closeAll()
        for server in servers { server.closeAll() }
        world.tickAll()
        try world.pass(.seconds(3))
        var faults = remains
        if worker.liveRecordCount != 0 { faults.append("\(worker.liveRecordCount) records") }
        if gateway.timerCount != 0 { faults.append("\(gateway.timerCount) timers") }
        if world.network.openDescriptorCount != 0 { faults.append("open descriptors") }
        return faults + world.network.violations
    }
}

@Suite("Copies for a shadow")
struct MirrorTests {
    private static func call(
        _ kind: EchoCall.Kind = .v2,
        _ number: Int = 1,
        size: Int = 20,
        fragments: Int = 1,
        progressTimeout: Duration? = nil
    ) -> EchoCall {
        let call = EchoCall(
            id: "c\(number)",
            kind: kind,
            payload: [UInt8](repeating: 7, count: size),
            messageCount: 1
        )
        call.fragments = fragments
        call.pause = 50_000_000
        call.progressTimeout = progressTimeout?.nanoseconds
        return call
    }

    @Test(
        "A copy is answered and compared, in every form",
        arguments: [EchoCall.Kind.v1, .v2, .binary, .grpc],
        [1, 3]
    )
    func compared(kind: EchoCall.Kind, fragments: Int) throws {
        let call = Self.call(kind, fragments: fragments)
        let scene = try MirrorScene(.echo(.zero), .echo(.zero), calls: [call])
        try scene.run()
        try scene.pass(.milliseconds(100))
        #expect(call.complaint == nil && call.outcome == .answered(kind == .grpc ? 0 : 200))
        #expect(scene.count("sent") == 1 && scene.count("answered") == 1)
        #expect(scene.compared("equal") == 1)
        #expect(scene.copied.counts == ["c1": 1])
        #expect(scene.remains == [])
        #expect(try scene.close() == [])
    }

    @Test("A hung shadow changes nothing, and its copy ends with the original's deadline")
    func hung() throws {
        let calls = [Self.call()]
        let scene = try MirrorScene(.echo(.milliseconds(5)), .echo(.seconds(100)), calls: calls)
        let duration = try scene.run()
        #expect(calls[0].outcome == .answered(200))
        #expect(duration < 100_000_000)
        #expect(scene.count("sent") == 1 && scene.gate.count == 1)
        try scene.pass(MirrorScene.timeout + .milliseconds(50))
        #expect(scene.count("failed") == 1 && scene.compared("uncomparable") == 1)
        #expect(scene.remains == [])
        #expect(try scene.close() == [])
    }

    @Test("What is beyond maxInFlight is dropped")
    func full() throws {
        let calls = (1...5).map { Self.call(.v2, $0) }
        let scene = try MirrorScene(
            .echo(.zero),
            .echo(.seconds(100)),
            calls: calls,
            maxInFlight: 2
        )
        try scene.run()
        #expect(calls.allSatisfy { $0.outcome == .answered(200) })
        #expect(scene.count("sent") == 2 && scene.count("dropped") == 3)
        #expect(try scene.close() == [])
    }

    @Test("A client that gives up while it sends leaves no copy")
    func clientCutsShort() throws {
        let call = Self.call(fragments: 4, progressTimeout: .milliseconds(60))
        let scene = try MirrorScene(.echo(.zero), .echo(.zero), calls: [call])
        try scene.run()
        try scene.pass(.milliseconds(100))
        #expect(scene.count("skipped") == 1 && scene.count("sent") == 0)
        #expect(scene.copied.counts.isEmpty)
        #expect(scene.remains == [])
        #expect(try scene.close() == [])
    }

    @Test("A client that gives up while it waits leaves the copy alone")
    func clientGivesUp() throws {
        let call = Self.call(progressTimeout: .milliseconds(50))
        let scene = try MirrorScene(
            .echo(.milliseconds(300)),
            .echo(.milliseconds(200)),
            calls: [call]
        )
        try scene.run()
        try scene.pass(.milliseconds(500))
        #expect(scene.count("answered") == 1 && scene.compared("uncomparable") == 1)
        #expect(scene.remains == [])
        #expect(try scene.close() == [])
    }

    @Test("A shadow that resets fails its copy and nobody else")
    func shadowResets() throws {
        let call = Self.call()
        let scene = try MirrorScene(.echo(.zero), .resets, calls: [call])
        try scene.run()
        try scene.pass(.milliseconds(100))
        #expect(call.outcome == .answered(200))
        #expect(scene.count("failed") == 1 && scene.compared("uncomparable") == 1)
        #expect(scene.remains == [])
        #expect(try scene.close() == [])
    }

    @Test(
        "A malformed request is no failure of the shadow, whichever answers first",
        arguments: [EchoCall.Kind.v1, .v2],
        [Duration.zero, .milliseconds(30)]
    )
    func malformed(kind: EchoCall.Kind, pause: Duration) throws {
        let call = Self.call(kind)
        call.spoil()
        let scene = try MirrorScene(.echo(.milliseconds(15)), .echo(pause), calls: [call])
        try scene.run()
        try scene.pass(.milliseconds(100))
        #expect(call.outcome == .answered(400))
        #expect(scene.count("sent") == 1 && scene.count("answered") == 1)
        #expect(scene.count("failed") == 0 && scene.compared("uncomparable") == 1)
        #expect(scene.remains == [])
        #expect(try scene.close() == [])
    }

    @Test(
        "A shadow that refuses what the caller got an answer to has failed, whichever answers first",
        arguments: [EchoCall.Kind.v1, .v2, .grpc],
        [Duration.zero, .milliseconds(30)]
    )
    func shadowRefuses(kind: EchoCall.Kind, pause: Duration) throws {
        let call = Self.call(kind)
        let scene = try MirrorScene(.echo(.milliseconds(15)), .refuses(pause), calls: [call])
        try scene.run()
        try scene.pass(.milliseconds(100))
        #expect(call.outcome == .answered(kind == .grpc ? 0 : 200))
        #expect(scene.count("failed") == 1 && scene.count("answered") == 0)
        #expect(scene.remains == [])
        #expect(try scene.close() == [])
    }

    @Test("A shadow that is down drops copies once that is known")
    func shadowDown() throws {
        let calls = [Self.call(.v2, 1), Self.call(.v2, 2)]
        calls[1].start = 50_000_000
        let scene = try MirrorScene(.echo(.zero), .absent, calls: calls)
        try scene.run()
        #expect(calls.allSatisfy { $0.outcome == .answered(200) })
        #expect(scene.count("sent") == 1 && scene.count("failed") == 1)
        #expect(scene.count("dropped") == 1)
        #expect(scene.remains == [])
        #expect(try scene.close() == [])
    }

    @Test("An original that fails or takes too long is not compared, and its copy goes on")
    func originalFails() throws {
        for original in [MirrorScene.Backend.resets, .echo(.seconds(100))] {
            let call = Self.call()
            let scene = try MirrorScene(original, .echo(.milliseconds(10)), calls: [call])
            try scene.run()
            try scene.pass(.milliseconds(100))
            #expect(call.outcome == .answered(502) || call.outcome == .answered(504))
            #expect(scene.count("answered") == 1 && scene.compared("uncomparable") == 1)
            #expect(scene.remains == [])
            #expect(try scene.close() == [])
        }
    }

    @Test("An original that is refused has no copy")
    func originalRefused() throws {
        let scene = try MirrorScene(.absent, .echo(.zero), calls: [Self.call(fragments: 3)])
        try scene.run()
        try scene.pass(.milliseconds(200))
        #expect(scene.count("skipped") == 1 && scene.count("sent") == 0)
        #expect(scene.remains == [])
        #expect(try scene.close() == [])
    }

    @Test("Streams and large requests are skipped")
    func skipped() throws {
        let calls = [
            Self.call(.grpcStream, 1), Self.call(.binary, 2, size: 3_000),
            Self.call(.grpc, 3, size: 3_000), Self.call(.v2, 4), Self.call(.live, 5),
        ]
        let scene = try MirrorScene(.echo(.zero), .echo(.zero), calls: calls, maxBytes: 2_000)
        try scene.run()
        try scene.pass(.milliseconds(100))
        #expect(calls.allSatisfy { $0.complaint == nil })
        #expect(scene.count("skipped") == 3 && scene.count("sent") == 1)
        #expect(scene.remains == [])
        #expect(try scene.close() == [])
    }

    @Test("A large answer is relayed as ever and not compared")
    func largeAnswer() throws {
        let call = Self.call(.grpc, size: 300_000)
        let scene = try MirrorScene(.echo(.zero), .echo(.zero), calls: [call])
        try scene.run()
        try scene.pass(.milliseconds(300))
        #expect(call.outcome == .answered(0) && call.complaint == nil)
        #expect(scene.count("answered") == 1 && scene.compared("uncomparable") == 1)
        #expect(try scene.close() == [])
    }

    @Test("A reload lets copies under way go on where they began")
    func reload() throws {
        let call = Self.call()
        let scene = try MirrorScene(.echo(.zero), .echo(.milliseconds(500)), calls: [call])
        try scene.run()
        try scene.forgetShadow()
        try scene.pass(.milliseconds(800))
        #expect(scene.count("answered") == 1 && scene.compared("equal") == 1)
        #expect(scene.remains == [])
        #expect(try scene.close() == [])
    }

    @Test("Closing ends copies that are coming, waiting and under way")
    func closing() throws {
        let calls = [Self.call(.v2, 1), Self.call(.v2, 2, fragments: 4)]
        let scene = try MirrorScene(.echo(.zero), .echo(.seconds(100)), calls: calls)
        try scene.pass(.milliseconds(75))
        #expect(scene.gate.count == 2)
        #expect(try scene.close() == [])
    }
}
