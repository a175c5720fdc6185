import SluiceBalancing
import SluiceCore
import SluiceRouting
import Testing

@testable import SluiceGateway

@Suite("A revision and a backend are chosen, or a place in the queue")
struct SelectionStepTests {
    private static let body = #"{"instances":[1]}"#

    @Test("Backends take turns, and one that is down none")
    func turns() throws {
        let bench = try WorkerBench([["a", "b", "c"]])
        bench.loads[1].health = .down
        for _ in 0..<4 {
            bench.ask(body: Self.body)
            try bench.pass(20)
        }
        #expect(bench.backends.map(\.requests.count) == [2, 0, 2])
        #expect(bench.loads.map(\.inFlight) == [2, 0, 2])
        #expect(try bench.end() == [])
    }

    @Test("Without a backend that is up a request is refused, and may come again in a second")
    func none() throws {
        let bench = try WorkerBench([["a", "b"]])
        for load in bench.loads { load.health = .down }
        let asked = bench.ask(body: Self.body)
        try bench.pass(20)
        #expect(asked.host.status == 503 && asked.host.fields["retry-after"] == "1")
        #expect(asked.host.text == #"{"error":"no healthy backend for model 'm'"}"#)
        #expect(try bench.end() == [])
    }

    @Test(
        "A header names the revision where the model allows it, and one that isn't there is refused"
    )
    func named() throws {
        func bench(_ allows: Bool) throws -> WorkerBench {
            try WorkerBench([["a"], ["b"]]) {
                $0.rules = TrafficRules(
                    allowsRevisionHeader: allows,
                    table: RouteTable([]),
                    sticky: nil
                )
            }
        }
        let open = try bench(true)
        let second = open.ask(WorkerBench.predict, [("x-sluice-revision", "v2")], body: Self.body)
        try open.pass(20)
        #expect(open.backends.map(\.requests.count) == [0, 1])
        open.backends[1].answer()
        try open.pass(20)
        #expect(second.host.fields["x-sluice-revision"] == "v2")
        #expect(second.host.fields["x-sluice-backend"] == "b")
        let absent = open.ask(WorkerBench.predict, [("x-sluice-revision", "v9")], body: Self.body)
        #expect(absent.host.status == 404 && absent.host.text.contains("known: v1, v2"))
        #expect(try open.end() == [])
        // Where it isn't allowed, the weights choose.
        let closed = try bench(false)
        closed.ask(WorkerBench.predict, [("x-sluice-revision", "v2")], body: Self.body)
        try closed.pass(20)
        #expect(closed.backends.map(\.requests.count) == [1, 0])
        #expect(try closed.end() == [])
    }

    // MARK: - The queue

    private static func queueing(
        maxQueue: Int = 10,
        timeout: Duration = .seconds(2)
    ) throws -> WorkerBench {
        try WorkerBench(maxInFlight: 1) {
            $0.resilience.maxQueue = maxQueue
            $0.resilience.queueTimeout = timeout
        }
    }

    @Test("What finds no place waits, first come, first served, and goes when a place falls free")
    func waits() throws {
        let bench = try Self.queueing()
        let asked = (1...3).map { bench.ask(body: "{\"instances\":[\($0)]}") }
        try bench.pass(20)
        #expect(bench.revisions[0].queue.depth == 2 && bench.loads[0].inFlight == 1)
        let second = try unsafe #require(asked[1].request)
        #expect(unsafe second.queueTicket.pointee.ticket != nil)
        #expect(unsafe second.pointee.timerPurpose == .place)
        #expect(unsafe bench.worker.queues.queued.count == 2)
        for number in 1...3 {
            bench.backends[0].answer()
            try bench.pass(20)
            #expect(asked[number - 1].host.status == 200)
            #expect(bench.backends[0].bodies.last?.contains("[\(min(3, number + 1))]") == true)
        }
        #expect(bench.revisions[0].queue.depth == 0 && bench.loads[0].inFlight == 0)
        #expect(try bench.end() == [])
    }

    @Test("A full queue refuses at once, and a place that was left can be taken")
    func full() throws {
        let bench = try Self.queueing(maxQueue: 1)
        bench.ask(body: Self.body)
        let waiting = bench.ask(body: Self.body)
        let refused = bench.ask(body: Self.body)
        #expect(refused.host.status == 503 && refused.host.text.contains("(maxQueue)"))
        bench.leave(waiting)
        #expect(bench.revisions[0].queue.depth == 0)
        #expect(unsafe bench.worker.queues.queued.isEmpty)
        let next = bench.ask(body: Self.body)
        #expect(next.host.status == 0 && bench.revisions[0].queue.depth == 1)
        #expect(try bench.end() == [])
    }

    @Test(
        "Who has waited for queueTimeout is refused by that name, and one whose own time is over by its deadline"
    )
    func timesOut() throws {
        let bench = try Self.queueing(timeout: .seconds(2))
        bench.ask(body: Self.body)
        let waiting = bench.ask(body: Self.body)
        try bench.pass(1_900)
        #expect(waiting.host.status == 0)
        try bench.pass(200)
        #expect(waiting.host.status == 503 && waiting.host.text.contains("(queueTimeout)"))
        #expect(bench.revisions[0].queue.depth == 0)
        #expect(try bench.end() == [])
        let short = try WorkerBench(maxInFlight: 1) {
            $0.resilience.queueTimeout = .seconds(5)
            $0.timeout = .seconds(1)
        }
        short.ask(body: Self.body)
        let late = short.ask(body: Self.body)
        try short.pass(1_100)
        #expect(late.host.status == 504)
        #expect(try short.end() == [])
    }

    @Test(
        "A place that falls free for a caller who has left goes to the next, and no backend sees the first"
    )
    func passedOn() throws {
        let bench = try Self.queueing()
        bench.ask(body: #"{"instances":[1]}"#)
        let leaving = bench.ask(body: #"{"instances":[2]}"#)
        let next = bench.ask(body: #"{"instances":[3]}"#)
        try bench.pass(20)
        bench.leave(leaving)
        bench.backends[0].answer()
        try bench.pass(20)
        #expect(bench.backends[0].bodies == [#"{"instances":[1]}"#, #"{"instances":[3]}"#])
        bench.backends[0].answer()
        try bench.pass(20)
        #expect(next.host.status == 200)
        #expect(try bench.end() == [])
    }

    @Test("A caller who leaves a backend gives its place to who waits")
    func leavesBackend() throws {
        let bench = try Self.queueing()
        let first = bench.ask(body: Self.body)
        bench.ask(body: #"{"instances":[2]}"#)
        try bench.pass(20)
        bench.leave(first)
        try bench.pass(50)
        #expect(bench.backends[0].requests.count == 2 && bench.loads[0].inFlight == 1)
        #expect(bench.revisions[0].queue.depth == 0)
        #expect(try bench.end() == [])
    }
}
