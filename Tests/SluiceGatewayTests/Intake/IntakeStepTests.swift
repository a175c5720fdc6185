import SluiceBalancing
import SluiceCore
import SluiceGRPC
import SluiceHTTP
import SluiceIO
import Testing

@testable import SluiceGateway
@testable import SluiceIngress

@Suite("A request is read: what it is, and for which model")
struct IntakeStepTests {
    private static let body = #"{"instances":[1]}"#
    private static let grpc = [("content-type", "application/grpc")]

    /// A framed ModelInferRequest that names `model` (field 1).
    private static func message(_ model: String) -> [UInt8] {
        GRPCFrame.frame([0x0A, UInt8(model.utf8.count)] + Array(model.utf8))
    }

    // MARK: - REST

    @Test(
        "What names nothing here is answered at once where no body is to come",
        arguments: [
            ("/nothing", "GET", 404), ("/v1/models/m:predict", "GET", 405),
            ("/v1/models/other", "GET", 404), ("/v2/models/m/infer", "DELETE", 405),
            ("/v2/models/m/%zz/infer", "GET", 404),
        ]
    )
    func refused(path: String, method: String, status: Int) throws {
        let bench = try WorkerBench()
        let asked = bench.ask(path, method: method)
        #expect(asked.host.status == status && asked.host.isEnded)
        #expect(unsafe asked.request == nil && bench.worker.openRequestCount == 0)
        #expect(asked.host.fields["allow"] == (status == 405 ? "POST" : nil))
        #expect(asked.host.text.hasPrefix("{\"error\":\""))
        #expect(try bench.end() == [])
    }

    @Test("A path or authority that isn't sound is refused before it is looked at")
    func unsound() throws {
        let bench = try WorkerBench()
        let host = RecordingHost(arena: bench.worker.arena)
        let head = bench.worker.arena.blocks.take()
        head.append(.method, "GET")
        head.append(.path, "/v2")
        bench.worker.requestBegan(.init(owned: host), head, endStream: true)
        #expect(host.status == 400 && host.isEnded)
        #expect(try bench.end() == [])
    }

    @Test("A refusal over HTTP/1.1 waits for the body's end, and lets what has come go")
    func lingers() throws {
        let bench = try WorkerBench()
        let asked = bench.ask("/v1/models/other:predict")
        let request = try unsafe #require(asked.request)
        #expect(unsafe request.pointee.stage == .failing)
        #expect(unsafe request.pointee.timerPurpose == .linger)
        #expect(asked.host.status == 0 && asked.host.isBodyReleased)
        bench.send("abc", to: asked, ends: false)
        #expect(asked.host.consumedCount == 3 && asked.host.status == 0)
        bench.send("def", to: asked)
        #expect(asked.host.status == 404 && asked.host.isEnded)
        // Which models there are is said as well.
        #expect(asked.host.text == #"{"error":"unknown model 'other'; known: m"}"#)
        #expect(try bench.end() == [])
    }

    @Test("It waits for five seconds at most, and for a mebibyte")
    func lingersNoLonger() throws {
        let bench = try WorkerBench()
        let (slow, long) = (bench.ask("/v1/models/o:predict"), bench.ask("/v1/models/o:predict"))
        bench.send([UInt8](repeating: 65, count: 1 << 20), to: long, ends: false)
        #expect(long.host.status == 0)
        bench.send("a", to: long, ends: false)
        #expect(long.host.status == 404)
        try bench.pass(4_900)
        #expect(slow.host.status == 0)
        try bench.pass(200)
        #expect(slow.host.status == 404)
        #expect(try bench.end() == [])
    }

    @Test("A body above the limit is refused without waiting for it, declared or not")
    func tooLarge() throws {
        let bench = try WorkerBench(maxRequestBytes: 100)
        let declared = bench.ask(WorkerBench.predict, [("content-length", "101")])
        #expect(declared.host.status == 413 && declared.host.isEnded)
        try bench.pass(20)
        #expect(bench.backends[0].requests.isEmpty)
        let undeclared = bench.ask()
        bench.send([UInt8](repeating: 65, count: 60), to: undeclared, ends: false)
        try bench.pass(20)
        bench.send([UInt8](repeating: 65, count: 60), to: undeclared, ends: false)
        #expect(undeclared.host.status == 413)
        try bench.pass(20)
        #expect(bench.backends[0].openCount == 0 && bench.loads[0].inFlight == 0)
        #expect(try bench.end() == [])
    }

    @Test("A caller that waits to be told is told only for a model that is there")
    func expects() throws {
        let bench = try WorkerBench()
        let unknown = bench.ask("/v1/models/other:predict") { $0.waits = true }
        #expect(unknown.host.continueCount == 0 && unknown.host.status == 404)
        let known = bench.ask { $0.waits = true }
        try bench.pass(20)
        #expect(known.host.continueCount == 1)
        bench.send(Self.body, to: known)
        try bench.pass(20)
        bench.backends[0].answer()
        try bench.pass(20)
        #expect(known.host.status == 200 && known.host.continueCount == 1)
        #expect(try bench.end() == [])
    }

    @Test("A caller's identifier comes back; one that is too long is replaced")
    func identifiers() throws {
        let bench = try WorkerBench()
        let given = bench.ask("/x", method: "GET", [("x-request-id", "mine")])
        #expect(given.host.fields["x-request-id"] == "mine")
        let longest = String(repeating: "i", count: RequestSlot.requestIDMaximum)
        let long = bench.ask("/x", method: "GET", [("x-request-id", longest)])
        #expect(long.host.fields["x-request-id"] == longest)
        let replaced = bench.ask("/x", method: "GET", [("x-request-id", longest + "i")])
        let own = try #require(replaced.host.fields["x-request-id"])
        #expect(!own.isEmpty && !own.contains("iii"))
        #expect(try bench.end() == [])
    }

    @Test(
        "While memory is short no prediction is begun, and models still say whether they are there"
    )
    func shedding() throws {
        let bench = try WorkerBench()
        bench.worker.isShedding = true
        let refused = bench.ask(body: Self.body)
        #expect(refused.host.status == 503 && refused.host.fields["retry-after"] != nil)
        let message = bench.ask(WorkerBench.infer, Self.grpc)
        bench.send(Self.message("m"), to: message)
        #expect(
            message.host.fields["grpc-status"] == "\(GRPCStatus.unavailable.rawValue)"
                || message.host.fields["grpc-status"] == "\(GRPCStatus.resourceExhausted.rawValue)"
        )
        #expect(bench.ask("/v2/health/live", method: "GET").host.status == 200)
        #expect(bench.backends[0].requests.isEmpty)
        #expect(try bench.end() == [])
    }

    // MARK: - gRPC

    @Test("A call waits for its message among the arrivals, and leaves them when it has come")
    func arrives() throws {
        let bench = try WorkerBench()
        let asked = bench.ask(WorkerBench.infer, Self.grpc) { $0.isWhole = false }
        let request = try unsafe #require(asked.request)
        #expect(unsafe bench.worker.arrivals.first == request)
        #expect(unsafe request.pointee.timerPurpose == .arrival)
        let bytes = Self.message("nobody")
        bench.send(Array(bytes[..<7]), to: asked, ends: false)
        #expect(unsafe request.pointee.stage == .routing)
        bench.send(Array(bytes[7...]), to: asked)
        #expect(asked.host.fields["grpc-status"] == "5")
        #expect(asked.host.fields["grpc-message"]?.contains("unknown model 'nobody'") == true)
        #expect(unsafe bench.worker.arrivals.first == nil && bench.loop.timerCount == 0)
        #expect(try bench.end() == [])
    }

    @Test("Messages that don't come in time are refused, each when its own time is over")
    func late() throws {
        let bench = try WorkerBench()
        let first = bench.ask(WorkerBench.infer, Self.grpc) { $0.isWhole = false }
        try bench.pass(10_000)
        let second = bench.ask(WorkerBench.infer, Self.grpc) { $0.isWhole = false }
        try bench.pass(19_900)
        #expect(first.host.status == 0)
        try bench.pass(200)
        #expect(first.host.fields["grpc-status"] == "4" && second.host.status == 0)
        #expect(unsafe bench.worker.arrivals.first == second.request)
        try bench.pass(10_000)
        #expect(second.host.fields["grpc-status"] == "4")
        #expect(bench.loop.timerCount == 0)
        #expect(try bench.end() == [])
    }

    @Test("A caller's own deadline goes before the arrivals' time")
    func deadline() throws {
        let bench = try WorkerBench()
        let asked = bench.ask(WorkerBench.infer, Self.grpc + [("grpc-timeout", "2S")]) {
            $0.isWhole = false
        }
        let request = try unsafe #require(asked.request)
        #expect(unsafe request.pointee.timeout == 2_000_000_000)
        #expect(unsafe bench.worker.arrivals.first == nil)
        try bench.pass(2_100)
        #expect(asked.host.fields["grpc-status"] == "4")
        #expect(try bench.end() == [])
    }

    @Test("What a gRPC path is asked in another way is answered in that way")
    func otherCallers() throws {
        let bench = try WorkerBench()
        let json = bench.ask(
            WorkerBench.infer,
            [("content-type", "application/json")],
            body: "{}"
        )
        #expect(json.host.status == 415 && json.host.fields["grpc-status"] == nil)
        let get = bench.ask(WorkerBench.infer, method: "GET", Self.grpc)
        #expect(get.host.status == 405 && get.host.fields["allow"] == "POST")
        let timeout = bench.ask(WorkerBench.infer, Self.grpc + [("grpc-timeout", "soon")])
        bench.send([], to: timeout)
        #expect(timeout.host.fields["grpc-status"] == "13")
        let method = bench.ask("/inference.GRPCInferenceService/Frob", Self.grpc)
        bench.send([], to: method)
        #expect(method.host.fields["grpc-status"] == "12")
        #expect(try bench.end() == [])
    }

    @Test("A message that ends before its length, and one that is too long, are told apart")
    func broken() throws {
        let bench = try WorkerBench(maxRequestBytes: 1_000)
        let short = bench.ask(WorkerBench.infer, Self.grpc)
        bench.send(Array(Self.message("m").dropLast()), to: short)
        #expect(short.host.fields["grpc-status"] == "3")
        let long = bench.ask(WorkerBench.infer, Self.grpc)
        bench.send([0, 0, 0, 4, 0, 0x0A, 1], to: long, ends: false)
        #expect(long.host.fields["grpc-status"] == "8")
        #expect(bench.backends[0].requests.isEmpty)
        #expect(try bench.end() == [])
    }
}
