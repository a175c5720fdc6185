package import SluiceCore
private import Synchronization

/// How many requests a revision has and may have at its backends, over all workers.
///
/// Part of the revision's board. The count goes up and down only while the revision is configured
/// with `adaptiveConcurrency`; each request by the configuration it began with, so that it balances.
package final class ConcurrencyLimit: Sendable {
    private let count = Atomic<Int>(0)
    private let places = Atomic<Int>(.max)
    private let gradient = Mutex<ConcurrencyGradient?>(nil)

    init() {}

    /// Moves between `bounds` from now on; nil forgets what was learnt.
    package func use(_ bounds: ConcurrencyBounds?) {
        gradient.withLock { gradient in
            guard let bounds else {
                gradient = nil
                places.store(.max, ordering: .relaxed)
                return
            }
            var used = gradient ?? ConcurrencyGradient(bounds)
            used.use(bounds)
            gradient = used
            places.store(used.limit, ordering: .relaxed)
        }
    }

    /// How many there may be now; nil while it is off.
    package var limit: Int? {
        let places = places.load(ordering: .relaxed)
        return places == .max ? nil : places
    }

    /// How many there are.
    package var inFlight: Int { count.load(ordering: .sequentiallyConsistent) }

    /// Counts a request in unless that were one too many.
    ///
    /// The limit may fall below what is under way; then nobody enters until enough have left.
    package func tryEnter() -> Bool {
        let places = places.load(ordering: .relaxed)
        var current = count.load(ordering: .relaxed)
        while current < places {
            let (exchanged, found) = count.weakCompareExchange(
                expected: current,
                desired: current + 1,
                ordering: .sequentiallyConsistent
            )
            if exchanged { return true }
            current = found
        }
        return false
    }

    /// Counts a request out; ``RevisionQueue`` says why the order matters.
    package func leave() { count.wrappingSubtract(1, ordering: .sequentiallyConsistent) }

    /// Notes how long an answer took, or a try that timed out, before the request leaves.
    package func note(nanoseconds: Int64, at now: Instant) {
        let current = inFlight
        gradient.withLock { gradient in
            guard var used = gradient else { return }
            used.note(nanoseconds: nanoseconds, inFlight: current, at: now)
            gradient = used
            places.store(used.limit, ordering: .relaxed)
        }
    }
}
