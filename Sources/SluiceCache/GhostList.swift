// Which keys left the small queue lately. Yang et al. (SOSP 2023, §4.2) keep fingerprints in a hash
// table with the time of insertion: a word is a ghost only while fewer than `window` others came after
// it, and dead words are overwritten where they lie. No list, no deletion, eight bytes a ghost.

/// Fingerprints of keys that were evicted untouched.
struct GhostList {
    private static let ways = 4
    // Fingerprint above, sequence number below; zero is free. Buckets of four words.
    private var words: [UInt64]
    private var sequence: UInt32 = 0

    init() { words = Array(repeating: 0, count: 16 * GhostList.ways) }

    var byteCount: Int { words.count * MemoryLayout<UInt64>.stride }

    private func bucket(_ fingerprint: UInt64) -> Int {
        Int(fingerprint >> 32) & (words.count / GhostList.ways - 1)
    }

    private func fingerprint(_ key: CacheKey) -> UInt64 {
        // Zero would look free.
        max(key.c & 0xFFFF_FFFF_0000_0000, 1 << 32)
    }

    private func age(_ word: UInt64) -> UInt32 { sequence &- UInt32(truncatingIfNeeded: word) }

    /// Remembers `key`; `window` says how many ghosts are worth remembering.
    mutating func insert(_ key: CacheKey, window: Int) {
        if words.count < 2 * window { grow() }
        sequence &+= 1
        place(fingerprint(key) | UInt64(sequence))
    }

    /// Forgets `key` and says whether it was among the last `window`.
    mutating func remove(_ key: CacheKey, window: Int) -> Bool {
        let fingerprint = fingerprint(key)
        let first = bucket(fingerprint) * GhostList.ways
        for index in first..<(first + GhostList.ways)
        where words[index] & 0xFFFF_FFFF_0000_0000 == fingerprint {
            let isYoung = Int(age(words[index])) < window
            words[index] = 0
            return isYoung
        }
        return false
    }

    /// Puts a word over the oldest of its bucket.
    private mutating func place(_ word: UInt64) {
        let first = bucket(word) * GhostList.ways
        var oldest = first
        for index in first..<(first + GhostList.ways) {
            if words[index] == 0 {
                oldest = index
                break
            }
            if age(words[index]) > age(words[oldest]) { oldest = index }
        }
        words[oldest] = word
    }

    private mutating func grow() {
        let old = words
        words = Array(repeating: 0, count: 2 * old.count)
        for word in old where word != 0 { place(word) }
    }
}
