// Where the numbers lie
// ---------------------
// Every shard has the same 2^22 slots of 8 bytes, cut into 2,048 chunks of 2,048. A series owns the
// same slots in each shard: one for a counter or gauge, a block of 24 for a histogram.
//
//   slot number   | chunk (11 bits) | place in the chunk (11 bits) |
//   histogram     | 17 buckets | above all | sum in ns | 5 unused |   three cache lines
//
// Chunks hold either single slots or blocks, so no block straddles two of them. A block's worth of
// slots at the very start is no series': `.discarded` handles write there.
//
// A shard has memory only for chunks that its worker has counted in: 8 bytes for a counter and 192
// for a histogram. Slots are used again once no handle of their series is left; `MetricScope.swift`
// says how that is known.

/// The fixed arrangement of slots that the store and all shards agree on.
enum SlotLayout {
    static let chunkShift: UInt32 = 11
    static let chunkSlots = 1 << 11
    static let chunkCount = 2_048
    static let placeMask: UInt32 = 2_047

    /// Slots of one histogram.
    static let blockSlots = 24
    /// The place of a histogram's sum within its block; the buckets come before.
    static let sumPlace = LatencyBuckets.count + 1

    /// The first slot of the block that belongs to nobody.
    static let discarded: UInt32 = 0
}

/// Hands out slots: those that came back first, then in order.
struct SlotAllocator {
    private var freeSingles: [UInt32] = []
    private var freeBlocks: [UInt32] = []
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
        if let slot = freeSingles.popLast() { return slot }
        if single.isEmpty {
            guard let chunk = takeChunk() else { return nil }
            single = chunk
        }
        defer { single = single.lowerBound + 1..<single.upperBound }
        return UInt32(single.lowerBound)
    }

    /// The first slot of a block for a histogram, or nil when all are taken.
    mutating func takeBlock() -> UInt32? {
        if let slot = freeBlocks.popLast() { return slot }
        if blocks.count < SlotLayout.blockSlots {
            guard let chunk = takeChunk() else { return nil }
            blocks = chunk
        }
        defer { blocks = blocks.lowerBound + SlotLayout.blockSlots..<blocks.upperBound }
        return UInt32(blocks.lowerBound)
    }

    /// Takes back a slot that nothing adds to any more.
    mutating func giveBack(single slot: UInt32) { freeSingles.append(slot) }

    /// Takes back a histogram's block that nothing adds to any more.
    mutating func giveBack(block slot: UInt32) { freeBlocks.append(slot) }

    private mutating func takeChunk() -> Range<Int>? {
        guard nextChunk < SlotLayout.chunkCount else { return nil }
        defer { nextChunk += 1 }
        let start = nextChunk * SlotLayout.chunkSlots
        return start..<start + SlotLayout.chunkSlots
    }
}
