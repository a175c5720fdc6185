private import Synchronization

/// A point in the order of purges: taken before a backend is asked, handed in with the answer.
package struct CacheStamp: Hashable, BitwiseCopyable, Sendable {
    let number: Int
}

/// Which scopes were purged, so that an answer asked for before a purge isn't stored after it.
///
/// Stamps are numbers rather than instants: a worker's idea of now is as old as its tick. The list
/// is bounded; when it is full the older half is forgotten, and every answer asked for before those
/// purges is refused, whatever its scope. That costs a few misses and is never wrong.
final class PurgeEpochs: Sendable {
    private struct Purge {
        let scope: CacheScope
        let number: Int
    }

    private struct Record {
        var purges: [Purge] = []
        /// Answers asked for before this number are refused whatever their tag.
        var floor = 0
    }

    private static let capacity = 128
    private let latest = Atomic<Int>(0)
    private let record = Mutex(Record())

    /// Where the order of purges stands now; costs an atomic load.
    var stamp: CacheStamp { CacheStamp(number: latest.load(ordering: .acquiring)) }

    /// Notes a purge; a stamp taken from here on has seen it.
    func note(_ scope: CacheScope) {
        record.withLock { record in
            let number = latest.load(ordering: .relaxed) + 1
            if record.purges.count == PurgeEpochs.capacity {
                record.floor = record.purges[PurgeEpochs.capacity / 2 - 1].number
                record.purges.removeFirst(PurgeEpochs.capacity / 2)
            }
            record.purges.append(Purge(scope: scope, number: number))
            latest.store(number, ordering: .releasing)
        }
    }

    /// Whether `tag` was purged after `stamp` was taken; without purges this is an atomic load.
    func purged(_ tag: CacheTag, since stamp: CacheStamp) -> Bool {
        guard latest.load(ordering: .acquiring) != stamp.number else { return false }
        return record.withLock { record in
            stamp.number < record.floor
                || record.purges.contains { $0.number > stamp.number && $0.scope.contains(tag) }
        }
    }
}
