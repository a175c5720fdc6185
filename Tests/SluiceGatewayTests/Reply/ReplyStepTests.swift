import SluiceBalancing
import SluiceCore
import SluiceGRPC
import SluiceHTTP
import SluiceTelemetry
import Testing

@testable import SluiceGateway

@Suite("A request is answered, and ends")
struct ReplyStepTests {
    /// A request that is under way, with its answer still to come.
    private static func begun(
        _ bench: WorkerBench,
        _ path: String = WorkerBench.predict
    ) throws -> WorkerBench.Asked {
        let asked = bench.ask(path, body: #"{"instances":[1]}"#)
        try bench.pass(20)
        return asked
    }

    @Test("A refusal has the caller's form, its length, its allowances, and ends the request")
    func rest() throws {
        let bench = try WorkerBench()
        let asked = try Self.begun(bench)
        var reply = ErrorReply(
            http: 429,
            grpc: .resourceExhausted,
            reason: .rateLimited,
            sentence: #"a "b""#
        )
        reply.retryAfterSeconds = 7
        reply.wantsKnownCoding = true
        unsafe bench.worker.replyWithError(try #require(asked.request), reply)
        #expect(asked.host.status == 429 && asked.host.text == #"{"error":"a \"b\""}"#)
        #expect(asked.host.fields["content-length"] == "\(asked.host.body.count)")
        #expect(asked.host.fields["retry-after"] == "7")
        #expect(asked.host.fields["accept-encoding"] == "gzip, deflate, identity")
        #expect(unsafe asked.request == nil && bench.loads[0].inFlight == 0)
        try bench.pass(20)
        // What ran for it is cancelled.
        #expect(bench.backends[0].openCount == 0)
        #expect(try bench.end() == [])
    }

    @Test(
        "To a gRPC caller it is a status without a body, its sentence escaped (gRPC over HTTP/2, Status-Message)"
    )
    func grpc() throws {
        let bench = try WorkerBench()
        let asked = bench.ask(WorkerBench.infer, [("content-type", "application/grpc")])
        unsafe bench.worker.replyWithError(try #require(asked.request), .badRequest("100 % ä"))
        bench.send([], to: asked)
        #expect(asked.host.status == 200 && asked.host.body.isEmpty && asked.host.isEnded)
        #expect(asked.host.fields["grpc-status"] == "3")
        #expect(asked.host.fields["grpc-message"] == "100 %25 %C3%A4")
        #expect(try bench.end() == [])
    }

    @Test("The first reason stays: what follows from a failure isn't its cause")
    func reason() throws {
        let bench = try WorkerBench()
        let asked = bench.ask("/v1/models/other:predict")
        let request = try unsafe #require(asked.request)
        #expect(unsafe request.pointee.reason == .noRoute)
        unsafe bench.worker.replyWithError(request, .badRequest("later"))
        #expect(unsafe request.pointee.reason == .noRoute)
        bench.send("", to: asked)
        #expect(asked.host.endCount == 1)
        #expect(try bench.end() == [])
    }

    @Test("HEAD is answered as GET is, without the body (RFC 9110 §9.3.2)")
    func head() throws {
        let bench = try WorkerBench()
        let get = bench.ask("/v2", method: "GET").host
        let head = bench.ask("/v2", method: "HEAD").host
        #expect(get.status == 200 && head.status == 200 && head.body.isEmpty && head.isEnded)
        #expect(head.fields["content-length"] == get.fields["content-length"] && !get.body.isEmpty)
        #expect(try bench.end() == [])
    }

    @Test("What a caller leaves behind goes back in every stage", arguments: 0..<5)
    func aborted(stage: Int) throws {
        let bench = try WorkerBench(maxInFlight: 1)
        var asked = bench.ask()
        switch stage {
        // Its connection is being made.
        case 0: break
        // Its body is on its way.
        case 1:
            bench.send("{", to: asked, ends: false)
            try bench.pass(20)
        // It waits for a place.
        case 2: asked = bench.ask(body: #"{"instances":[1]}"#)
        // Its refusal waits for its body.
        case 3: asked = bench.ask("/v1/models/other:predict")
        // It has the half of a message.
        default:
            asked = bench.ask(WorkerBench.infer, [("content-type", "application/grpc")])
            bench.send([0, 0, 0], to: asked, ends: false)
        }
        let before = bench.worker.openRequestCount
        bench.leave(asked)
        #expect(bench.worker.openRequestCount == before - 1)
        #expect(asked.host.status == 0 && asked.host.abortCode == nil)
        #expect(try bench.end() == [])
    }
}
