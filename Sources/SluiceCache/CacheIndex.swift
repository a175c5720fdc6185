// From key to slot by open addressing. A word holds 32 bits of the key's hash and the slot's number,
// so that a probe touches the index alone until the hash agrees; the key in the slot has the last
// word. Removal shifts back what follows (Knuth, TAOCP 3, §6.4 algorithm R): no tombstones, so a
// cache that turns over for weeks probes no further than a new one.
//
// Rejected: `Dictionary`, whose SipHash, capacity rounding and 36-byte buckets cost 2-3 times the
// memory and time for keys that are uniform already.

/// The hash index of one shard.
struct CacheIndex {
    // Hash bits above, slot plus one below; zero is free. The count is a power of two.
    private var words: [UInt64]
    private var count = 0
    // An odd number that isn't known outside: a caller that grinds inputs for colliding digests can't tell
    // which of them meet here.
    let multiplier: UInt64

    init(multiplier: UInt64) {
        self.multiplier = multiplier | 1
        words = Array(repeating: 0, count: 64)
    }

    var byteCount: Int { words.count * MemoryLayout<UInt64>.stride }

    private var mask: Int { words.count - 1 }

    private func hash(_ key: CacheKey) -> UInt64 { CacheIndex.hash(key, multiplier) }

    /// The upper half of a word, as good as the product's best bits.
    static func hash(_ key: CacheKey, _ multiplier: UInt64) -> UInt64 {
        ((key.b ^ key.d) &* multiplier) & 0xFFFF_FFFF_0000_0000
    }

    private func home(_ word: UInt64) -> Int { CacheIndex.home(word, mask: mask) }

    /// Where among the words the probing for a hash begins.
    static func home(_ hash: UInt64, mask: Int) -> Int { Int(hash >> 32) & mask }

    /// Where the words lie, and one less than there are.
    var place: (address: UInt, mask: Int) {
        let base = unsafe words.withUnsafeBufferPointer { $0.baseAddress }
        return (UInt(bitPattern: base), mask)
    }

    /// The slot that `holds` says has the key; it is asked only where 32 bits agree.
    func find(_ key: CacheKey, holds: (UInt32) -> Bool) -> UInt32? {
        let hash = hash(key)
        var place = home(hash)
        while words[place] != 0 {
            if words[place] & 0xFFFF_FFFF_0000_0000 == hash {
                let slot = UInt32(truncatingIfNeeded: words[place]) - 1
                if holds(slot) { return slot }
            }
            place = (place + 1) & mask
        }
        return nil
    }

    /// Adds a key that isn't there; an index three quarters full doubles first.
    mutating func insert(_ key: CacheKey, slot: UInt32) {
        if 4 * (count + 1) > 3 * words.count {
            let old = words
            words = Array(repeating: 0, count: 2 * old.count)
            for word in old where word != 0 { place(word) }
        }
        count += 1
        place(hash(key) | UInt64(slot + 1))
    }

    private mutating func place(_ word: UInt64) {
        var place = home(word)
        while words[place] != 0 { place = (place + 1) & mask }
        words[place] = word
    }

    /// Removes a key that is there.
    mutating func remove(_ key: CacheKey, slot: UInt32) {
        let word = hash(key) | UInt64(slot + 1)
        var gap = home(word)
        while words[gap] != word {
            precondition(words[gap] != 0, "a key to remove is in the index")
            gap = (gap + 1) & mask
        }
        count -= 1
        var next = (gap + 1) & mask
        while words[next] != 0 {
            // A word may move back into the gap unless its home lies behind the gap.
            if (next &- home(words[next])) & mask >= (next &- gap) & mask {
                words[gap] = words[next]
                gap = next
            }
            next = (next + 1) & mask
        }
        words[gap] = 0
    }
}
