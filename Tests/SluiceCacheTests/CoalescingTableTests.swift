import SluiceCache
import SluiceCore
import Testing

@Suite("Equal calls in flight")
struct CoalescingTableTests {
    static func waiter(_ number: Int) -> CoalescingWaiter {
        CoalescingWaiter(worker: number % 2, token: UInt64(number))
    }

    static func join(
        _ table: CoalescingTable,
        _ key: Int,
        _ number: Int,
        at now: Instant = .zero
    ) -> CoalescingRole {
        table.join(Traces.key(key), tag: Traces.tag, as: waiter(number), at: now)
    }

    static func lead(_ table: CoalescingTable, _ key: Int, _ number: Int) throws -> CoalescingTicket
    {
        guard case .lead(let ticket) = join(table, key, number) else { throw Missing() }
        return ticket
    }

    static func follow(
        _ table: CoalescingTable,
        _ key: Int,
        _ number: Int
    ) throws -> CoalescingTicket {
        guard case .follow(let ticket) = join(table, key, number) else { throw Missing() }
        return ticket
    }

    struct Missing: Error {}

    @Test("One of a thousand leads; landing tells all the others, once")
    func thousand() throws {
        let table = CoalescingTable()
        let leader = try CoalescingTableTests.lead(table, 1, 0)
        for number in 1..<1000 { _ = try CoalescingTableTests.follow(table, 1, number) }
        let other = try CoalescingTableTests.lead(table, 2, 5000)
        #expect(table.count == 2)
        #expect(table.complete(leader) == (1..<1000).map(CoalescingTableTests.waiter))
        #expect(table.complete(leader).isEmpty)
        #expect(table.complete(other).isEmpty)
        #expect(table.count == 0)
        // Who comes after the landing starts anew: a failure isn't replayed.
        _ = try CoalescingTableTests.lead(table, 1, 1)
    }

    @Test("A call goes on while anyone waits, and is abandoned by the last to leave")
    func leaving() throws {
        let table = CoalescingTable()
        let leader = try CoalescingTableTests.lead(table, 1, 0)
        let first = try CoalescingTableTests.follow(table, 1, 1)
        #expect(table.leave(leader) == .none)
        // The leader's seat is free for another, who is told all the same.
        _ = try CoalescingTableTests.follow(table, 1, 2)
        #expect(table.leave(first) == .none)
        #expect(table.leave(first) == .none)
        #expect(table.complete(leader) == [CoalescingTableTests.waiter(2)])

        let again = try CoalescingTableTests.lead(table, 1, 10)
        let last = try CoalescingTableTests.follow(table, 1, 11)
        #expect(table.leave(again) == .none)
        #expect(table.leave(last) == .abandoned(leader: CoalescingTableTests.waiter(10)))
        #expect(table.complete(again).isEmpty)
        #expect(table.count == 0)
    }

    @Test("A leader whose own deadline ended the call hands over to one who still waits")
    func handOver() throws {
        let table = CoalescingTable()
        let leader = try CoalescingTableTests.lead(table, 1, 0)
        let first = try CoalescingTableTests.follow(table, 1, 1)
        _ = try CoalescingTableTests.follow(table, 1, 2)
        _ = table.leave(first)
        let next = try #require(table.handOver(leader, at: .zero))
        #expect(next.leader == CoalescingTableTests.waiter(2))
        _ = try CoalescingTableTests.follow(table, 1, 3)
        #expect(table.complete(next.ticket) == [CoalescingTableTests.waiter(3)])
        let uncoalesced = try CoalescingTableTests.lead(table, 1, 4)
        #expect(table.handOver(uncoalesced, at: .zero) == nil)
        #expect(table.count == 0)
    }

    private static func second(_ number: Double) -> Instant {
        Instant(nanoseconds: Int64(number * 1e9))
    }

    /// What a follower is told after so many seconds, who has patience for one.
    private static func refetch(
        _ table: CoalescingTable,
        _ ticket: CoalescingTicket,
        at number: Double
    ) -> CoalescingRefetch {
        table.refetch(ticket, at: second(number), refetch: 1_000_000_000)
    }

    @Test("Of a thousand who have lost patience one makes another call, and the others wait anew")
    func refetching() throws {
        let table = CoalescingTable()
        guard case .lead(let first) = Self.join(table, 1, 0, at: Self.second(5)) else {
            throw Missing()
        }
        let followers = try (1..<1000).map { try Self.follow(table, 1, $0) }
        #expect(Self.refetch(table, followers[0], at: 5.9) == .wait(until: Self.second(6)))
        #expect(Self.refetch(table, followers[6], at: 6) == .lead)
        for ticket in followers where ticket != followers[6] {
            #expect(Self.refetch(table, ticket, at: 6) == .wait(until: Self.second(7)))
        }
        // Who calls already has nothing to overtake.
        #expect(Self.refetch(table, followers[6], at: 9) == .wait(until: .distantFuture))
        #expect(Self.refetch(table, first, at: 9) == .wait(until: .distantFuture))
        // Both calls end; the first to do so is everybody's, but for those who call themselves.
        #expect(table.complete(followers[6]) == (1..<1000).filter { $0 != 7 }.map(Self.waiter))
        #expect(table.complete(first).isEmpty && table.count == 0)
        #expect(Self.refetch(table, followers[0], at: 9) == .wait(until: .distantFuture))
    }

    @Test("The call that was overtaken may still be the faster one")
    func refetchedWins() throws {
        let table = CoalescingTable()
        let first = try Self.lead(table, 1, 0)
        let second = try Self.follow(table, 1, 1)
        _ = try Self.follow(table, 1, 2)
        #expect(Self.refetch(table, second, at: 1) == .lead)
        #expect(table.complete(first) == [Self.waiter(2)])
        #expect(table.complete(second).isEmpty && table.fail(second).isEmpty)
    }

    @Test(
        "A call that fails or is given up is nobody else's failure while another is under way",
        arguments: [0, 1, 2],
        [true, false]
    )
    func oneOfSeveralFails(number: Int, isGivenUp: Bool) throws {
        let table = CoalescingTable()
        var callers = [try Self.lead(table, 1, 0)]
        for number in 1...2 { callers.append(try Self.follow(table, 1, number)) }
        let other = try Self.follow(table, 1, 3)
        #expect(Self.refetch(table, callers[1], at: 1) == .lead)
        #expect(Self.refetch(table, callers[2], at: 2) == .lead)
        let gone = callers.remove(at: number)
        if isGivenUp {
            #expect(table.handOver(gone, at: Self.second(2)) == nil)
        } else {
            #expect(table.fail(gone).isEmpty)
        }
        #expect(Self.refetch(table, other, at: 2.5) == .wait(until: Self.second(3)))
        #expect(table.fail(callers[0]).isEmpty)
        // The last one's failure is.
        if isGivenUp {
            let next = try #require(table.handOver(callers[1], at: Self.second(2.5)))
            #expect(next.leader == Self.waiter(3))
            #expect(table.complete(next.ticket).isEmpty)
        } else {
            #expect(table.fail(callers[1]) == [Self.waiter(3)])
        }
        #expect(table.count == 0)
    }

    @Test("Who boarded last is handed the flight, having the most time left")
    func handOverToYoungest() throws {
        let table = CoalescingTable()
        let leader = try Self.lead(table, 1, 0)
        let followers = try (1...3).map { try Self.follow(table, 1, $0) }
        _ = table.leave(followers[0])
        // It has the seat of one who left.
        _ = try Self.follow(table, 1, 4)
        let next = try #require(table.handOver(leader, at: .zero))
        #expect(next.leader == Self.waiter(4))
        let last = try #require(table.handOver(next.ticket, at: .zero))
        #expect(last.leader == Self.waiter(3))
        #expect(table.complete(last.ticket) == [Self.waiter(2)])
    }

    @Test("A purge lets nobody else board, and leaves nobody behind")
    func close() throws {
        let table = CoalescingTable()
        let leader = try CoalescingTableTests.lead(table, 1, 0)
        _ = try CoalescingTableTests.follow(table, 1, 1)
        table.close(.model(CacheTag(model: "wine", revision: "v1")))
        _ = try CoalescingTableTests.follow(table, 1, 2)
        table.close(.model(Traces.tag))
        let anew = try CoalescingTableTests.lead(table, 1, 3)
        _ = try CoalescingTableTests.follow(table, 1, 4)
        #expect(table.complete(leader) == [1, 2].map(CoalescingTableTests.waiter))
        // The old flight's end didn't take the new one's key.
        _ = try CoalescingTableTests.follow(table, 1, 5)
        #expect(table.complete(anew) == [4, 5].map(CoalescingTableTests.waiter))
    }

    @Test("A full flight or table sends the next one alone")
    func bounds() throws {
        let narrow = CoalescingTable(maximumCalls: 1, maximumWaiters: 3)
        let leader = try CoalescingTableTests.lead(narrow, 1, 0)
        for number in 1..<3 { _ = try CoalescingTableTests.follow(narrow, 1, number) }
        #expect(CoalescingTableTests.join(narrow, 1, 3) == .uncoalesced)
        let leads = (0..<200).filter {
            CoalescingTableTests.join(narrow, $0 + 10, 9) != .uncoalesced
        }
        #expect(leads.count <= 15)
        #expect(narrow.complete(leader).count == 2)
    }

    @Test(
        "Every waiter is told exactly once or left by itself, and each key has one leader",
        .tags(.property),
        arguments: 0..<16 as Range<UInt64>
    )
    func model(seed: UInt64) {
        var random = RandomSource(seed: seed)
        let table = CoalescingTable()
        struct Call {
            var waiting: [CoalescingWaiter: CoalescingTicket]
            /// Who calls, the last to begin at the end.
            var callers: [CoalescingWaiter]
        }
        var calls: [Int: Call] = [:]
        for step in 0..<20_000 {
            let number = random.next(below: 8)
            let waiter = CoalescingTableTests.waiter(step)
            let now = Instant(nanoseconds: Int64(step))
            switch random.next(below: 9) {
            case 0..<5:
                switch CoalescingTableTests.join(table, number, step, at: now) {
                case .lead(let ticket):
                    #expect(calls[number] == nil)
                    calls[number] = Call(waiting: [waiter: ticket], callers: [waiter])
                case .follow(let ticket):
                    #expect(calls[number] != nil)
                    calls[number]?.waiting[waiter] = ticket
                case .uncoalesced: Issue.record("nothing is full")
                }
            case 5, 6:
                guard let call = calls[number],
                    let (gone, ticket) = call.waiting.filter({ !call.callers.contains($0.key) })
                        .randomElement(using: &random)
                else { continue }
                calls[number]?.waiting[gone] = nil
                #expect(table.leave(ticket) == .none)
            case 7:
                guard let call = calls[number],
                    let (next, ticket) = call.waiting.randomElement(using: &random)
                else { continue }
                if table.refetch(ticket, at: now, refetch: 50) == .lead {
                    #expect(!call.callers.contains(next))
                    calls[number]?.callers.append(next)
                }
            default:
                guard let call = calls[number],
                    let caller = call.callers.randomElement(using: &random),
                    let ticket = call.waiting[caller]
                else { continue }
                let others = Set(call.waiting.keys).subtracting(call.callers)
                let isLast = call.callers.count == 1
                calls[number]?.waiting[caller] = nil
                calls[number]?.callers.removeAll { $0 == caller }
                switch random.next(below: 3) {
                case 0:
                    let next = table.handOver(ticket, at: now)
                    #expect((next == nil) == (!isLast || others.isEmpty))
                    if let next {
                        #expect(others.contains(next.leader))
                        calls[number]?.waiting[next.leader] = next.ticket
                        calls[number]?.callers = [next.leader]
                    } else if isLast {
                        calls[number] = nil
                    }
                case 1:
                    let told = table.fail(ticket)
                    #expect(Set(told) == (isLast ? others : []) && Set(told).count == told.count)
                    if isLast { calls[number] = nil }
                default:
                    let told = table.complete(ticket)
                    #expect(Set(told) == others && others.count == told.count)
                    calls[number] = nil
                }
            }
        }
        #expect(table.count == calls.count)
    }

    @Test("Over four threads each key has one leader at a time, and nobody is forgotten")
    func threads() async {
        let table = CoalescingTable()
        let told = await withTaskGroup(of: (waits: Int, told: Int).self) { group in
            for worker in 0..<4 {
                group.addTask {
                    var (waits, told) = (0, 0)
                    var random = RandomSource(seed: UInt64(worker))
                    var led: [CoalescingTicket] = []
                    for step in 0..<20_000 {
                        let waiter = CoalescingWaiter(worker: worker, token: UInt64(step))
                        let key = Traces.key(random.next(below: 50))
                        switch table.join(key, tag: Traces.tag, as: waiter, at: .zero) {
                        case .lead(let ticket): led.append(ticket)
                        case .follow: waits += 1
                        case .uncoalesced: Issue.record("nothing is full")
                        }
                        if led.count > 5 { told += table.complete(led.removeFirst()).count }
                    }
                    for ticket in led { told += table.complete(ticket).count }
                    return (waits, told)
                }
            }
            return await group.reduce(into: (0, 0)) { sum, part in
                sum.0 += part.waits
                sum.1 += part.told
            }
        }
        #expect(told.0 == told.1)
        #expect(table.count == 0)
    }
}
