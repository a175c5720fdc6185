import SluiceBalancing
import SluiceCache
import SluiceCore
import Testing

@testable import SluiceGateway

@Suite("An answer is looked up, shared with those who ask the same, and kept")
struct LookupStepTests {
    private static let body = #"{"instances":[1]}"#
    private static let policy = CachePolicy(timeToLive: .seconds(60))

    @Test("What was answered once is answered from memory, until its time is over")
    func keeps() throws {
        let bench = try WorkerBench(cache: Self.policy)
        let first = bench.ask(body: Self.body)
        try bench.pass(20)
        bench.backends[0].answer()
        try bench.pass(20)
        #expect(first.host.status == 200 && first.host.fields["cache-status"] == "sluice; fwd=miss")
        let hit = bench.ask(body: Self.body)
        // On the spot: nothing had to happen in between.
        #expect(hit.host.status == 200 && hit.host.text == first.host.text)
        #expect(hit.host.fields["cache-status"]?.hasPrefix("sluice; hit") == true)
        #expect(hit.host.fields["x-request-id"] != first.host.fields["x-request-id"])
        let other = bench.ask(body: #"{"instances":[2]}"#)
        try bench.pass(20)
        #expect(other.host.status == 0 && bench.backends[0].requests.count == 2)
        bench.backends[0].answer()
        try bench.pass(70_000)
        let late = bench.ask(body: Self.body)
        #expect(late.host.status == 0)
        #expect(try bench.end() == [])
    }

    @Test(
        "The same question in other words is the same: spaces, order and numbers' spelling don't count"
    )
    func canonical() throws {
        let bench = try WorkerBench(cache: Self.policy)
        bench.ask(body: #"{"instances":[1.0],"signature_name":"s"}"#)
        try bench.pass(20)
        bench.backends[0].answer()
        try bench.pass(20)
        let spaced = bench.ask(body: #"{ "signature_name" : "s", "instances" : [ 1.0 ] }"#)
        #expect(spaced.host.status == 200)
        let other = bench.ask(body: #"{"instances":[1.0],"signature_name":"t"}"#)
        #expect(other.host.status == 0)
        #expect(try bench.end() == [])
    }

    @Test("Those who ask the same meanwhile wait for the one call, and all get its answer")
    func coalesces() throws {
        let bench = try WorkerBench(cache: Self.policy)
        let asked = (0..<4).map { _ in bench.ask(body: Self.body) }
        try bench.pass(20)
        #expect(bench.backends[0].requests.count == 1)
        for follower in asked.dropFirst() {
            let request = try unsafe #require(follower.request)
            #expect(unsafe request.pointee.stage == .waiting)
        }
        bench.backends[0].answer(200, #"{"predictions":[7]}"#)
        try bench.pass(20)
        for one in asked {
            #expect(one.host.status == 200 && one.host.text == #"{"predictions":[7]}"#)
        }
        #expect(bench.backends[0].requests.count == 1)
        #expect(try bench.end() == [])
    }

    @Test("When the caller leaves whose call it was, those who wait are answered all the same")
    func promotes() throws {
        let bench = try WorkerBench(cache: Self.policy)
        let (first, second) = (bench.ask(body: Self.body), bench.ask(body: Self.body))
        try bench.pass(20)
        bench.leave(first)
        try bench.pass(20)
        bench.backends[0].answer()
        try bench.pass(50)
        bench.backends[0].answer()
        try bench.pass(50)
        #expect(second.host.status == 200 && first.host.status == 0)
        #expect(bench.backends[0].requests.count <= 2)
        #expect(try bench.end() == [])
    }

    @Test("A follower who leaves takes nothing from the others")
    func followerLeaves() throws {
        let bench = try WorkerBench(cache: Self.policy)
        let asked = (0..<3).map { _ in bench.ask(body: Self.body) }
        try bench.pass(20)
        bench.leave(asked[1])
        bench.backends[0].answer()
        try bench.pass(20)
        #expect(asked.map(\.host.status) == [200, 0, 200])
        #expect(try bench.end() == [])
    }

    @Test("An answer that is one caller's alone is neither shared nor kept (RFC 9111 §4)")
    func notStored() throws {
        let bench = try WorkerBench(cache: Self.policy)
        let (first, second) = (bench.ask(body: Self.body), bench.ask(body: Self.body))
        try bench.pass(20)
        bench.backends[0].answer(
            200,
            #"{"predictions":[1]}"#,
            fields: "cache-control: no-store\r\n"
        )
        try bench.pass(20)
        #expect(first.host.text == #"{"predictions":[1]}"# && second.host.status == 0)
        #expect(bench.backends[0].requests.count == 2)
        bench.backends[0].answer(200, #"{"predictions":[2]}"#)
        try bench.pass(20)
        #expect(second.host.text == #"{"predictions":[2]}"#)
        #expect(try bench.end() == [])
    }

    @Test("A failure isn't kept, and those who waited for it hear it too")
    func failure() throws {
        let bench = try WorkerBench(cache: Self.policy) { $0.resilience.retry.attempts = 0 }
        let (first, second) = (bench.ask(body: Self.body), bench.ask(body: Self.body))
        try bench.pass(20)
        bench.backends[0].answer(500, #"{"error":"broken"}"#)
        try bench.pass(20)
        #expect(first.host.status == 500 && second.host.status >= 500)
        let next = bench.ask(body: Self.body)
        try bench.pass(20)
        #expect(next.host.status == 0 && bench.backends[0].requests.count == 2)
        #expect(try bench.end() == [])
    }
}
