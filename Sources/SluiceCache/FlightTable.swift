import SluiceCore
private import Synchronization

/// Who waits for a flight: a worker and what the waiter is called there.
package struct FlightWaiter: Hashable, BitwiseCopyable, Sendable {
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
package struct FlightTicket: Hashable, BitwiseCopyable, Sendable {
    let shard: UInt16
    let generation: UInt32
    let slot: UInt32
    let seat: UInt32
}

/// What a request does about a key that may be in flight.
package enum FlightRole: Hashable, Sendable {
    /// Make the call; hand the ticket to ``FlightTable/land(_:)`` when it has ended, however it did.
    case lead(FlightTicket)
    /// Wait; the leader's worker will be told to notify. The ticket is for leaving early.
    case follow(FlightTicket)
    /// Make the call for yourself: the table or the flight is full.
    case alone
}

/// What follows when somebody stops waiting.
package enum FlightDeparture: Hashable, Sendable {
    /// Others still wait, or the flight has ended already: nothing to do.
    case none
    /// Nobody waits any more: the leader's worker may cancel the call.
    case abandoned(leader: FlightWaiter)
}

/// Equal calls in flight, over all workers: one asks, the others wait.
///
/// The table knows who waits, not what for: it takes no callback and holds no result. A leader whose
/// call has ended *lands* the flight and gets the list of waiters; the result, or the failure,
/// travels to them in messages. The key is free from that moment on, so a failure reaches those who
/// waited for this call and nobody later. Each waiter keeps its own deadline and may leave; the
/// call goes on while anyone waits. Costs one lock of one shard a call.
@safe
package final class FlightTable: Sendable {
    private final class Shard: Sendable {
        let state: Mutex<FlightShard>
        init(_ state: consuming FlightShard) { self.state = Mutex(state) }
    }

    private static let shardCount = 16
    private let shards: [Shard]
    // The same once more: reaching a shard through them counts no references. `shards` keeps them.
    private let places: [Unmanaged<Shard>]

    /// An empty table for at most `maximumFlights` calls with `maximumWaiters` requests each.
    ///
    /// `seed` should be unpredictable: it keeps inputs ground for colliding digests apart.
    package init(maximumFlights: Int = 65_536, maximumWaiters: Int = 16_384, seed: UInt64 = 0) {
        var random = RandomSource(seed: ~seed)
        let share = max(1, maximumFlights / FlightTable.shardCount)
        shards = (0..<FlightTable.shardCount).map { _ in
            Shard(
                FlightShard(
                    maximumFlights: share,
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
        _ body: (inout FlightShard) -> Result
    ) -> Result {
        unsafe places[Int(number)]._withUnsafeGuaranteedRef { $0.state.withLock { body(&$0) } }
    }

    /// Boards the flight for `key`, or starts it.
    package func join(_ key: CacheKey, tag: CacheTag, as waiter: FlightWaiter) -> FlightRole {
        let number = UInt16(key.a & UInt64(FlightTable.shardCount - 1))
        return withShard(number) { $0.join(key, tag: tag, as: waiter, shard: number) }
    }

    /// Ends the leader's call and returns who else waits for its result, the leader left out.
    ///
    /// Empty for a ticket that is no longer valid, because everybody had left.
    package func land(_ ticket: FlightTicket) -> [FlightWaiter] {
        withShard(ticket.shard) { $0.land(ticket) }
    }

    /// Takes one waiter off, leader or follower, whose deadline passed or whose client went.
    package func leave(_ ticket: FlightTicket) -> FlightDeparture {
        withShard(ticket.shard) { $0.leave(ticket) }
    }

    /// Hands the flight to a waiter, because the call ended for a reason that was the leader's alone:
    /// its own, shorter deadline had travelled with the call.
    ///
    /// The new leader must be told to make the call again, with the ticket returned. Nil when nobody
    /// else waits; the flight has then ended.
    package func handOver(
        _ ticket: FlightTicket
    ) -> (leader: FlightWaiter, ticket: FlightTicket)? {
        withShard(ticket.shard) { $0.handOver(ticket) }
    }

    /// Lets nobody else board what `scope` means: for a purge, after the cache's.
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
