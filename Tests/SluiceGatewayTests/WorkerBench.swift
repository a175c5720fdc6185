import SluiceBalancing
import SluiceCache
import SluiceCore
import SluiceEgress
import SluiceIO
import SluiceRouting
import SluiceSimulation
import SluiceTelemetry

@testable import SluiceGateway
@testable import SluiceHTTP
@testable import SluiceIngress

/// A worker whose callers are fakes, and whose backends answer when a test says so.
///
/// Steps are driven by the events that a connection would report; what follows is seen in the request's record,
/// at the caller's fake end, and at the backends.
final class WorkerBench {
    /// One request of a caller.
    struct Asked {
        let host: RecordingHost
        let exchange: Exchange
        /// Its record; nil once it is over.
        var request: Request? {
            unsafe exchange.context?.assumingMemoryBound(to: RequestRecord.self)
        }
    }

    let world = World(seed: 1)
    let loop: EventLoop
    let worker: Worker
    let revisions: [RevisionSharedState]
    private(set) var backends: [StubBackend] = []
    private(set) var loads: [BackendLoad] = []
    private let board = BackendLoads()
    private var asked: [Asked] = []

    /// A worker with the model `m`, whose revisions have one backend for each name; a backend whose name begins
    /// with `absent` isn't there.
    init(
        _ revisionBackends: [[String]] = [["a"]],
        maxInFlight: Int = 0,
        maxRequestBytes: Int = 1 << 20,
        cache: CachePolicy? = nil,
        _ adjust: (inout ModelPlan) -> Void = { _ in }
    ) throws {
        loop = world.makeLoop(name: "gateway").loop
        let mailboxes = WorkerMailboxes()
        worker = Worker(
            loop: loop,
            number: 0,
            shared: Worker.Shared(
                store: MetricStore(),
                accessLog: nil,
                connectionCount: ConnectionCount(maximum: 10),
                readiness: GatewayReadiness(),
                mailboxes: mailboxes,
                cache: cache.map { _ in
                    ResultCache(
                        maxBytes: 1 << 20,
                        maxEntryBytes: 1 << 16,
                        redis: nil,
                        mailboxes: mailboxes,
                        seed: 1
                    ) { _ in }
                },
                offload: nil,
                version: "bench"
            )
        )
        mailboxes.register([(worker: Confined(worker), loop: loop.handle)])
        revisions = revisionBackends.map { _ in RevisionSharedState() }
        var plans: [RevisionPlan] = []
        for (index, names) in revisionBackends.enumerated() {
            plans.append(
                RevisionPlan(
                    name: "v\(index + 1)",
                    backendModelName: nil,
                    backends: try names.map { try plan($0, maxInFlight: maxInFlight) },
                    board: revisions[index]
                )
            )
        }
        var model = ModelPlan(
            name: "m",
            timeout: .seconds(10),
            balancing: .roundRobin,
            split: TrafficSplit(weights: [10_000] + plans.dropFirst().map { _ in 0 }),
            revisions: plans,
            cache: cache
        )
        adjust(&model)
        worker.publish(
            Snapshot(generation: 1, models: [model], maxRequestBytes: maxRequestBytes)
        )
    }

    private func plan(_ name: String, maxInFlight: Int) throws -> BackendPlan {
        let address = SocketAddress.loopback(port: UInt16(9_000 + loads.count))
        if !name.hasPrefix("absent") {
            let backendLoop = world.makeLoop(name: "backend-\(name)").loop
            backends.append(try StubBackend(loop: backendLoop, on: address))
        }
        let load = board.add()
        loads.append(load)
        return BackendPlan(
            label: name,
            rest: BackendTarget(
                key: name,
                endpoint: Endpoint(
                    address: address,
                    httpVersion: .http1,
                    tls: nil,
                    serverName: "b"
                ),
                authority: name
            ),
            grpc: nil,
            load: load,
            probePath: "/",
            probeInterval: .seconds(5),
            probeTimeout: .seconds(1),
            maxInFlight: maxInFlight
        )
    }

    // MARK: - Callers

    static let predict = "/v1/models/m:predict"
    static let infer = "/inference.GRPCInferenceService/ModelInfer"

    /// A request begins; its body follows at once where it is given as a whole.
    @discardableResult
    func ask(
        _ path: String = WorkerBench.predict,
        method: String = "POST",
        _ fields: [(String, String)] = [],
        body: String? = nil,
        prepare: (RecordingHost) -> Void = { _ in }
    ) -> Asked {
        // The loop's time is that of its last tick, and here the call comes from outside.
        world.tickAll()
        let host = RecordingHost(arena: worker.arena)
        prepare(host)
        let made = Asked(host: host, exchange: Exchange(owned: host))
        asked.append(made)
        let head = worker.arena.blocks.take()
        for (name, value) in [(":method", method), (":path", path)] + fields {
            head.append(named: name, text: value)
        }
        if let body { head.append(.contentLength, decimal: body.utf8.count) }
        // What the session finds when it reads a head (RFC 9110 §4.2).
        head.hasSoundTarget = true
        worker.requestBegan(made.exchange, head, endStream: method != "POST")
        if let body { send(body, to: made) }
        return made
    }

    /// More of a request's body, if it is still under way.
    func send(_ bytes: [UInt8], to asked: Asked, ends: Bool = true) {
        guard unsafe asked.exchange.context != nil else { return }
        unsafe bytes.withUnsafeBytes {
            unsafe worker.requestBody(asked.exchange, $0, endStream: ends)
        }
    }

    /// The same, as text.
    func send(_ body: String, to asked: Asked, ends: Bool = true) {
        send(Array(body.utf8), to: asked, ends: ends)
    }

    /// The caller leaves.
    func leave(_ asked: Asked) {
        world.tickAll()
        guard unsafe asked.exchange.context != nil else { return }
        worker.requestAborted(asked.exchange, .clientGone)
        unsafe asked.exchange.context = nil
        // What is put off until the tick's end, as it would be where a connection tells of it.
        world.tickAll()
    }

    /// Lets `milliseconds` pass.
    func pass(_ milliseconds: Int) throws { try world.pass(.milliseconds(milliseconds)) }

    /// Ends all; what is left in spite of that.
    func end() throws -> [String] {
        for one in asked { leave(one) }
        worker.closeAll()
        for backend in backends { backend.close() }
        world.tickAll()
        try world.pass(.seconds(3))
        var faults = world.network.violations
        if worker.liveRecordCount != 0 {
            faults.append("\(worker.liveRecordCount) records are out")
        }
        if loop.timerCount != 0 { faults.append("\(loop.timerCount) timers are set") }
        for (index, load) in loads.enumerated() where load.inFlight != 0 {
            faults.append("backend \(index) has \(load.inFlight) requests")
        }
        for (index, state) in revisions.enumerated() where state.queue.depth != 0 {
            faults.append("\(state.queue.depth) wait for revision \(index)")
        }
        for (index, one) in asked.enumerated() where one.host.endCount > 1 {
            faults.append("request \(index) was answered \(one.host.endCount) times")
        }
        for one in asked { one.exchange.releaseHost() }
        asked = []
        return faults
    }
}

/// A backend that speaks HTTP/1.1 and answers when it is told to.
final class StubBackend {
    /// Heads of the requests that have come whole, in order.
    private(set) var requests: [String] = []
    /// Their bodies.
    private(set) var bodies: [String] = []
    private var listener: TCPListener?
    private var connections: [Connection] = []
    private var waiting: [Connection] = []

    init(loop: EventLoop, on address: SocketAddress) throws {
        listener = try TCPListener(loop: loop, address: address, sharesPort: false) {
            [unowned self] descriptor, peer in
            let stream = TCPStream(loop: loop, accepted: descriptor, peer: peer, tls: nil)
            let connection = Connection(stream: stream, backend: self)
            connections.append(connection)
            stream.handler = connection
            stream.start()
            return true
        }
        listener?.start()
    }

    /// How many connections stand.
    var openCount: Int { connections.count { !$0.isOver } }

    /// Answers the oldest request that has none.
    func answer(
        _ status: Int = 200,
        _ body: String = #"{"predictions":[1]}"#,
        fields: String = ""
    ) {
        guard !waiting.isEmpty else { return }
        waiting.removeFirst().say(
            "HTTP/1.1 \(status) X\r\ncontent-type: application/json\r\ncontent-length: \(body.utf8.count)\r\n\(fields)\r\n\(body)"
        )
    }

    func close() {
        listener?.close()
        listener = nil
        for connection in connections { connection.close() }
    }

    private func came(_ head: String, _ body: String, on connection: Connection) {
        requests.append(head)
        bodies.append(body)
        waiting.append(connection)
    }

    private final class Connection: StreamHandler {
        private let stream: TCPStream
        private unowned let backend: StubBackend
        private var input = ""
        private var output: [UInt8] = []
        private(set) var isOver = false

        init(stream: TCPStream, backend: StubBackend) {
            self.stream = stream
            self.backend = backend
        }

        func say(_ text: String) {
            output += Array(text.utf8)
            stream.scheduleFlush()
        }

        func close() {
            isOver = true
            stream.close()
        }

        func streamOpened(_ stream: TCPStream) {}
        func streamReceived(_ bytes: UnsafeRawBufferPointer) {
            unsafe input += String(decoding: bytes, as: UTF8.self)
            while let end = input.firstRange(of: "\r\n\r\n") {
                let head = String(input[..<end.lowerBound])
                let line = head.split(separator: "\r\n").first {
                    $0.lowercased().hasPrefix("content-length: ")
                }
                let length = line.flatMap { Int($0.dropFirst(16)) } ?? 0
                let rest = input[end.upperBound...]
                guard rest.utf8.count >= length else { return }
                let body = String(rest.prefix(length))
                input = String(rest.dropFirst(length))
                backend.came(head, body, on: self)
            }
        }
        func streamEnded() { close() }
        func streamFailed(_ failure: StreamFailure) { isOver = true }
        var streamOutput: UnsafeRawBufferPointer {
            // The array's memory stays where it is until `streamWrote`, which is what the loop asks.
            unsafe output.withUnsafeBytes { unsafe $0 }
        }
        func streamWrote(_ count: Int) { output.removeFirst(count) }
    }
}
