package import SluiceCore

/// An answer in memory: immutable bytes that any worker may hold, with what is known of them.
///
/// The bytes live as long as a reply holds the entry, evicted or not: a reply may be writing
/// from them. They lie behind the head, in one piece of memory: serving an entry that no request has
/// touched for long waits for memory once.
///
/// Unchecked: head and bytes are written only where the entry is made.
@safe
package struct CacheEntry: @unchecked Sendable {
    /// What is known of an answer.
    package struct Head: BitwiseCopyable {
        fileprivate let tag: CacheTag
        fileprivate let born: Instant
        fileprivate let lifetime: CacheLifetime
        fileprivate let cost: Int
        fileprivate let answerCount: Int
    }

    /// The memory of an entry, which lives as long as anybody counts a reference to it.
    package typealias Storage = ManagedBuffer<Head, UInt8>

    /// Where it all is, for who counts references by hand.
    package let storage: Storage

    /// Has the processor fetch the entry at this address, where it may have been some time ago.
    @inline(__always)
    static func fetch(_ address: UInt) {
        guard let place = unsafe UnsafeRawPointer(bitPattern: address) else { return }
        // Head and a short answer lie on two lines.
        unsafe Prefetch.line(at: place)
        unsafe Prefetch.line(at: place + 64)
    }

    /// Where it lies, for ``fetch(_:)``.
    var address: UInt { unsafe UInt(bitPattern: Unmanaged.passUnretained(storage).toOpaque()) }

    /// The entry in `storage`.
    package init(_ storage: Storage) { self.storage = storage }

    /// Whose answer it is.
    package var tag: CacheTag { storage.header.tag }
    /// When the backend was asked.
    package var born: Instant { storage.header.born }
    /// How long it may be used.
    package var lifetime: CacheLifetime { storage.header.lifetime }

    /// How many bytes it takes in the cache's books.
    ///
    /// Its memory, a sixth of that for the gaps that entries of mixed sizes and lifetimes leave in
    /// the allocator's arena, and what the allocator adds to each piece. Slots, index and ghosts are
    /// counted by the shard, by their real size. Measured with glibc (`Benchmarks/memory`): ten million
    /// distinct answers of 16 bytes to 4 KB over two workers, for whose cache of 128 MiB the process
    /// grew by 122.
    package var cost: Int { storage.header.cost }

    /// The answer's bytes; valid while the caller holds the entry.
    package var answer: UnsafeRawBufferPointer {
        unsafe storage.withUnsafeMutablePointers { head, bytes in
            unsafe UnsafeRawBufferPointer(start: bytes, count: head.pointee.answerCount)
        }
    }

    /// An entry with a copy of `answer`.
    package init(
        tag: CacheTag,
        born: Instant,
        lifetime: CacheLifetime,
        answer: UnsafeRawBufferPointer
    ) {
        let room = CacheEntry.room(for: CacheEntry.headByteCount + answer.count)
        let head = Head(
            tag: tag,
            born: born,
            lifetime: lifetime,
            cost: CacheEntry.cost(of: room),
            answerCount: answer.count
        )
        storage = Storage.create(minimumCapacity: room - CacheEntry.headByteCount) { _ in head }
        unsafe storage.withUnsafeMutablePointerToElements { bytes in
            guard let from = answer.baseAddress else { return }
            // There is room for at least as many.
            unsafe UnsafeMutableRawPointer(bytes).copyMemory(from: from, byteCount: answer.count)
        }
    }

    /// The ``cost`` of an entry without bytes.
    static var costMinimum: Int { cost(of: room(for: headByteCount)) }

    private static func cost(of room: Int) -> Int { room + room / 6 + allocatorByteCount }

    /// What lies before the bytes: the object's own two words, and the head.
    private static let headByteCount = 16 + MemoryLayout<Head>.stride
    /// What an allocator keeps of each piece for itself.
    private static let allocatorByteCount = 16

    /// The memory for so many bytes: rounded up by at most an eighth, to one of eight sizes between
    /// two powers of two, so that what one entry leaves fits another.
    ///
    /// With one arena that alone brought the excess from 16 % to 5 %.
    private static func room(for count: Int) -> Int {
        let shift = max(4, Int.bitWidth - count.leadingZeroBitCount - 4)
        return (count + (1 << shift) - 1) & ~((1 << shift) - 1)
    }
}

/// What a look-up found.
package enum CacheLookup {
    /// An answer to serve.
    case fresh(CacheEntry)
    /// An answer to serve now, while another request fetches a new one.
    case stale(CacheEntry)
    /// An answer that may be served only if the backend fails; counted as a miss.
    case staleEntry(CacheEntry)
    /// Nothing.
    case miss
}
