package import SluiceCore

/// An answer in memory: immutable bytes that any worker may hold, with what is known of them.
///
/// The bytes live as long as somebody holds the entry, evicted or not: a reply may be writing
/// from them.
///
/// Unchecked: every stored property is a constant, and the memory is written only in `init`.
@safe
package final class CacheEntry: @unchecked Sendable {
    /// Whose answer it is.
    package let tag: CacheTag
    /// When the backend was asked.
    package let born: Instant
    /// How long it may be used.
    package let lifetime: CacheLifetime
    /// How many bytes it takes in the cache's books.
    ///
    /// Its memory, a sixth of that for the gaps that entries of mixed sizes and lifetimes leave in
    /// the allocator's arenas, and ``overheadBytes``. Measured with glibc, two threads, a cache of
    /// 128 MiB turned over many times: resident memory reached 1.00 of the limit with entries of
    /// 100 bytes to 40 KB, 1.09 with 100 bytes to 400 KB; without the sixth, 1.16 and 1.25. A cache full of 100-byte
    /// entries that turns to 3 KB at once passes through 1.22.
    package let cost: Int

    /// What an entry takes besides its bytes.
    ///
    /// The object (104), and what the allocator adds to it and to the bytes. Slots, index and ghosts
    /// are counted by the shard, by their real size.
    package static let overheadBytes = 144

    private let memory: UnsafeMutableRawBufferPointer
    private let answerCount: Int

    /// Copies `answer`.
    package init(
        tag: CacheTag,
        born: Instant,
        lifetime: CacheLifetime,
        answer: UnsafeRawBufferPointer
    ) {
        self.tag = tag
        self.born = born
        self.lifetime = lifetime
        answerCount = answer.count
        let room = CacheEntry.room(for: answerCount)
        cost = room + room / 6 + CacheEntry.overheadBytes
        // Owned by this object until `deinit`; at least as large as the copy below.
        unsafe memory = .allocate(byteCount: room, alignment: 8)
        unsafe memory.copyMemory(from: answer)
    }

    deinit { unsafe memory.deallocate() }

    /// The memory for so many bytes: rounded up by at most an eighth, to one of eight sizes between
    /// two powers of two, so that what one entry leaves fits another.
    ///
    /// With one arena that alone brought the excess from 16 % to 5 %.
    private static func room(for count: Int) -> Int {
        let shift = max(4, Int.bitWidth - count.leadingZeroBitCount - 4)
        return (count + (1 << shift) - 1) & ~((1 << shift) - 1)
    }

    /// The answer's bytes; valid while the caller holds the entry.
    package var answer: UnsafeRawBufferPointer {
        unsafe UnsafeRawBufferPointer(rebasing: memory[..<answerCount])
    }
}

/// What a look-up found.
package enum CacheLookup {
    /// An answer to serve.
    case fresh(CacheEntry)
    /// An answer to serve now, while somebody fetches a new one.
    case stale(CacheEntry)
    /// An answer that may be served only if the backend fails; counted as a miss.
    case spare(CacheEntry)
    /// Nothing.
    case miss
}
