package import SluiceCore
private import Synchronization

/// Where an entry lay when it was last looked up; means nothing to anybody else.
package struct CachePlace: BitwiseCopyable, Sendable {
    /// Its slot in its shard.
    var slot: UInt32 = .max
    /// Its memory, which may be another's by now.
    var address: UInt = 0

    /// Nowhere yet.
    package init() {}
}

/// Tier 1: answers in this process's memory, shared by all workers, bounded by bytes.
///
/// The one big thing workers share, so its locks are short: keys are spread over shards, a look-up
/// holds one shard's lock for an index probe and a reference count, a sweep (purge, listing) takes
/// it for 256 slots at a time. Time and chance come in as arguments. A hit costs 48 ns of processor
/// time where the memory is warm, 240 ns over 20,000 keys; a store that evicts, 0.7 us (measured).
@safe
package final class MemoryCache: Sendable {
    private final class Shard: Sendable {
        let state: Mutex<CacheShard>

        let slots: SlotPlaces
        let index: IndexHint

        init(budget: Int, seed: UInt64) {
            let made = CacheShard(budget: budget, seed: seed)
            slots = made.slotPlaces
            index = made.makeIndexHint()
            state = Mutex(made)
        }
    }

    /// The bytes entries and their bookkeeping may take.
    package let maximumBytes: Int
    /// The largest ``CacheEntry/cost`` that is taken in.
    package let maximumEntryBytes: Int

    private static let shardMaximum = 16
    private static let sweepCount = 256
    private let shards: [Shard]
    // The same once more: reaching a shard through them counts no references. `shards` keeps them.
    private let places: [Unmanaged<Shard>]
    private let ledger = PurgeEpochs()

    /// An empty cache of `maximumBytes`.
    ///
    /// `seed` should be unpredictable: it keeps inputs ground for colliding digests apart. An entry
    /// may take a quarter of a shard, and there are as many shards, up to 16, as leave room for
    /// that; `maximumEntryBytes` beyond a quarter of the whole is lowered to it.
    package init(maximumBytes: Int, maximumEntryBytes: Int = 1 << 20, seed: UInt64) {
        precondition(maximumBytes > 0 && maximumEntryBytes > 0, "a cache has room for something")
        self.maximumBytes = maximumBytes
        self.maximumEntryBytes = min(maximumEntryBytes, maximumBytes / 4)
        var count = 1
        while count < MemoryCache.shardMaximum,
            maximumBytes / (2 * count) / 4 >= self.maximumEntryBytes
        { count *= 2 }
        var random = RandomSource(seed: seed)
        let budget = maximumBytes / count
        shards = (0..<count).map { _ in Shard(budget: budget, seed: random.next()) }
        unsafe places = unsafe shards.map { unsafe .passUnretained($0) }
    }

    // MARK: - Look-up and store

    /// What is known under `key`.
    package func lookup(_ key: CacheKey, at now: Instant) -> CacheLookup {
        var place = CachePlace()
        return lookup(key, at: now, &place)
    }

    /// What is known under `key`, looked for at `place` first, where it lay the last time; says where
    /// it lies now.
    ///
    /// Spares a hot key the probe of the index, which is one miss of the processor's cache.
    package func lookup(_ key: CacheKey, at now: Instant, _ place: inout CachePlace) -> CacheLookup
    {
        withShard(key) { shard, _ in shard.lookup(key, at: now, &place) }
    }

    /// Has the processor fetch what a look-up of `key` at `place` will read, slot and entry at a time.
    @inline(__always)
    package func fetch(_ key: CacheKey, at place: CachePlace) {
        CacheEntry.fetch(place.address)
        unsafe self.place(of: key)._withUnsafeGuaranteedRef { $0.slots.fetch(place.slot) }
    }

    /// Has the processor fetch what a look-up or a store of `key` will read first.
    @inline(__always)
    package func fetch(_ key: CacheKey) {
        unsafe place(of: key)._withUnsafeGuaranteedRef { $0.index.fetch(key) }
    }

    /// What is fresh under `key`, asked for again: not counted, and no sign that it is wanted.
    package func fresh(_ key: CacheKey, at now: Instant) -> CacheEntry? {
        withShard(key) { shard, _ in shard.fresh(key, at: now) }
    }

    /// Where the order of purges stands; take it before asking a backend, hand it to `store`.
    package var stamp: CacheStamp { ledger.stamp }

    /// Keeps `entry` under `key`; false when it is refused.
    ///
    /// Refused is what costs more than ``maximumEntryBytes``, what was purged since `stamp`, and what
    /// is older than the entry already there. An accepted entry may be evicted at any time.
    @discardableResult
    package func store(
        _ entry: CacheEntry,
        for key: CacheKey,
        asked stamp: CacheStamp,
        at now: Instant
    ) -> Bool {
        withShard(key) { shard, hint in
            // Asked under the lock: a purge notes itself first and sweeps this shard afterwards, so
            // either we see the note here or the sweep sees our entry.
            guard entry.cost <= maximumEntryBytes, !ledger.purged(entry.tag, since: stamp) else {
                shard.reject()
                return false
            }
            defer { hint.update(shard.indexPlace) }
            return shard.store(entry, for: key, at: now)
        }
    }

    /// Calls `body` with the shard of `key`, locked.
    @inline(__always)
    private func withShard<Result>(
        _ key: CacheKey,
        _ body: (inout CacheShard, borrowing IndexHint) -> Result
    ) -> Result {
        unsafe place(of: key)._withUnsafeGuaranteedRef { shard in
            shard.state.withLock { body(&$0, shard.index) }
        }
    }

    /// The shard of `key`.
    @inline(__always)
    private func place(of key: CacheKey) -> Unmanaged<Shard> {
        unsafe places[Int(key.a & UInt64(places.count - 1))]
    }

    // MARK: - For operators

    /// Forgets what `scope` means, and what is being asked for now; returns how many entries went.
    ///
    /// Walks all slots, 256 at a time under one lock; half a microsecond for each entry freed, 0.2 s
    /// for 400,000 (measured). When it returns, no look-up finds an answer that was asked for before
    /// the call.
    @discardableResult
    package func purge(_ scope: CacheScope) -> Int {
        ledger.note(scope)
        var count = 0
        for shard in shards {
            sweep(shard) { state, range in
                let before = state.statistics.purged
                state.purge(scope, slots: range)
                count += state.statistics.purged - before
            }
        }
        return count
    }

    private func sweep(_ shard: Shard, _ body: (inout CacheShard, Range<Int>) -> Void) {
        var start = 0
        var isDone = false
        while !isDone {
            shard.state.withLock { state in
                let end = min(start + MemoryCache.sweepCount, state.slotCount)
                body(&state, start..<max(start, end))
                isDone = end >= state.slotCount
                start = end
            }
        }
    }

    /// The sums over all shards.
    package var statistics: CacheStatistics {
        var sum = CacheStatistics()
        for shard in shards { sum += shard.state.withLock { $0.statistics } }
        return sum
    }
}
