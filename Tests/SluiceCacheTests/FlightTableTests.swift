import SluiceCache
import SluiceCore
import Testing

@Suite("Equal calls in flight")
struct FlightTableTests {
    static func waiter(_ number: Int) -> FlightWaiter {
        FlightWaiter(worker: number % 2, token: UInt64(number))
    }

    static func join(_ table: FlightTable, _ key: Int, _ number: Int) -> FlightRole {
        table.join(Traces.key(key), tag: Traces.tag, as: waiter(number))
    }

    static func lead(_ table: FlightTable, _ key: Int, _ number: Int) throws -> FlightTicket {
        guard case .lead(let ticket) = join(table, key, number) else { throw Missing() }
        return ticket
    }

    static func follow(_ table: FlightTable, _ key: Int, _ number: Int) throws -> FlightTicket {
        guard case .follow(let ticket) = join(table, key, number) else { throw Missing() }
        return ticket
    }

    struct Missing: Error {}

    @Test("One of a thousand leads; landing tells all the others, once")
    func thousand() throws {
        let table = FlightTable()
        let leader = try FlightTableTests.lead(table, 1, 0)
        for number in 1..<1000 { _ = try FlightTableTests.follow(table, 1, number) }
        let other = try FlightTableTests.lead(table, 2, 5000)
        #expect(table.count == 2)
        #expect(table.land(leader) == (1..<1000).map(FlightTableTests.waiter))
        #expect(table.land(leader).isEmpty)
        #expect(table.land(other).isEmpty)
        #expect(table.count == 0)
        // Who comes after the landing starts anew: a failure isn't replayed.
        _ = try FlightTableTests.lead(table, 1, 1)
    }

    @Test("A call goes on while anyone waits, and is abandoned by the last to leave")
    func leaving() throws {
        let table = FlightTable()
        let leader = try FlightTableTests.lead(table, 1, 0)
        let first = try FlightTableTests.follow(table, 1, 1)
        #expect(table.leave(leader) == .none)
        // The leader's seat is free for another, who is told all the same.
        _ = try FlightTableTests.follow(table, 1, 2)
        #expect(table.leave(first) == .none)
        #expect(table.leave(first) == .none)
        #expect(table.land(leader) == [FlightTableTests.waiter(2)])

        let again = try FlightTableTests.lead(table, 1, 10)
        let last = try FlightTableTests.follow(table, 1, 11)
        #expect(table.leave(again) == .none)
        #expect(table.leave(last) == .abandoned(leader: FlightTableTests.waiter(10)))
        #expect(table.land(again).isEmpty)
        #expect(table.count == 0)
    }

    @Test("A leader whose own deadline ended the call hands over to one who still waits")
    func handOver() throws {
        let table = FlightTable()
        let leader = try FlightTableTests.lead(table, 1, 0)
        let first = try FlightTableTests.follow(table, 1, 1)
        _ = try FlightTableTests.follow(table, 1, 2)
        _ = table.leave(first)
        let next = try #require(table.handOver(leader))
        #expect(next.leader == FlightTableTests.waiter(2))
        _ = try FlightTableTests.follow(table, 1, 3)
        #expect(table.land(next.ticket) == [FlightTableTests.waiter(3)])
        let alone = try FlightTableTests.lead(table, 1, 4)
        #expect(table.handOver(alone) == nil)
        #expect(table.count == 0)
    }

    @Test("A purge lets nobody else board, and leaves nobody behind")
    func close() throws {
        let table = FlightTable()
        let leader = try FlightTableTests.lead(table, 1, 0)
        _ = try FlightTableTests.follow(table, 1, 1)
        table.close(.model(CacheTag(model: "wine", revision: "v1")))
        _ = try FlightTableTests.follow(table, 1, 2)
        table.close(.model(Traces.tag))
        let anew = try FlightTableTests.lead(table, 1, 3)
        _ = try FlightTableTests.follow(table, 1, 4)
        #expect(table.land(leader) == [1, 2].map(FlightTableTests.waiter))
        // The old flight's end didn't take the new one's key.
        _ = try FlightTableTests.follow(table, 1, 5)
        #expect(table.land(anew) == [4, 5].map(FlightTableTests.waiter))
    }

    @Test("A full flight or table sends the next one alone")
    func bounds() throws {
        let narrow = FlightTable(maximumFlights: 1, maximumWaiters: 3)
        let leader = try FlightTableTests.lead(narrow, 1, 0)
        for number in 1..<3 { _ = try FlightTableTests.follow(narrow, 1, number) }
        #expect(FlightTableTests.join(narrow, 1, 3) == .alone)
        let leads = (0..<200).filter { FlightTableTests.join(narrow, $0 + 10, 9) != .alone }
        #expect(leads.count <= 15)
        #expect(narrow.land(leader).count == 2)
    }

    @Test(
        "Every waiter is told exactly once or left by itself, and each key has one leader",
        .tags(.property),
        arguments: 0..<16 as Range<UInt64>
    )
    func model(seed: UInt64) {
        var random = RandomSource(seed: seed)
        let table = FlightTable()
        struct Call {
            var ticket: FlightTicket
            var waiting: [FlightWaiter: FlightTicket] = [:]
            var leader: FlightWaiter
        }
        var calls: [Int: Call] = [:]
        for step in 0..<20_000 {
            let number = random.next(below: 8)
            let waiter = FlightTableTests.waiter(step)
            switch random.next(below: 8) {
            case 0..<5:
                switch table.join(Traces.key(number), tag: Traces.tag, as: waiter) {
                case .lead(let ticket):
                    #expect(calls[number] == nil)
                    calls[number] = Call(ticket: ticket, waiting: [waiter: ticket], leader: waiter)
                case .follow(let ticket):
                    #expect(calls[number] != nil)
                    calls[number]?.waiting[waiter] = ticket
                case .alone: Issue.record("nothing is full")
                }
            case 5, 6:
                guard let (gone, ticket) = calls[number]?.waiting.randomElement(using: &random)
                else { continue }
                calls[number]?.waiting[gone] = nil
                let departure = table.leave(ticket)
                if let call = calls[number], call.waiting.isEmpty {
                    #expect(departure == .abandoned(leader: call.leader))
                    calls[number] = nil
                } else {
                    #expect(departure == .none)
                }
            default:
                guard let call = calls[number] else { continue }
                if random.next(below: 3) == 0 {
                    let next = table.handOver(call.ticket)
                    calls[number]?.waiting[call.leader] = nil
                    #expect((next == nil) == (calls[number]?.waiting.isEmpty == true))
                    if let next {
                        #expect(calls[number]?.waiting[next.leader] != nil)
                        calls[number]?.ticket = next.ticket
                        calls[number]?.leader = next.leader
                    } else {
                        calls[number] = nil
                    }
                } else {
                    let told = table.land(call.ticket)
                    #expect(Set(told).count == told.count)
                    #expect(Set(told) == Set(call.waiting.keys).subtracting([call.leader]))
                    calls[number] = nil
                }
            }
        }
        #expect(table.count == calls.count)
    }

    @Test("Over four threads each key has one leader at a time, and nobody is forgotten")
    func threads() async {
        let table = FlightTable()
        let told = await withTaskGroup(of: (waits: Int, told: Int).self) { group in
            for worker in 0..<4 {
                group.addTask {
                    var (waits, told) = (0, 0)
                    var random = RandomSource(seed: UInt64(worker))
                    var led: [FlightTicket] = []
                    for step in 0..<20_000 {
                        let waiter = FlightWaiter(worker: worker, token: UInt64(step))
                        let key = Traces.key(random.next(below: 50))
                        switch table.join(key, tag: Traces.tag, as: waiter) {
                        case .lead(let ticket): led.append(ticket)
                        case .follow: waits += 1
                        case .alone: Issue.record("nothing is full")
                        }
                        if led.count > 5 { told += table.land(led.removeFirst()).count }
                    }
                    for ticket in led { told += table.land(ticket).count }
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
