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
import SluiceTestKit
import SluiceWire

/// A worker with a cache, before it a few nghttp2 clients, behind it a backend for each revision of each
/// model, whose answers say whose they are.
final class HitScene {
    static let models = ["a", "b"]
    static let revisions = ["v1", "v2", "a-longer-name"]

    /// Gives back what it is given, and a stamp.
    private struct StampModel: SampleModel {
        let name: String
        let stamp: UInt8

        var inputs: [TensorSignature] { EchoModel().inputs }
        var outputs: [TensorSignature] { inputs }

        func predict(_ inputs: [Tensor]) throws(InferenceFailure) -> [Tensor] {
            inputs + [Tensor(name: "stamp", datatype: .uint8, shape: [1], bytes: [stamp])]
        }

        func predict(instances: [JSONValue]) throws(InferenceFailure) -> [JSONValue] { instances }
    }

    /// A client and what it has yet to hear.
    private struct Client {
        let line: RawPeer
        let session: NghttpPeer
        var heard = 0

        mutating func hear() {
            session.receive(Array(line.input[heard...]))
            heard = line.input.count
        }
    }

    /// A question, and where its answer will be.
    struct CacheableRequest {
        let client: Int
        let stream: Int32
        let model: Int
        let input: [UInt8]
        let id: String
        let requestID: String?
    }

    private let world = World(seed: 3)
    private let store = MetricStore()
    private let worker: Worker
    private let address = SocketAddress.loopback(port: 8_080)
    private let clientLoop: EventLoop
    private let board = BackendLoads()
    private var clients: [Client] = []
    private var servers: [SampleServer] = []
    private var backends: [BackendPlan] = []
    private var generation = 0

    init(clientCount: Int) throws {
        worker = Worker(
            loop: world.makeLoop(name: "gateway").loop,
            number: 0,
            shared: .simulated(
                store: store,
                cache: ResultCache(
                    maxBytes: 8 << 20,
                    maxEntryBytes: 1 << 20,
                    redis: nil,
                    mailboxes: WorkerMailboxes(),
                    seed: 1
                ) { _ in }
            )
        )
        clientLoop = world.makeLoop(name: "clients").loop
        _ = try worker.listen(on: address, name: "main", tls: nil, limits: IngressLimits())
        for stamp in 0..<(HitScene.models.count * HitScene.revisions.count) { try add(stamp) }
        for _ in 0..<clientCount {
            let line = try RawPeer(loop: clientLoop, to: address, saying: [])
            clients.append(Client(line: line, session: NghttpPeer(.client)))
        }
    }

    private func add(_ stamp: Int) throws {
        let address = SocketAddress.loopback(port: UInt16(9_001 + stamp))
        let name = HitScene.models[stamp / HitScene.revisions.count]
        let server = SampleServer(
            loop: world.makeLoop(name: "backend-\(stamp)").loop,
            service: SampleService(
                models: [StampModel(name: name, stamp: UInt8(stamp))],
                version: "1"
            ),
            options: SampleServerOptions(),
            seed: 1
        )
        _ = try server.listen(on: address)
        servers.append(server)
        let target = BackendTarget(
            key: "\(stamp)",
            endpoint: Endpoint(address: address, httpVersion: .http2, tls: nil, serverName: "b"),
            authority: "b"
        )
        backends.append(
            BackendPlan(
                label: address.description,
                rest: nil,
                grpc: target,
                load: board.add(),
                probePath: "/",
                probeInterval: .seconds(5),
                probeTimeout: .seconds(1)
            )
        )
    }

    /// Each model with these revisions, by their numbers, in this order.
    func publish(_ chosen: [[Int]]) {
        generation += 1
        let models = chosen.enumerated().map { model, revisions in
            let count = revisions.count
            return ModelPlan(
                name: HitScene.models[model],
                timeout: .seconds(5),
                balancing: .roundRobin,
                split: TrafficSplit(
                    weights: (0..<count).map {
                        10_000 / count + ($0 == 0 ? 10_000 % count : 0)
                    }
                ),
                revisions: revisions.map {
                    RevisionPlan(
                        name: HitScene.revisions[$0],
                        backendModelName: nil,
                        backends: [backends[model * HitScene.revisions.count + $0]]
                    )
                },
                cache: CachePolicy(timeToLive: .seconds(3600))
            )
        }
        worker.publish(
            Snapshot(generation: generation, models: models, maxRequestBytes: 1 << 20)
        )
    }

    // MARK: - Asking

    /// Has a client's session ask; nothing is sent before ``send(_:)``.
    func ask(
        by client: Int,
        _ model: Int,
        _ input: [UInt8],
        id: String,
        requestID: String?
    ) throws -> CacheableRequest {
        var request = InferenceRequest()
        request.modelName = HitScene.models[model]
        request.id = id
        request.inputs = [
            Tensor(name: "input", datatype: .uint8, shape: [input.count], bytes: input)
        ]
        let message = try request.message
        var head = [
            HeaderField(":method", "POST"), HeaderField(":scheme", "http"),
            HeaderField(":authority", "a.example"),
            HeaderField(":path", "/inference.GRPCInferenceService/ModelInfer"),
            HeaderField("content-type", "application/grpc"), HeaderField("te", "trailers"),
        ]
        if let requestID { head.append(HeaderField("x-request-id", requestID)) }
        let stream = clients[client].session.request(head, body: HitScene.frame(message))
        return CacheableRequest(
            client: client,
            stream: stream,
            model: model,
            input: input,
            id: id,
            requestID: requestID
        )
    }

    private static func frame(_ message: [UInt8]) -> [UInt8] {
        [0] + [24, 16, 8, 0].map { UInt8(truncatingIfNeeded: message.count >> $0) } + message
    }

    /// What a client's session has to say now.
    func words(of client: Int) -> [UInt8] { clients[client].session.takeOutput() }

    /// Says something and lets it arrive.
    func say(_ bytes: [UInt8], by client: Int) throws {
        clients[client].line.say(bytes)
        try world.pass(.milliseconds(1))
    }

    /// The client is gone, and another comes in its place.
    func replace(_ client: Int) throws {
        clients[client].line.close()
        let line = try RawPeer(loop: clientLoop, to: address, saying: [])
        clients[client] = Client(line: line, session: NghttpPeer(.client))
        try world.pass(.milliseconds(1))
    }

    /// Whether a client's connection was ended from the other side.
    func isOver(_ client: Int) -> Bool { clients[client].line.isOver }

    func pass(_ duration: Duration) throws { try world.pass(duration) }

    func drain(isFinal: Bool) throws {
        worker.drain(isFinal: isFinal)
        world.tickAll()
    }

    /// Runs until all these are answered.
    func hear(_ questions: [CacheableRequest]) throws {
        try world.run(until: world.clock.now + .seconds(5), "answers") {
            for index in clients.indices {
                clients[index].hear()
                let words = clients[index].session.takeOutput()
                if !words.isEmpty { clients[index].line.say(words) }
            }
            return questions.allSatisfy {
                clients[$0.client].session.messages[$0.stream]?.isComplete == true
            }
        }
    }

    // MARK: - Judging

    /// What is wrong with the answer to a question while these revisions are configured.
    func complaint(_ question: CacheableRequest, _ chosen: [[Int]]) -> String? {
        guard let heard = clients[question.client].session.messages[question.stream] else {
            return "no answer"
        }
        func field(_ name: String) -> String? { heard.head.first { $0.name == name }?.value }
        guard let name = field("x-sluice-revision"),
            let revision = HitScene.revisions.firstIndex(of: name),
            chosen[question.model].contains(revision)
        else { return "the revision of another snapshot: \(heard.head)" }
        guard question.requestID == nil || field("x-request-id") == question.requestID,
            field("x-request-id")?.isEmpty == false
        else { return "another's identifier: \(heard.head)" }
        guard heard.trailers == [HeaderField("grpc-status", "0")] else {
            return "trailers: \(heard.trailers ?? [])"
        }
        guard heard.body.count > 5, heard.body == HitScene.frame(Array(heard.body[5...])) else {
            return "a frame of another length"
        }
        let (id, tensors) = HitScene.parts(Array(heard.body[5...]))
        let stamp = UInt8(question.model * HitScene.revisions.count + revision)
        guard tensors == [question.input, [stamp]] else {
            return "\(name) of model \(question.model) says \(tensors) to \(question.input)"
        }
        return id == Array(question.id.utf8) ? nil : "the id is \(id), not \(question.id)"
    }

    /// `id` and `raw_output_contents` of a ModelInferResponse.
    private static func parts(_ message: [UInt8]) -> (id: [UInt8], tensors: [[UInt8]]) {
        var (id, tensors): ([UInt8], [[UInt8]]) = ([], [])
        var rest = message[...]
        while rest.count >= 2, rest[rest.startIndex] & 7 == 2 {
            let field = rest.removeFirst() >> 3
            // Nothing here is longer than 127 bytes.
            let value = Array(rest.dropFirst().prefix(Int(rest.removeFirst())))
            rest = rest.dropFirst(value.count)
            if field == 3 { id = value }
            if field == 6 { tensors.append(value) }
        }
        return (id, tensors)
    }

    /// How many answers came from memory.
    var hits: Int {
        Ledger(log: AccessChannel(), store: store)
            .sum("sluice_cache_requests_total") { $0.contains("memory") && $0.contains("hit") }
    }

    /// Closes everything, and tells what is left.
    func close() throws -> [String] {
        for client in clients { client.line.close() }
        worker.closeAll()
        for server in servers { server.closeAll() }
        world.tickAll()
        try world.pass(.seconds(3))
        return (worker.liveRecordCount == 0 ? [] : ["\(worker.liveRecordCount) records"])
            + world.network.violations
    }
}
