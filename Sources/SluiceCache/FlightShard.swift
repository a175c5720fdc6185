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
        shard: UInt16
    ) -> FlightRole {
        if let slot = open.find(key, holds: { flights[Int($0)].key == key }) {
            guard let seat = board(Int(slot), waiter) else { return .alone }
            return .follow(ticket(slot, seat: seat, shard: shard))
        }
        guard liveCount < maximumFlights else { return .alone }
        let slot = begin(key, tag, waiter)
        open.insert(key, slot: slot)
        return .lead(ticket(slot, seat: 0, shard: shard))
    }

    mutating func land(_ ticket: FlightTicket) -> [FlightWaiter] {
        guard isValid(ticket) else { return [] }
        let slot = Int(ticket.slot)
        var waiters: [FlightWaiter] = []
        for seat in flights[slot].seats.indices where seat != flights[slot].leaderSeat.map(Int.init)
        {
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

    mutating func handOver(
        _ ticket: FlightTicket
    ) -> (leader: FlightWaiter, ticket: FlightTicket)? {
        guard isValid(ticket) else { return nil }
        let slot = Int(ticket.slot)
        if let seat = flights[slot].leaderSeat { flights[slot].vacate(seat) }
        guard let seat = flights[slot].seats.firstIndex(where: { $0 != nil }),
            let leader = flights[slot].seats[seat]
        else {
            end(slot)
            return nil
        }
        flights[slot].leaderSeat = UInt32(seat)
        flights[slot].leader = leader
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

    private mutating func board(_ slot: Int, _ waiter: FlightWaiter) -> UInt32? {
        if let seat = flights[slot].vacant.popLast() {
            flights[slot].seats[Int(seat)] = waiter
            return seat
        }
        let count = flights[slot].seats.count
        guard count < maximumWaiters else { return nil }
        flights[slot].seats.append(waiter)
        return UInt32(count)
    }

    private mutating func begin(_ key: CacheKey, _ tag: CacheTag, _ waiter: FlightWaiter) -> UInt32
    {
        guard let slot = idle.popLast() else {
            flights.append(Flight(key: key, tag: tag, seats: [waiter], leader: waiter))
            return UInt32(flights.count - 1)
        }
        let place = Int(slot)
        flights[place].key = key
        flights[place].tag = tag
        flights[place].seats.append(waiter)
        flights[place].leaderSeat = 0
        flights[place].leader = waiter
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
        flights[slot].vacant.removeAll(keepingCapacity: isSmall)
        flights[slot].generation &+= 1
        idle.append(UInt32(slot))
    }
}
