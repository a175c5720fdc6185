import SluiceCore
private import Synchronization

// Callers can invent addresses (IPv6) and header values, so the table has an end: 64 shards of 1,024
// buckets, each under a lock of its own, and in each the bucket that was used longest ago makes room
// for a newcomer. It has nearly always filled up by then, and a full one needn't be remembered;
// `evictions` counts those that hadn't.
//
// Keys aren't kept but their 64-bit SipHash under the process's own secret (`Hasher`): a caller can
// neither make the table store long keys nor find one that shares somebody else's bucket. 65,536
// keys collide by accident once in 10^10 tables.

/// Token buckets by key, a bounded number of them.
final class BucketTable: Sendable {
    private struct Entry: Sendable {
        var digest: Int
        var bucket: TokenBucket
        // Neighbours in order of use; -1 is none.
        var newer: Int32
        var older: Int32
    }

    private struct Contents: Sendable {
        var places: [Int: Int32] = [:]
        var entries: [Entry] = []
        var newest: Int32 = -1
        var oldest: Int32 = -1

        mutating func unlink(_ place: Int32) {
            let (newer, older) = (entries[Int(place)].newer, entries[Int(place)].older)
            if newer >= 0 { entries[Int(newer)].older = older } else { newest = older }
            if older >= 0 { entries[Int(older)].newer = newer } else { oldest = newer }
        }

        mutating func linkNewest(_ place: Int32) {
            entries[Int(place)].newer = -1
            entries[Int(place)].older = newest
            if newest >= 0 { entries[Int(newest)].newer = place } else { oldest = place }
            newest = place
        }
    }

    private final class Shard: Sendable {
        let contents = Mutex(Contents())
    }

    private static let shardCount = 64
    private let shards = (0..<BucketTable.shardCount).map { _ in Shard() }
    private let shardMaximum: Int
    private let evicted = Atomic<Int>(0)

    /// A table for up to `maximum` keys, a multiple of 64.
    init(maximum: Int) { shardMaximum = max(1, maximum / BucketTable.shardCount) }

    static func digest(_ key: UnsafeRawBufferPointer) -> Int {
        var hasher = Hasher()
        unsafe hasher.combine(bytes: key)
        return hasher.finalize()
    }

    func take(_ digest: Int, _ limit: RateLimit, at now: Instant) -> Int64 {
        shards[digest & (BucketTable.shardCount - 1)].contents.withLock { contents in
            if let place = contents.places[digest] {
                if contents.newest != place {
                    contents.unlink(place)
                    contents.linkNewest(place)
                }
                return contents.entries[Int(place)].bucket.take(limit, at: now)
            }
            var bucket = TokenBucket(full: limit)
            let wait = bucket.take(limit, at: now)
            let place: Int32
            if contents.entries.count < shardMaximum {
                place = Int32(contents.entries.count)
                contents.entries.append(
                    Entry(digest: digest, bucket: bucket, newer: -1, older: -1)
                )
            } else {
                place = contents.oldest
                contents.unlink(place)
                if !contents.entries[Int(place)].bucket.isFull(limit, at: now) {
                    evicted.wrappingAdd(1, ordering: .relaxed)
                }
                contents.places[contents.entries[Int(place)].digest] = nil
                contents.entries[Int(place)].digest = digest
                contents.entries[Int(place)].bucket = bucket
            }
            contents.places[digest] = place
            contents.linkNewest(place)
            return wait
        }
    }

    func giveBack(_ digest: Int, _ limit: RateLimit) {
        shards[digest & (BucketTable.shardCount - 1)].contents.withLock { contents in
            guard let place = contents.places[digest] else { return }
            contents.entries[Int(place)].bucket.giveBack(limit)
        }
    }

    /// Keys that are remembered.
    var count: Int { shards.reduce(0) { $0 + $1.contents.withLock { $0.places.count } } }

    /// Keys that were forgotten before their bucket had filled up.
    var evictions: Int { evicted.load(ordering: .relaxed) }
}
