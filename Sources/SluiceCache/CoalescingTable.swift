package import SluiceCore
private import Synchronization

/// Who waits for a coalesced call: a worker and what the waiter is called there.
package struct CoalescingWaiter: Hashable, BitwiseCopyable, Sendable {
    /// The worker's number.
    package let worker: Int
    /// What that worker knows the waiting request by.
    package let token: UInt64

    /// A waiter on a worker.
    package init(worker: Int, token: UInt64) {
        self.worker = worker
        self.token = token
    }
}

/// One call's place in the table; means nothing once the call has ended.
package struct CoalescingTicket: Hashable, BitwiseCopyable, Sendable {
    let shard: UInt16
    let generation: UInt32
    let slot: UInt32
    let seat: UInt32
}

/// What a request does about a key that may be in flight.
package enum CoalescingRole: Hashable, Sendable {
    /// Make the call; hand the ticket to ``CoalescingTable/complete(_:)`` when it has ended, however it did.
    case lead(CoalescingTicket)
    /// Wait; the leader's worker will be told to notify. The ticket is for leaving early.
    case follow(CoalescingTicket)
    /// Make the call for yourself: the table or the call is full.
    case uncoalesced
}

/// What a follower does whose patience has been asked for.
package enum CoalescingRefetch: Hashable, Sendable {
    /// Make a call beside the one under way; what ends well first is for everybody who waits.
    case lead
    /// Wait on, and ask again at this time.
    case wait(until: Instant)
}

/// What follows when a request stops waiting.
package enum CoalescingDeparture: Hashable, Sendable {
    /// Others still wait, or the call has ended already: nothing to do.
    case none
    /// No request waits any more: the leader's worker may cancel the call.
    case abandoned(leader: CoalescingWaiter)
}

/// Equal calls in flight, over all workers: one asks, the others wait.
///
/// The table knows who waits, not what for: it takes no callback and holds no result. A leader whose
/// call has ended *completes* the call and gets the list of waiters; the result, or the failure,
/// travels to them in messages. The key is free from that moment on, so a failure reaches those who
/// waited for this call and none later. Each waiter keeps its own deadline and may leave; the
/// call goes on while anyone waits. Costs one lock of one shard a call.
@safe
package final class CoalescingTable: Sendable {
    private final class Shard: Sendable {
        let state: Mutex<CoalescingShard>
        init(_ state: consuming CoalescingShard) { self.state = Mutex(state) }
    }

    private static let shardCount = 16
    private let shards: [Shard]
    // The same once more: reaching a shard through them counts no references. `shards` keeps them.
    private let places: [Unmanaged<Shard>]

    /// An empty table for at most `maximumCalls` calls with `maximumWaiters` requests each.
    ///
    /// `seed` should be unpredictable: it keeps inputs ground for colliding digests apart.
    package init(maximumCalls: Int = 65_536, maximumWaiters: Int = 16_384, seed: UInt64 = 0) {
        var random = RandomSource(seed: ~seed)
        let share = max(1, maximumCalls / CoalescingTable.shardCount)
        shards = (0..<CoalescingTable.shardCount).map { _ in
            Shard(
                CoalescingShard(
                    maximumCalls: share,
                    maximumWaiters: maximumWaiters,
                    seed: random.next()
                )
            )
        }
        unsafe places = unsafe shards.map { unsafe .passUnretained($0) }
    }

    @inline(__always)
    private func withShard<Result>(
        _ number: UInt16,
        _ body: (inout CoalescingShard) -> Result
    ) -> Result {
        unsafe places[Int(number)]._withUnsafeGuaranteedRef { $0.state.withLock { body(&$0) } }
    }

    /// Joins the call for `key`, or starts it: then its call begins `now`.
    package func join(
        _ key: CacheKey,
        tag: CacheTag,
        as waiter: CoalescingWaiter,
        at now: Instant
    ) -> CoalescingRole {
        let number = UInt16(key.a & UInt64(CoalescingTable.shardCount - 1))
        return withShard(number) { $0.join(key, tag: tag, as: waiter, at: now, shard: number) }
    }

    /// Ends the call with a leader's result and returns who else waits for it; a request that makes a call
    /// of its own is left out.
    ///
    /// Empty for a ticket that is no longer valid, because everybody had left or another's call was
    /// faster.
    package func complete(_ ticket: CoalescingTicket) -> [CoalescingWaiter] {
        withShard(ticket.shard) { $0.complete(ticket) }
    }

    /// The same for a call that failed, which is no other request's failure while another is under way.
    package func fail(_ ticket: CoalescingTicket) -> [CoalescingWaiter] {
        withShard(ticket.shard) { $0.stepBack(ticket) ? [] : $0.complete(ticket) }
    }

    /// Asks whether a follower should wait on, or make a call of its own beside the one under way.
    ///
    /// It should make one when the last call for this request began `refetch` ago or earlier, in
    /// nanoseconds. That call is then the last one: however many wait, they make one a `refetch`
    /// (as with nginx's `proxy_cache_lock_age`).
    package func refetch(
        _ ticket: CoalescingTicket,
        at now: Instant,
        refetch: Int64
    ) -> CoalescingRefetch {
        withShard(ticket.shard) { $0.refetch(ticket, at: now, refetch: refetch) }
    }

    /// Takes one waiter off, leader or follower, whose deadline passed or whose client went.
    package func leave(_ ticket: CoalescingTicket) -> CoalescingDeparture {
        withShard(ticket.shard) { $0.leave(ticket) }
    }

    /// Hands the call to a waiter, because the call ended for a reason that was the leader's alone:
    /// its own, shorter deadline had travelled with the call.
    ///
    /// The new leader must be told to make the call again, with the ticket returned; it begins `now`.
    /// Nil when no other request waits, and the call has ended, or another's call is under way for them.
    package func handOver(
        _ ticket: CoalescingTicket,
        at now: Instant
    ) -> (leader: CoalescingWaiter, ticket: CoalescingTicket)? {
        withShard(ticket.shard) { $0.handOver(ticket, at: now) }
    }

    /// Lets no other request join what `scope` means: for a purge, after the cache's.
    ///
    /// Who waits already gets the answer; it was asked for before the purge, as they did.
    package func close(_ scope: CacheScope) {
        for shard in shards { shard.state.withLock { $0.close(scope) } }
    }

    /// How many calls are in flight.
    package var count: Int {
        shards.reduce(0) { sum, shard in sum + shard.state.withLock { $0.liveCount } }
    }
}
