import SluiceBalancing
import SluiceCore
import Synchronization
import Testing

@Suite("The line for backends with a limit")
struct QueueTests {
    let board = BackendLoads()
    let queue = RevisionQueue()

    func candidates(_ limits: [Int]) -> (RevisionQueue.Candidates, [BackendLoad]) {
        let loads = limits.map { limit in
            let load = board.add()
            load.health = .up
            load.limit = limit
            return load
        }
        return (
            RevisionQueue.Candidates(loads: loads, picker: BackendPicker(.leastRequest)), loads
        )
    }

    func waiter(
        _ token: UInt64,
        _ candidates: RevisionQueue.Candidates,
        eligible: UInt64 = .max,
        excluded: UInt64 = 0
    ) -> RevisionQueue.Waiter {
        RevisionQueue.Waiter(
            worker: 0,
            token: token,
            candidates: candidates,
            eligible: BackendSet(first: eligible),
            excluded: BackendSet(first: excluded)
        )
    }

    @Test("First come, first served, as places fall free, and never above the limit")
    func order() throws {
        let (candidates, loads) = candidates([2, 1])
        var random = RandomSource(seed: 1)
        for token in 0..<10 as Range<UInt64> {
            _ = try #require(queue.join(waiter(token, candidates), maximum: 100))
        }
        #expect(queue.serve(at: .zero, random: &random).map(\.token) == [0, 1, 2])
        #expect(loads.map(\.inFlight) == [2, 1] && queue.depth == 7)
        #expect(queue.serve(at: .zero, random: &random).isEmpty)
        var next: UInt64 = 3
        while next < 10 {
            loads[Int(next) % 2].leaveLimited()
            let grants = queue.serve(at: .zero, random: &random)
            #expect(grants.map(\.token) == [next])
            #expect(grants.first?.backend == loads[Int(next) % 2])
            next += 1
        }
        #expect(queue.depth == 0)
    }

    @Test("The line has an end, and who leaves makes room and never gets a place")
    func bounds() throws {
        let (candidates, loads) = candidates([1])
        var random = RandomSource(seed: 1)
        let tickets = (0..<3).compactMap { queue.join(waiter($0, candidates), maximum: 3) }
        #expect(tickets.count == 3 && queue.join(waiter(9, candidates), maximum: 3) == nil)
        #expect(queue.leave(tickets[0]))
        #expect(!queue.leave(tickets[0]))
        #expect(queue.leave(tickets[1]))
        #expect(queue.depth == 1)
        #expect(queue.serve(at: .zero, random: &random).map(\.token) == [2])
        #expect(!queue.leave(tickets[2]))
        #expect(loads[0].inFlight == 1)
    }

    @Test("Who can't use the place that is free is passed by those behind it")
    func passing() throws {
        let (candidates, loads) = candidates([1, 1])
        loads[0].enter()
        loads[1].enter()
        var random = RandomSource(seed: 1)
        _ = queue.join(waiter(0, candidates, eligible: 0b01), maximum: 10)
        _ = queue.join(waiter(1, candidates, excluded: 0b10), maximum: 10)
        _ = queue.join(waiter(2, candidates, eligible: 0b10), maximum: 10)
        #expect(queue.serve(at: .zero, random: &random).isEmpty)
        loads[1].leaveLimited()
        #expect(queue.serve(at: .zero, random: &random).map(\.token) == [2])
        loads[0].leaveLimited()
        #expect(queue.serve(at: .zero, random: &random).map(\.token) == [0])
    }

    @Test(
        "Any order of joining, leaving and serving keeps the books",
        arguments: 0..<50 as Range<UInt64>
    )
    func chance(seed: UInt64) throws {
        let (candidates, loads) = candidates([1, 3, 2])
        var random = RandomSource(seed: seed)
        var waiting: [(token: UInt64, ticket: RevisionQueue.Ticket)] = []
        var served: [UInt64] = []
        var next: UInt64 = 0
        for _ in 0..<3_000 {
            switch random.next(below: 4) {
            case 0, 1:
                if let ticket = queue.join(waiter(next, candidates), maximum: 20) {
                    waiting.append((next, ticket))
                } else {
                    #expect(waiting.count == 20)
                }
                next += 1
            case 2 where !waiting.isEmpty:
                let place = random.next(below: waiting.count)
                #expect(queue.leave(waiting.remove(at: place).ticket))
            default:
                if let busy = loads.first(where: { $0.inFlight > 0 }) { busy.leaveLimited() }
            }
            for grant in queue.serve(at: .zero, random: &random) {
                #expect(waiting.first?.token == grant.token)
                waiting.removeFirst()
                served.append(grant.token)
            }
            #expect(queue.depth == waiting.count)
            #expect(loads[0].inFlight <= 1 && loads[1].inFlight <= 3 && loads[2].inFlight <= 2)
        }
        #expect(served == served.sorted() && served.count > 100)
    }

    @Test(
        "Many threads: the limit holds, nobody is forgotten, nobody is served twice",
        .timeLimit(.minutes(1))
    )
    func threads() async {
        let (candidates, loads) = candidates([2, 1])
        let (perThread, threads) = (2_000, 4)
        let witness = Witness()
        let queue = queue
        // A place that was granted is used and given back by whoever served it.
        @Sendable func use(_ first: [RevisionQueue.Grant], _ random: inout RandomSource) {
            var grants = first
            while let grant = grants.popLast() {
                witness.saw(loads.map(\.inFlight), grant.token)
                grant.backend.leaveLimited()
                grants += queue.serve(at: .zero, random: &random)
            }
        }
        await withTaskGroup(of: Void.self) { group in
            for thread in 0..<threads {
                group.addTask {
                    var random = RandomSource(seed: UInt64(thread))
                    for number in 0..<perThread {
                        let token = UInt64(thread * perThread + number)
                        let waiter = RevisionQueue.Waiter(
                            worker: thread,
                            token: token,
                            candidates: candidates,
                            eligible: .all(2),
                            excluded: BackendSet()
                        )
                        guard queue.join(waiter, maximum: .max / 4) != nil else { continue }
                        use(queue.serve(at: .zero, random: &random), &random)
                    }
                }
            }
        }
        #expect(queue.depth == 0, "a wake-up was lost")
        #expect(loads.map(\.inFlight) == [0, 0])
        let counts = witness.counts
        #expect(counts.count == perThread * threads && counts.values.allSatisfy { $0 == 1 })
        #expect(witness.busiest[0] <= 2 && witness.busiest[1] <= 1)
    }
}

@Suite("Retries")
struct RetryPolicyTests {
    @Test("What may have reached a model goes again only where that is allowed")
    func table() {
        var policy = RetryPolicy()
        for cause in RetryPolicy.Cause.allCases {
            #expect(policy.allows(cause, after: 0) == (cause == .refused))
            #expect(!policy.allows(cause, after: 1))
        }
        policy.isIdempotent = true
        for cause in RetryPolicy.Cause.allCases { #expect(policy.allows(cause, after: 0)) }
        policy.attempts = 0
        for cause in RetryPolicy.Cause.allCases { #expect(!policy.allows(cause, after: 0)) }
    }

    @Test(
        "Delays are chance below 25, 75, 175, 250 ms; untouched requests go at once, the first time"
    )
    func delays() {
        var random = RandomSource(seed: 1)
        for (number, bound) in [(1, 25), (2, 75), (3, 175), (4, 250), (40, 250)] {
            let delays = (0..<2_000).map { _ in
                RetryPolicy.delay(.unavailable, number: number, random: &random)
            }
            let maximum = delays.max() ?? 0
            #expect(maximum < bound * 1_000_000 && maximum > bound * 950_000)
        }
        #expect(RetryPolicy.delay(.refused, number: 1, random: &random) == 0)
    }

    @Test("A fifth of what is in flight may be retries, and three at least")
    func budget() {
        let budget = RetryBudget()
        #expect(
            (0..<5).map { _ in budget.tryBegin(inFlight: 1) } == [true, true, true, false, false]
        )
        #expect(!budget.tryBegin(inFlight: 19) && budget.tryBegin(inFlight: 20))
        for _ in 0..<4 { budget.end() }
        #expect(budget.count == 0)
        #expect((0..<30).count { _ in budget.tryBegin(inFlight: 100) } == 20)
    }
}

/// What all threads saw.
private final class Witness: Sendable {
    private let seen = Mutex<(counts: [UInt64: Int], busiest: [Int])>(([:], [0, 0]))

    func saw(_ inFlight: [Int], _ token: UInt64) {
        seen.withLock { seen in
            seen.counts[token, default: 0] += 1
            for index in inFlight.indices {
                seen.busiest[index] = max(seen.busiest[index], inFlight[index])
            }
        }
    }

    var counts: [UInt64: Int] { seen.withLock { $0.counts } }
    var busiest: [Int] { seen.withLock { $0.busiest } }
}
