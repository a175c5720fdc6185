import SluiceCore
import Synchronization

/// Where a shard's index lies, told without the shard's lock: what a look-up will read can be fetched
/// ahead.
///
/// It may be out of date, or be changed while it is read; then another place is fetched, in vain.
struct IndexHint: ~Copyable, Sendable {
    private let address = Atomic<UInt>(0)
    private let mask = Atomic<Int>(0)
    private let multiplier: UInt64

    init(_ index: borrowing CacheIndex) {
        multiplier = index.multiplier
        update(index.place)
    }

    /// Says where the index lies now.
    @inline(__always)
    func update(_ place: (address: UInt, mask: Int)) {
        // Written only where it has changed: others read this line at every look-up.
        guard address.load(ordering: .relaxed) != place.address else { return }
        address.store(place.address, ordering: .relaxed)
        mask.store(place.mask, ordering: .relaxed)
    }

    /// Has the processor fetch where the probing for `key` begins.
    @inline(__always)
    func fetch(_ key: CacheKey) {
        let home = CacheIndex.home(
            CacheIndex.hash(key, multiplier),
            mask: mask.load(ordering: .relaxed)
        )
        let offset = UInt(bitPattern: home &* MemoryLayout<UInt64>.stride)
        if let place = unsafe UnsafeRawPointer(
            bitPattern: address.load(ordering: .relaxed) &+ offset
        ) {
            unsafe Prefetch.line(at: place)
        }
    }
}
