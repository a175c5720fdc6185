import SluiceBalancing
import SluiceCore
import SluiceHTTP
import SluiceTelemetry
import Testing

@testable import SluiceGateway

@Suite("A request goes to a backend, and perhaps to another")
struct AttemptStepTests {
    fileprivate static let body = #"{"instances":[1]}"#

    @Test("Of a backend that can't be reached another is asked at once; each is noted as tried")
    func unreachable() throws {
        let bench = try WorkerBench([["absent-1", "absent-2", "c"]])
        let asked = bench.ask(body: Self.body)
        try bench.pass(50)
        let request = try unsafe #require(asked.request)
        #expect(unsafe request.pointee.attempt.count == 3 && request.pointee.attempt.tried == 0b111)
        #expect(unsafe request.pointee.stage == .relaying)
        #expect(bench.loads.map(\.inFlight) == [0, 0, 1])
        // They are out at once; only their probes bring them back.
        #expect(bench.loads.map { $0.health == .down } == [true, true, false])
        bench.backends[0].answer()
        try bench.pass(20)
        #expect(asked.host.status == 200 && asked.host.fields["x-sluice-backend"] == "c")
        #expect(try bench.end() == [])
    }

    @Test("Where none can be reached the caller hears it, once each was tried")
    func allUnreachable() throws {
        let bench = try WorkerBench([["absent-1", "absent-2"]])
        let asked = bench.ask(body: Self.body)
        try bench.pass(50)
        #expect(asked.host.status == 503 && asked.host.isEnded)
        #expect(try bench.end() == [])
    }

    @Test("A silent backend has the model's time, then its call is cancelled and the caller told")
    func silent() throws {
        let bench = try WorkerBench { $0.timeout = .seconds(3) }
        let asked = bench.ask(body: Self.body)
        try bench.pass(2_900)
        #expect(asked.host.status == 0 && bench.backends[0].openCount == 1)
        try bench.pass(200)
        #expect(asked.host.status == 504)
        #expect(asked.host.text == #"{"error":"no answer within 3.0 seconds"}"#)
        #expect(bench.backends[0].openCount == 0 && bench.loads[0].inFlight == 0)
        #expect(try bench.end() == [])
    }

    @Test("A caller who leaves takes its call along; the backend isn't held to blame")
    func leaves() throws {
        let bench = try WorkerBench()
        let asked = bench.ask(body: Self.body)
        try bench.pass(20)
        bench.leave(asked)
        try bench.pass(20)
        #expect(bench.backends[0].openCount == 0 && bench.loads[0].inFlight == 0)
        #expect(bench.loads[0].health != .down && asked.host.status == 0)
        #expect(try bench.end() == [])
    }

    @Test(
        "A 503 is asked of another backend where the model allows it, and not where it doesn't",
        arguments: [true, false]
    )
    func retries(isIdempotent: Bool) throws {
        let bench = try WorkerBench([["a", "b"]]) {
            $0.resilience.retry.isIdempotent = isIdempotent
            $0.resilience.retry.attempts = 1
        }
        let asked = bench.ask(body: Self.body)
        try bench.pass(20)
        let first = bench.backends[0].requests.isEmpty ? 1 : 0
        bench.backends[first].answer(503, "busy")
        try bench.pass(2_000)
        #expect(bench.backends[1 - first].bodies == (isIdempotent ? [Self.body] : []))
        guard isIdempotent else {
            #expect(asked.host.status == 503 && asked.host.text == "busy")
            #expect(try bench.end() == [])
            return
        }
        let request = try unsafe #require(asked.request)
        #expect(unsafe request.pointee.retry.count == 1 && request.pointee.attempt.count == 2)
        #expect(bench.revisions[0].retries.count == 1)
        bench.backends[1 - first].answer()
        try bench.pass(20)
        #expect(asked.host.status == 200 && bench.revisions[0].retries.count == 0)
        #expect(try bench.end() == [])
    }

    @Test("An answer that has begun is never asked for again; what is missing breaks it off")
    func begun() throws {
        let bench = try WorkerBench([["a", "b"]]) { $0.resilience.retry.isIdempotent = true }
        let asked = bench.ask(body: Self.body)
        try bench.pass(20)
        let first = bench.backends[0].requests.isEmpty ? 1 : 0
        // It promises more than it sends.
        bench.backends[first].answer(200, "abc", fields: "connection: close\r\n")
        try bench.pass(20)
        #expect(asked.host.status == 200 && asked.host.text == "abc" && asked.host.isEnded)
        #expect(bench.backends[1 - first].requests.isEmpty)
        #expect(try bench.end() == [])
    }

    @Test("The body goes to the backend as it comes, and what it has taken is told to the caller")
    func streams() throws {
        let bench = try WorkerBench()
        let asked = bench.ask(WorkerBench.predict, [("content-length", "10")])
        bench.send("01234", to: asked, ends: false)
        try bench.pass(20)
        #expect(asked.host.consumedCount == 5)
        bench.send("56789", to: asked)
        try bench.pass(20)
        #expect(asked.host.consumedCount == 10 && bench.backends[0].bodies == ["0123456789"])
        bench.backends[0].answer()
        try bench.pass(20)
        #expect(asked.host.status == 200)
        #expect(try bench.end() == [])
    }

    @Test("What is the gateway's to say in an answer no backend says, in its head or its trailers")
    func oursAlone() throws {
        let bench = try WorkerBench()
        let asked = bench.ask(body: Self.body)
        try bench.pass(20)
        let fields = FieldName.ofOurAnswers.map { "\($0.text): spoofed\r\n" }.joined()
        bench.backends[0].answer(fields: fields + "x-model: a\r\n")
        try bench.pass(20)
        #expect(asked.host.status == 200 && asked.host.fields["x-model"] == "a")
        #expect(!asked.host.fields.values.contains { $0.contains("spoofed") })
        let trailing = Head(FieldName.ofOurAnswers.map { ("\($0.text)", "spoofed") })
        trailing.block.remove(GatewayFields.ofAnswerTrailers)
        #expect(trailing.block.isBare)
        #expect(try bench.end() == [])
    }

    @Test("A request that ends twice ends a debug build: its record may be another's by then")
    func endedTwice() async {
        await #expect(processExitsWith: .failure) {
            let bench = try WorkerBench()
            let asked = bench.ask(body: AttemptStepTests.body)
            try bench.pass(20)
            let request = try unsafe #require(asked.request)
            unsafe bench.worker.end(request)
            unsafe bench.worker.end(request)
        }
    }
}
