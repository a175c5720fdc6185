/// One locked part of the flight table; pure, the lock is ``FlightTable``'s.
struct FlightShard {
    private struct Flight {
        let key: CacheKey
        let tag: CacheTag
        /// Who waits, by seat; nil where somebody left.
        var seats: [FlightWaiter?]
        var vacant: [UInt32] = []
        /// The leader's seat; nil once it has left, and the seat may be taken by another.
        var leaderSeat: UInt32? = 0
        /// Kept when the leader leaves: its worker still owns the call.
        var leader: FlightWaiter

        mutating func vacate(_ seat: UInt32) {
            guard seats[Int(seat)] != nil else { return }
            seats[Int(seat)] = nil
            vacant.append(seat)
            if seat == leaderSeat { leaderSeat = nil }
        }
        /// Whether newcomers find it by its key.
        var isOpen = true
    }

    private struct Slot {
        var flight: Flight?
        var generation: UInt32 = 0
    }

    private let maximumFlights: Int
    private let maximumWaiters: Int
    private var slots: [Slot] = []
    private var idle: [UInt32] = []
    private var open: [CacheKey: UInt32] = [:]

    init(maximumFlights: Int, maximumWaiters: Int) {
        self.maximumFlights = maximumFlights
        self.maximumWaiters = maximumWaiters
    }

    var liveCount: Int { slots.count - idle.count }

    mutating func join(
        _ key: CacheKey,
        tag: CacheTag,
        as waiter: FlightWaiter,
        shard: UInt16
    ) -> FlightRole {
        if let slot = open[key] {
            guard let seat = board(slot, waiter) else { return .alone }
            return .follow(ticket(slot, seat: seat, shard: shard))
        }
        guard liveCount < maximumFlights else { return .alone }
        let slot = takeSlot()
        slots[Int(slot)].flight = Flight(key: key, tag: tag, seats: [waiter], leader: waiter)
        open[key] = slot
        return .lead(ticket(slot, seat: 0, shard: shard))
    }

    mutating func land(_ ticket: FlightTicket) -> [FlightWaiter] {
        guard isValid(ticket) else { return [] }
        if let seat = slots[Int(ticket.slot)].flight?.leaderSeat {
            slots[Int(ticket.slot)].flight?.vacate(seat)
        }
        let seats = slots[Int(ticket.slot)].flight?.seats ?? []
        end(ticket.slot)
        return seats.compactMap { $0 }
    }

    mutating func leave(_ ticket: FlightTicket) -> FlightDeparture {
        guard isValid(ticket) else { return .none }
        slots[Int(ticket.slot)].flight?.vacate(ticket.seat)
        guard let flight = slots[Int(ticket.slot)].flight,
            flight.vacant.count == flight.seats.count
        else { return .none }
        end(ticket.slot)
        return .abandoned(leader: flight.leader)
    }

    mutating func handOver(
        _ ticket: FlightTicket
    ) -> (leader: FlightWaiter, ticket: FlightTicket)? {
        guard isValid(ticket) else { return nil }
        if let seat = slots[Int(ticket.slot)].flight?.leaderSeat {
            slots[Int(ticket.slot)].flight?.vacate(seat)
        }
        guard let seats = slots[Int(ticket.slot)].flight?.seats,
            let seat = seats.firstIndex(where: { $0 != nil }), let leader = seats[seat]
        else {
            end(ticket.slot)
            return nil
        }
        slots[Int(ticket.slot)].flight?.leaderSeat = UInt32(seat)
        slots[Int(ticket.slot)].flight?.leader = leader
        return (leader, self.ticket(ticket.slot, seat: UInt32(seat), shard: ticket.shard))
    }

    mutating func close(_ scope: CacheScope) {
        for index in slots.indices {
            guard let flight = slots[index].flight, flight.isOpen, scope.contains(flight.tag)
            else { continue }
            slots[index].flight?.isOpen = false
            open[flight.key] = nil
        }
    }

    // MARK: - Slots and seats

    private func ticket(_ slot: UInt32, seat: UInt32, shard: UInt16) -> FlightTicket {
        let generation = slots[Int(slot)].generation
        return FlightTicket(shard: shard, generation: generation, slot: slot, seat: seat)
    }

    private func isValid(_ ticket: FlightTicket) -> Bool {
        slots[Int(ticket.slot)].generation == ticket.generation
    }

    private mutating func board(_ slot: UInt32, _ waiter: FlightWaiter) -> UInt32? {
        // In place through the optional: a copy of the flight would copy its seats.
        if let seat = slots[Int(slot)].flight?.vacant.popLast() {
            slots[Int(slot)].flight?.seats[Int(seat)] = waiter
            return seat
        }
        let count = slots[Int(slot)].flight?.seats.count ?? maximumWaiters
        guard count < maximumWaiters else { return nil }
        slots[Int(slot)].flight?.seats.append(waiter)
        return UInt32(count)
    }

    private mutating func takeSlot() -> UInt32 {
        if let slot = idle.popLast() { return slot }
        slots.append(Slot())
        return UInt32(slots.count - 1)
    }

    private mutating func end(_ slot: UInt32) {
        if let flight = slots[Int(slot)].flight, flight.isOpen { open[flight.key] = nil }
        slots[Int(slot)].flight = nil
        slots[Int(slot)].generation &+= 1
        idle.append(slot)
    }
}
