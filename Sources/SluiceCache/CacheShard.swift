import SluiceCore

// S3-FIFO (Yang, Zhang, Qiu, Yue, Vinayak: "FIFO queues are all you need for cache eviction",
// SOSP 2023), by bytes. Three queues: *small* (a tenth of the budget) takes newcomers, *main* takes
// what was asked for again while in small, *ghost* remembers the keys of those that left small
// untouched; one that returns while a ghost goes straight to main.
//
//              store                    asked for again
//   ────────────────────► small ─────────────────────────► main ◄─┐ asked for since: again to the
//     │ a ghost came back   │ not asked for                 │  ────┘ front, one use taken off
//     │                     ▼                               ▼ not asked for
//     └───────────────►   ghost (key only)                 gone
//
// Why this and not LRU: most inputs are seen once, and a scan of such inputs sweeps an LRU empty;
// here it passes through the tenth. A hit writes one small number instead of moving a list node.
// Measured by `HitRatioTests`, 4,000,000 requests of Zipf's law over 50,000 inputs, room for 2,464,
// scans in runs of 1,250; percent of all requests that hit (what a scan brings can't):
//
//                     no scans               20 % scans             50 % scans
//   exponent   S3-FIFO  LRU W-TinyLFU  S3-FIFO  LRU W-TinyLFU  S3-FIFO  LRU W-TinyLFU
//     0.9         58.7 49.8      59.7     47.3 36.1      47.6     29.7 20.4      29.5
//     1.0         71.2 64.3      71.8     57.3 47.0      57.3     35.9 27.3      35.6
//     1.1         81.8 77.1      82.1     65.6 57.3      65.6     41.0 33.4      40.8
//
// W-TinyLFU is as good, and needs a sketch, its ageing and three lists with a move at every hit.
// TTLs need no timer: an entry past its use goes when it is looked up or reaches the end of its queue.

/// One locked part of the memory cache; pure, the lock is ``MemoryCache``'s.
struct CacheShard: ~Copyable {
    private enum Queue: UInt8 { case none, small, main }

    /// 64 bytes: the key, the entry, the queue's links and the uses.
    private struct Slot {
        var key: CacheKey
        var entry: CacheEntry?
        var older = CacheShard.none
        var newer = CacheShard.none
        var uses: UInt8 = 0
        var queue = Queue.none
        private let padding: UInt64 = 0
    }

    /// A FIFO threaded through the slots.
    private struct Chain {
        var oldest = CacheShard.none
        var newest = CacheShard.none
        var bytes = 0
        var count = 0
    }

    private static let none = UInt32.max
    /// Two bits of uses are enough (paper, §4.1).
    private static let usesMaximum: UInt8 = 3
    /// How many times one store may give main's oldest another round: keeps the lock short.
    private static let roundsMaximum = 64

    private var slots: SlotTable<Slot>
    private var idle = CacheShard.none
    private var index: CacheIndex
    private var ghost = GhostList()
    private var small = Chain()
    private var main = Chain()
    private let budget: Int
    private var counts = CacheStatistics()
    private var payloadBytes = 0

    init(budget: Int, seed: UInt64) {
        self.budget = budget
        index = CacheIndex(multiplier: seed)
        // One more than fit: the only entry of a shard may be larger than its budget.
        let entryMinimum = MemoryLayout<Slot>.stride + CacheEntry.costMinimum
        slots = SlotTable(maximum: budget / entryMinimum + 1)
    }

    /// Where slots lie.
    var slotPlaces: SlotPlaces { slots.places }
    /// Where the index lies, until the next store.
    var indexPlace: (address: UInt, mask: Int) { index.place }
    /// A hint at where the index lies.
    func makeIndexHint() -> IndexHint { IndexHint(index) }

    /// How many slots a sweep has to visit.
    var slotCount: Int { slots.count }

    var statistics: CacheStatistics {
        var statistics = counts
        statistics.bytes = payloadBytes + structureBytes
        return statistics
    }

    /// What slots, index and ghosts take.
    ///
    /// They grow with the entries and never shrink, so they count against the budget by their
    /// real size.
    private var structureBytes: Int {
        slots.byteCount + index.byteCount + ghost.byteCount
    }

    // MARK: - Look-up

    /// `place` is where the key may be, and becomes where it is.
    mutating func lookup(
        _ key: CacheKey,
        at now: Instant,
        _ place: inout CachePlace
    ) -> CacheLookup {
        let found = holds(place.slot, key) ? place.slot : find(key)
        guard let slot = found, let entry = slots[slot].entry else {
            counts.misses += 1
            return .miss
        }
        guard now < entry.lifetime.useUntil else {
            remove(slot)
            counts.expirations += 1
            counts.misses += 1
            return .miss
        }
        // Not written where nothing changes: most of a memo's lines stay clean.
        if place.slot != slot || place.address != entry.address {
            place.slot = slot
            place.address = entry.address
        }
        slots[slot].uses = min(slots[slot].uses + 1, CacheShard.usesMaximum)
        if now < entry.lifetime.freshUntil {
            counts.hits += 1
            return .fresh(entry)
        }
        if now < entry.lifetime.revalidateUntil {
            counts.staleHits += 1
            return .stale(entry)
        }
        counts.misses += 1
        return .staleEntry(entry)
    }

    /// Leaves everything as it is.
    func fresh(_ key: CacheKey, at now: Instant) -> CacheEntry? {
        guard let slot = find(key), let entry = slots[slot].entry else { return nil }
        return now < entry.lifetime.freshUntil ? entry : nil
    }

    // MARK: - Store

    /// Takes `entry` in, which is far below the budget, and evicts until the budget holds.
    mutating func store(_ entry: CacheEntry, for key: CacheKey, at now: Instant) -> Bool {
        if let slot = find(key), let old = slots[slot].entry {
            // A slow call must not undo what a later one brought.
            guard old.born <= entry.born else {
                reject()
                return false
            }
            change(slots[slot].queue) { $0.bytes += entry.cost - old.cost }
            slots[slot].entry = entry
            payloadBytes += entry.cost - old.cost
            evict(room: 0, at: now)
        } else {
            let queue: Queue = ghost.remove(key, window: main.count) ? .main : .small
            evict(room: entry.cost, at: now)
            let slot = takeSlot(key, entry)
            index.insert(key, slot: slot)
            append(slot, to: queue, cost: entry.cost)
            payloadBytes += entry.cost
            counts.entries += 1
        }
        counts.stores += 1
        return true
    }

    mutating func reject() { counts.rejected += 1 }

    private mutating func evict(room: Int, at now: Instant) {
        var rounds = 0
        while counts.entries > 0, payloadBytes + structureBytes + room > budget {
            if small.bytes > budget / 10 || main.count == 0 {
                evictFromSmall(at: now)
            } else {
                evictFromMain(at: now, rounds: &rounds)
            }
        }
    }

    private mutating func evictFromSmall(at now: Instant) {
        let slot = small.oldest
        guard let entry = expiring(slot, at: now) else { return }
        if slots[slot].uses > 0 {
            unlink(slot, cost: entry.cost)
            slots[slot].uses = 0
            append(slot, to: .main, cost: entry.cost)
        } else {
            ghost.insert(slots[slot].key, window: main.count)
            remove(slot)
            counts.evictions += 1
        }
    }

    private mutating func evictFromMain(at now: Instant, rounds: inout Int) {
        let slot = main.oldest
        guard let entry = expiring(slot, at: now) else { return }
        if slots[slot].uses > 0, rounds < CacheShard.roundsMaximum {
            rounds += 1
            slots[slot].uses -= 1
            unlink(slot, cost: entry.cost)
            append(slot, to: .main, cost: entry.cost)
        } else {
            remove(slot)
            counts.evictions += 1
        }
    }

    /// The entry of the oldest slot of a queue; nil when its time was up and it is gone.
    private mutating func expiring(_ slot: UInt32, at now: Instant) -> CacheEntry? {
        guard let entry = slots[slot].entry else {
            preconditionFailure("a queued slot has an entry")
        }
        guard now >= entry.lifetime.useUntil else { return entry }
        remove(slot)
        counts.expirations += 1
        return nil
    }

    // MARK: - Sweeps

    /// Removes what `scope` means among the slots of `range`.
    mutating func purge(_ scope: CacheScope, slots range: Range<Int>) {
        for number in range.clamped(to: 0..<slots.count) {
            let slot = UInt32(number)
            guard let entry = slots[slot].entry, scope.contains(entry.tag) else { continue }
            remove(slot)
            counts.purged += 1
        }
    }

    // MARK: - Slots and queues

    /// Whether the slot is there, has this key, and isn't idle.
    private func holds(_ slot: UInt32, _ key: CacheKey) -> Bool {
        Int(slot) < slots.count && slots[slot].key == key && slots[slot].entry != nil
    }

    private func find(_ key: CacheKey) -> UInt32? {
        index.find(key) { slots[$0].key == key }
    }

    private mutating func takeSlot(_ key: CacheKey, _ entry: CacheEntry) -> UInt32 {
        if idle != CacheShard.none {
            let slot = idle
            idle = slots[slot].older
            slots[slot] = Slot(key: key, entry: entry)
            return slot
        }
        slots.append(Slot(key: key, entry: entry))
        return UInt32(slots.count - 1)
    }

    /// Takes an entry out of everything and frees its slot.
    private mutating func remove(_ slot: UInt32) {
        let cost = slots[slot].entry?.cost ?? 0
        index.remove(slots[slot].key, slot: slot)
        unlink(slot, cost: cost)
        slots[slot].entry = nil
        slots[slot].older = idle
        idle = slot
        payloadBytes -= cost
        counts.entries -= 1
    }

    private mutating func change(_ queue: Queue, _ body: (inout Chain) -> Void) {
        if queue == .main { body(&main) } else { body(&small) }
    }

    private mutating func append(_ slot: UInt32, to queue: Queue, cost: Int) {
        let last = queue == .main ? main.newest : small.newest
        slots[slot].queue = queue
        slots[slot].older = last
        slots[slot].newer = CacheShard.none
        if last != CacheShard.none { slots[last].newer = slot }
        change(queue) { chain in
            if chain.oldest == CacheShard.none { chain.oldest = slot }
            chain.newest = slot
            chain.bytes += cost
            chain.count += 1
        }
    }

    private mutating func unlink(_ slot: UInt32, cost: Int) {
        let (older, newer) = (slots[slot].older, slots[slot].newer)
        if older != CacheShard.none { slots[older].newer = newer }
        if newer != CacheShard.none { slots[newer].older = older }
        change(slots[slot].queue) { chain in
            if chain.oldest == slot { chain.oldest = newer }
            if chain.newest == slot { chain.newest = older }
            chain.bytes -= cost
            chain.count -= 1
        }
        slots[slot].queue = .none
    }
}
