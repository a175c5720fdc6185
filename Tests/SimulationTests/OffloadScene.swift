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
import Synchronization

/// Helper threads that do what they are given when the test says so, on the test's thread.
final class HeldOffload: Offloading {
    private let tasks = Mutex<[@Sendable () -> Void]>([])
    /// Refusable tasks that may wait.
    let room: Int

    init(room: Int = 100) { self.room = room }

    var waiting: Int { tasks.withLock { $0.count } }

    func submit(isRefusable: Bool, _ task: @escaping @Sendable () -> Void) -> Bool {
        tasks.withLock { tasks in
            guard !isRefusable || tasks.count < room else { return false }
            tasks.append(task)
            return true
        }
    }

    /// Does all that waits.
    func work() {
        let taken = tasks.withLock { tasks in
            defer { tasks = [] }
            return tasks
        }
        for task in taken { task() }
    }
}

/// A worker with helper threads, REST callers before it and a backend behind it that speaks gRPC only.
final class OffloadScene {
    /// Elements of a tensor whose text and bytes are both longer than a turn.
    static let longCount = 1_300_000
    static let timeout = Duration.seconds(5)

    let offload: HeldOffload
    let world = World(seed: 11)
    let store = MetricStore()
    private let worker: Worker
    private let server: SampleServer
    private let clients: EventLoop
    private let address = SocketAddress.loopback(port: 8_080)
    private let load: BackendLoad
    private let board = BackendLoads()
    private var peers: [RawPeer] = []

    init(room: Int = 100, cache policy: CachePolicy? = nil) throws {
        offload = HeldOffload(room: room)
        worker = Worker(
            loop: world.makeLoop(name: "gateway").loop,
            number: 0,
            shared: .simulated(
                store: store,
                cache: policy.map { _ in
                    ResultCache(
                        maxBytes: 256 << 20,
                        maxEntryBytes: 16 << 20,
                        redis: nil,
                        mailboxes: WorkerMailboxes(),
                        seed: 1
                    ) { _ in }
                },
                offload: offload
            )
        )
        clients = world.makeLoop(name: "clients").loop
        _ = try worker.listen(on: address, name: "main", tls: nil, limits: IngressLimits())
        let backend = SocketAddress.loopback(port: 9_001)
        server = SampleServer(
            loop: world.makeLoop(name: "backend").loop,
            service: SampleService(models: [EchoModel()], version: "1"),
            options: SampleServerOptions(),
            seed: 1
        )
        _ = try server.listen(on: backend)
        load = board.add()
        let target = BackendTarget(
            key: "1",
            endpoint: Endpoint(address: backend, httpVersion: .http2, tls: nil, serverName: "b"),
            authority: "b"
        )
        let plan = BackendPlan(
            label: backend.description,
            rest: nil,
            grpc: target,
            load: load,
            probePath: "/",
            probeInterval: .seconds(5),
            probeTimeout: .seconds(1)
        )
        let model = ModelPlan(
            name: "echo",
            timeout: OffloadScene.timeout,
            balancing: .leastRequest,
            split: TrafficSplit(weights: [10_000]),
            revisions: [RevisionPlan(name: "v1", backendModelName: nil, backends: [plan])],
            cache: policy
        )
        worker.publish(Snapshot(generation: 1, models: [model], maxRequestBytes: 64 << 20))
    }

    /// A tensor's elements as JSON.
    static func text(_ element: Int, count: Int) -> String {
        "[" + String(repeating: "\(element),", count: count - 1) + "\(element)]"
    }

    /// A new caller, which asks over HTTP/1.1.
    func ask(_ element: Int, count: Int) throws -> RawPeer {
        let body =
            #"{"id":"\#(element)","inputs":[{"name":"x","datatype":"UINT8","shape":[\#(count)],"data":\#(OffloadScene.text(element, count: count))}]}"#
        let head =
            "POST /v2/models/echo/infer HTTP/1.1\r\nhost: a\r\ncontent-length: \(body.utf8.count)\r\n\r\n"
        let peer = try RawPeer(loop: clients, to: address, saying: Array((head + body).utf8))
        peers.append(peer)
        return peer
    }

    /// Whether that caller has the whole answer to its question.
    func isAnswered(_ peer: RawPeer, _ element: Int, count: Int) -> Bool {
        let text = peer.text
        return text.hasPrefix("HTTP/1.1 200") && text.contains(#""id":"\#(element)""#)
            && text.hasSuffix("\"data\":\(OffloadScene.text(element, count: count))}]}")
    }

    /// Runs until `condition` holds.
    func run(_ what: String, until condition: () -> Bool) throws {
        try world.run(until: world.clock.now + .seconds(60), what) { condition() }
    }

    /// Does what helper threads have, again and again, until `condition` holds.
    func work(_ what: String, until condition: () -> Bool) throws {
        for _ in 0..<20 where !condition() {
            offload.work()
            world.tickAll()
            try world.pass(.milliseconds(500))
        }
        guard condition() else { throw World.Failure(what) }
    }

    func count(_ family: String, _ labels: String...) -> Int {
        Ledger(log: AccessChannel(), store: store)
            .sum(family) { line in labels.allSatisfy { line.contains($0) } }
    }

    /// Closes everything, and tells what is left.
    func close() throws -> [String] {
        for peer in peers { peer.close() }
        try world.pass(.seconds(1))
        offload.work()
        world.tickAll()
        var faults: [String] = []
        if load.inFlight != 0 { faults.append("\(load.inFlight) requests at the backend") }
        worker.closeAll()
        server.closeAll()
        world.tickAll()
        try world.pass(.seconds(3))
        if worker.liveRecordCount > 0 { faults.append("\(worker.liveRecordCount) records") }
        if count("sluice_offload_tasks ") != 0 { faults.append("tasks are still counted") }
        return faults + world.network.violations
    }
}
