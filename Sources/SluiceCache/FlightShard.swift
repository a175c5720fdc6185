import SluiceCore

/// One locked part of the flight table; pure, the lock is ``FlightTable``'s.
///
/// A flight that has ended leaves its slot's arrays to the next: a call that nobody else waits for, the
/// usual one, allocates nothing.
struct FlightShard {
    private struct Flight {
        var key: CacheKey
        var tag: CacheTag
        /// Who waits, by seat; nil where somebody left.
        var seats: [FlightWaiter?] = []
        var vacant: [UInt32] = []
        /// The leader's seat; nil once it has left, and the seat may be taken by another.
        var leaderSeat: UInt32? = 0
        /// Seats of leaders that were overtaken and whose calls are under way still.
        var overtaken: [UInt32] = []
        /// Who boarded last, and has the most time left as a rule.
        var youngest: UInt32 = 0
        /// When the last call began.
        var asked: Instant
        /// Kept when the leader leaves: its worker still owns the call.
        var leader: FlightWaiter
        /// Whether newcomers find it by its key.
        var isOpen = true
        /// Which of the flights in this slot it is; tickets of those before mean nothing.
        var generation: UInt32 = 0

        mutating func vacate(_ seat: UInt32) {
            guard seats[Int(seat)] != nil else { return }
            seats[Int(seat)] = nil
            vacant.append(seat)
            if seat == leaderSeat { leaderSeat = nil }
        }

        /// Whether who sits there makes a call, and needn't be told of another's.
        func isCalling(_ seat: UInt32) -> Bool {
            seat == leaderSeat || overtaken.contains(seat)
        }
    }

    /// Seats whose memory an ended flight leaves to the next.
    private static let keptSeats = 16

    private let maximumFlights: Int
    private let maximumWaiters: Int
    private var flights: [Flight] = []
    private var idle: [UInt32] = []
    private var open: CacheIndex

    init(maximumFlights: Int, maximumWaiters: Int, seed: UInt64) {
        self.maximumFlights = maximumFlights
        self.maximumWaiters = maximumWaiters
        open = CacheIndex(multiplier: seed)
    }

    var liveCount: Int { flights.count - idle.count }

    mutating func join(
        _ key: CacheKey,
        tag: CacheTag,
        as waiter: FlightWaiter,
        at now: Instant,
        shard: UInt16
    ) -> FlightRole {
        if let slot = open.find(key, holds: { flights[Int($0)].key == key }) {
            guard let seat = board(Int(slot), waiter) else { return .alone }
            return .follow(ticket(slot, seat: seat, shard: shard))
        }
        guard liveCount < maximumFlights else { return .alone }
        let slot = begin(key, tag, waiter, now)
        open.insert(key, slot: slot)
        return .lead(ticket(slot, seat: 0, shard: shard))
    }

    mutating func land(_ ticket: FlightTicket) -> [FlightWaiter] {
        guard isValid(ticket) else { return [] }
        let slot = Int(ticket.slot)
        var waiters: [FlightWaiter] = []
        for seat in flights[slot].seats.indices where !flights[slot].isCalling(UInt32(seat)) {
            if let waiter = flights[slot].seats[seat] { waiters.append(waiter) }
        }
        end(slot)
        return waiters
    }

    mutating func leave(_ ticket: FlightTicket) -> FlightDeparture {
        guard isValid(ticket) else { return .none }
        let slot = Int(ticket.slot)
        flights[slot].vacate(ticket.seat)
        guard flights[slot].vacant.count == flights[slot].seats.count else { return .none }
        let leader = flights[slot].leader
        end(slot)
        return .abandoned(leader: leader)
    }

    /// Takes a leader off whose call came to nothing; false where no other call is under way.
    mutating func stepBack(_ ticket: FlightTicket) -> Bool {
        let slot = Int(ticket.slot)
        guard isValid(ticket), !flights[slot].overtaken.isEmpty else { return false }
        flights[slot].overtaken.removeAll { $0 == ticket.seat }
        flights[slot].vacate(ticket.seat)
        if flights[slot].leaderSeat == nil { lead(slot, flights[slot].overtaken.popLast()) }
        return true
    }

    mutating func overtake(
        _ ticket: FlightTicket,
        at now: Instant,
        patience: Int64
    ) -> FlightPatience {
        let slot = Int(ticket.slot)
        // Who is being served, or has been made leader, will hear of it.
        guard isValid(ticket), !flights[slot].isCalling(ticket.seat) else {
            return .wait(until: .distantFuture)
        }
        let due = flights[slot].asked.advanced(byNanoseconds: patience)
        guard due <= now else { return .wait(until: due) }
        if let leader = flights[slot].leaderSeat { flights[slot].overtaken.append(leader) }
        flights[slot].asked = now
        lead(slot, ticket.seat)
        return .lead
    }

    mutating func handOver(
        _ ticket: FlightTicket,
        at now: Instant
    ) -> (leader: FlightWaiter, ticket: FlightTicket)? {
        guard isValid(ticket), !stepBack(ticket) else { return nil }
        let slot = Int(ticket.slot)
        if let seat = flights[slot].leaderSeat { flights[slot].vacate(seat) }
        // Who has waited longest would soon hand over again.
        let youngest = Int(flights[slot].youngest)
        guard
            let seat = flights[slot].seats[youngest] != nil
                ? youngest : flights[slot].seats.lastIndex(where: { $0 != nil }),
            let leader = flights[slot].seats[seat]
        else {
            end(slot)
            return nil
        }
        lead(slot, UInt32(seat))
        flights[slot].asked = now
        return (leader, self.ticket(ticket.slot, seat: UInt32(seat), shard: ticket.shard))
    }

    mutating func close(_ scope: CacheScope) {
        // Ended flights aren't open.
        for slot in flights.indices
        where flights[slot].isOpen && scope.contains(flights[slot].tag) { close(slot) }
    }

    // MARK: - Slots and seats

    private func ticket(_ slot: UInt32, seat: UInt32, shard: UInt16) -> FlightTicket {
        let generation = flights[Int(slot)].generation
        return FlightTicket(shard: shard, generation: generation, slot: slot, seat: seat)
    }

    private func isValid(_ ticket: FlightTicket) -> Bool {
        flights[Int(ticket.slot)].generation == ticket.generation
    }

    private mutating func lead(_ slot: Int, _ seat: UInt32?) {
        flights[slot].leaderSeat = seat
        if let seat, let leader = flights[slot].seats[Int(seat)] { flights[slot].leader = leader }
    }

    private mutating func board(_ slot: Int, _ waiter: FlightWaiter) -> UInt32? {
        if let seat = flights[slot].vacant.popLast() {
            flights[slot].seats[Int(seat)] = waiter
            flights[slot].youngest = seat
            return seat
        }
        let count = flights[slot].seats.count
        guard count < maximumWaiters else { return nil }
        flights[slot].seats.append(waiter)
        flights[slot].youngest = UInt32(count)
        return UInt32(count)
    }

    private mutating func begin(
        _ key: CacheKey,
        _ tag: CacheTag,
        _ waiter: FlightWaiter,
        _ now: Instant
    ) -> UInt32 {
        guard let slot = idle.popLast() else {
            flights.append(Flight(key: key, tag: tag, seats: [waiter], asked: now, leader: waiter))
            return UInt32(flights.count - 1)
        }
        let place = Int(slot)
        flights[place].key = key
        flights[place].tag = tag
        flights[place].seats.append(waiter)
        flights[place].leaderSeat = 0
        flights[place].youngest = 0
        flights[place].leader = waiter
        flights[place].asked = now
        flights[place].isOpen = true
        return slot
    }

    private mutating func close(_ slot: Int) {
        guard flights[slot].isOpen else { return }
        flights[slot].isOpen = false
        open.remove(flights[slot].key, slot: UInt32(slot))
    }

    private mutating func end(_ slot: Int) {
        close(slot)
        let isSmall = flights[slot].seats.count <= FlightShard.keptSeats
        flights[slot].seats.removeAll(keepingCapacity: isSmall)
        if !flights[slot].vacant.isEmpty {
            flights[slot].vacant.removeAll(keepingCapacity: isSmall)
        }
        if !flights[slot].overtaken.isEmpty { flights[slot].overtaken.removeAll() }
        flights[slot].generation &+= 1
        idle.append(UInt32(slot))
    }
}
