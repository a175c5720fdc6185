// Where the numbers lie
// ---------------------
// Every shard has the same 2^19 slots of 8 bytes, cut into 1,024 chunks of 512. A series owns the
// same slots in each shard: one for a counter or gauge, a block of 24 for a histogram.
//
//   slot number   | chunk (10 bits) | place in the chunk (9 bits) |
//   histogram     | 17 buckets | above all | sum in ns | 5 unused |   three cache lines
//
// Chunks hold either single slots or blocks, so no block straddles two of them. A block's worth of
// slots at the very start is nobody's: `.discarded` handles write there.
//
// Slots are never used twice. A flow that started before a reload may add to a retired series long
// after it is gone, and no scrape can know the last such write; in a reused slot it would count
// for a stranger, and a late `-1` would bend a gauge for good. The price is a bound: half a million
// series over the life of the process, some five thousand reloads that each replace a hundred.

/// The fixed arrangement of slots that the store and all shards agree on.
enum SlotLayout {
    static let chunkShift: UInt32 = 9
    static let chunkSlots = 1 << 9
    static let chunkCount = 1_024
    static let placeMask: UInt32 = 511

    /// Slots of one histogram.
    static let blockSlots = 24
    /// The place of a histogram's sum within its block; the buckets come before.
    static let sumPlace = LatencyBuckets.count + 1

    /// The first slot of the block that belongs to nobody.
    static let discarded: UInt32 = 0
}

/// Hands out slots in order.
struct SlotAllocator {
    private var nextChunk = 0
    private var single: Range<Int>
    private var blocks: Range<Int>

    /// An allocator of which nothing but the discarded block is taken.
    init() {
        single = 0..<0
        blocks = 0..<0
        // The first block of the first chunk is `SlotLayout.discarded`.
        _ = takeBlock()
    }

    /// A slot, or nil when all are taken.
    mutating func takeSingle() -> UInt32? {
        if single.isEmpty {
            guard let chunk = takeChunk() else { return nil }
            single = chunk
        }
        defer { single = single.lowerBound + 1..<single.upperBound }
        return UInt32(single.lowerBound)
    }

    /// The first slot of a block for a histogram, or nil when all are taken.
    mutating func takeBlock() -> UInt32? {
        if blocks.count < SlotLayout.blockSlots {
            guard let chunk = takeChunk() else { return nil }
            blocks = chunk
        }
        defer { blocks = blocks.lowerBound + SlotLayout.blockSlots..<blocks.upperBound }
        return UInt32(blocks.lowerBound)
    }

    private mutating func takeChunk() -> Range<Int>? {
        guard nextChunk < SlotLayout.chunkCount else { return nil }
        defer { nextChunk += 1 }
        let start = nextChunk * SlotLayout.chunkSlots
        return start..<start + SlotLayout.chunkSlots
    }
}
