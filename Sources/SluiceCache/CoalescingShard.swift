import SluiceCore

/// One locked part of the coalescing table; pure, the lock is ``CoalescingTable``'s.
///
/// A coalesced call that has ended leaves its slot's arrays to the next: a call that no other request waits for, the
/// usual one, allocates nothing.
struct CoalescingShard {
    private struct CoalescedCall {
        var key: CacheKey
        var tag: CacheTag
        /// Who waits, by seat; nil where a request left.
        var seats: [CoalescingWaiter?] = []
        var vacant: [UInt32] = []
        /// The leader's seat; nil once it has left, and the seat may be taken by another.
        var leaderSeat: UInt32? = 0
        /// Seats of leaders that were overtaken and whose calls are under way still.
        var refetched: [UInt32] = []
        /// Who boarded last, and has the most time left as a rule.
        var youngest: UInt32 = 0
        /// When the last call began.
        var asked: Instant
        /// Kept when the leader leaves: its worker still owns the call.
        var leader: CoalescingWaiter
        /// Whether newcomers find it by its key.
        var isOpen = true
        /// Which of the calls in this slot it is; tickets of those before mean nothing.
        var generation: UInt32 = 0

        mutating func vacate(_ seat: UInt32) {
            guard seats[Int(seat)] != nil else { return }
            seats[Int(seat)] = nil
            vacant.append(seat)
            if seat == leaderSeat { leaderSeat = nil }
        }

        /// Whether who sits there makes a call, and needn't be told of another's.
        func isCalling(_ seat: UInt32) -> Bool {
            seat == leaderSeat || refetched.contains(seat)
        }
    }

    /// Seats whose memory an ended call leaves to the next.
    private static let keptSeats = 16

    private let maximumCalls: Int
    private let maximumWaiters: Int
    private var calls: [CoalescedCall] = []
    private var idle: [UInt32] = []
    private var open: CacheIndex

    init(maximumCalls: Int, maximumWaiters: Int, seed: UInt64) {
        self.maximumCalls = maximumCalls
        self.maximumWaiters = maximumWaiters
        open = CacheIndex(multiplier: seed)
    }

    var liveCount: Int { calls.count - idle.count }

    mutating func join(
        _ key: CacheKey,
        tag: CacheTag,
        as waiter: CoalescingWaiter,
        at now: Instant,
        shard: UInt16
    ) -> CoalescingRole {
        if let slot = open.find(key, holds: { calls[Int($0)].key == key }) {
            guard let seat = board(Int(slot), waiter) else { return .uncoalesced }
            return .follow(ticket(slot, seat: seat, shard: shard))
        }
        guard liveCount < maximumCalls else { return .uncoalesced }
        let slot = begin(key, tag, waiter, now)
        open.insert(key, slot: slot)
        return .lead(ticket(slot, seat: 0, shard: shard))
    }

    mutating func complete(_ ticket: CoalescingTicket) -> [CoalescingWaiter] {
        guard isValid(ticket) else { return [] }
        let slot = Int(ticket.slot)
        var waiters: [CoalescingWaiter] = []
        for seat in calls[slot].seats.indices where !calls[slot].isCalling(UInt32(seat)) {
            if let waiter = calls[slot].seats[seat] { waiters.append(waiter) }
        }
        end(slot)
        return waiters
    }

    mutating func leave(_ ticket: CoalescingTicket) -> CoalescingDeparture {
        guard isValid(ticket) else { return .none }
        let slot = Int(ticket.slot)
        calls[slot].vacate(ticket.seat)
        guard calls[slot].vacant.count == calls[slot].seats.count else { return .none }
        let leader = calls[slot].leader
        end(slot)
        return .abandoned(leader: leader)
    }

    /// Takes a leader off whose call came to nothing; false where no other call is under way.
    mutating func stepBack(_ ticket: CoalescingTicket) -> Bool {
        let slot = Int(ticket.slot)
        guard isValid(ticket), !calls[slot].refetched.isEmpty else { return false }
        calls[slot].refetched.removeAll { $0 == ticket.seat }
        calls[slot].vacate(ticket.seat)
        if calls[slot].leaderSeat == nil { lead(slot, calls[slot].refetched.popLast()) }
        return true
    }

    mutating func refetch(
        _ ticket: CoalescingTicket,
        at now: Instant,
        refetch: Int64
    ) -> CoalescingRefetch {
        let slot = Int(ticket.slot)
        // Who is being served, or has been made leader, will hear of it.
        guard isValid(ticket), !calls[slot].isCalling(ticket.seat) else {
            return .wait(until: .distantFuture)
        }
        let due = calls[slot].asked.advanced(byNanoseconds: refetch)
        guard due <= now else { return .wait(until: due) }
        if let leader = calls[slot].leaderSeat { calls[slot].refetched.append(leader) }
        calls[slot].asked = now
        lead(slot, ticket.seat)
        return .lead
    }

    mutating func handOver(
        _ ticket: CoalescingTicket,
        at now: Instant
    ) -> (leader: CoalescingWaiter, ticket: CoalescingTicket)? {
        guard isValid(ticket), !stepBack(ticket) else { return nil }
        let slot = Int(ticket.slot)
        if let seat = calls[slot].leaderSeat { calls[slot].vacate(seat) }
        // Who has waited longest would soon hand over again.
        let youngest = Int(calls[slot].youngest)
        guard
            let seat = calls[slot].seats[youngest] != nil
                ? youngest : calls[slot].seats.lastIndex(where: { $0 != nil }),
            let leader = calls[slot].seats[seat]
        else {
            end(slot)
            return nil
        }
        lead(slot, UInt32(seat))
        calls[slot].asked = now
        return (leader, self.ticket(ticket.slot, seat: UInt32(seat), shard: ticket.shard))
    }

    mutating func close(_ scope: CacheScope) {
        // Ended calls aren't open.
        for slot in calls.indices
        where calls[slot].isOpen && scope.contains(calls[slot].tag) { close(slot) }
    }

    // MARK: - Slots and seats

    private func ticket(_ slot: UInt32, seat: UInt32, shard: UInt16) -> CoalescingTicket {
        let generation = calls[Int(slot)].generation
        return CoalescingTicket(shard: shard, generation: generation, slot: slot, seat: seat)
    }

    private func isValid(_ ticket: CoalescingTicket) -> Bool {
        calls[Int(ticket.slot)].generation == ticket.generation
    }

    private mutating func lead(_ slot: Int, _ seat: UInt32?) {
        calls[slot].leaderSeat = seat
        if let seat, let leader = calls[slot].seats[Int(seat)] { calls[slot].leader = leader }
    }

    private mutating func board(_ slot: Int, _ waiter: CoalescingWaiter) -> UInt32? {
        if let seat = calls[slot].vacant.popLast() {
            calls[slot].seats[Int(seat)] = waiter
            calls[slot].youngest = seat
            return seat
        }
        let count = calls[slot].seats.count
        guard count < maximumWaiters else { return nil }
        calls[slot].seats.append(waiter)
        calls[slot].youngest = UInt32(count)
        return UInt32(count)
    }

    private mutating func begin(
        _ key: CacheKey,
        _ tag: CacheTag,
        _ waiter: CoalescingWaiter,
        _ now: Instant
    ) -> UInt32 {
        guard let slot = idle.popLast() else {
            calls.append(
                CoalescedCall(key: key, tag: tag, seats: [waiter], asked: now, leader: waiter)
            )
            return UInt32(calls.count - 1)
        }
        let place = Int(slot)
        calls[place].key = key
        calls[place].tag = tag
        calls[place].seats.append(waiter)
        calls[place].leaderSeat = 0
        calls[place].youngest = 0
        calls[place].leader = waiter
        calls[place].asked = now
        calls[place].isOpen = true
        return slot
    }

    private mutating func close(_ slot: Int) {
        guard calls[slot].isOpen else { return }
        calls[slot].isOpen = false
        open.remove(calls[slot].key, slot: UInt32(slot))
    }

    private mutating func end(_ slot: Int) {
        close(slot)
        let isSmall = calls[slot].seats.count <= CoalescingShard.keptSeats
        calls[slot].seats.removeAll(keepingCapacity: isSmall)
        if !calls[slot].vacant.isEmpty {
            calls[slot].vacant.removeAll(keepingCapacity: isSmall)
        }
        if !calls[slot].refetched.isEmpty { calls[slot].refetched.removeAll() }
        calls[slot].generation &+= 1
        idle.append(UInt32(slot))
    }
}
