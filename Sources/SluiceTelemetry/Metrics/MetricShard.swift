import Synchronization

/// One worker's share of all numbers; the sum over the shards is what a scrape shows.
///
/// One thread writes a shard, any thread reads it. As nobody else writes, an update is a relaxed
/// load and a relaxed store (about a nanosecond) where a read-modify-write would lock the cache
/// line (five to six). Memory comes in chunks of 16 KiB when a series in them is first touched,
/// and stays until the shard goes; see `SlotLayout.swift`.
///
/// Sendable without a lock: all shared state is atomic, and a chunk's address is published once,
/// after the chunk was zeroed. That there's one writer at a time is the caller's promise. Two
/// writers would lose counts, but not memory safety.
@safe
package final class MetricShard: @unchecked Sendable {
    typealias Slot = Atomic<UInt64>
    typealias Chunk = UnsafeMutablePointer<Slot>

    // Both are allocated with the shard and freed with it; `table` has `chunkCount` entries,
    // `octaves` 64. A handle's slot is below chunkCount * chunkSlots by construction.
    private let table: UnsafeMutablePointer<Atomic<Chunk?>>
    private let octaves: UnsafeMutablePointer<LatencyBuckets.Octave>

    init() {
        unsafe table = .allocate(capacity: SlotLayout.chunkCount)
        for index in 0..<SlotLayout.chunkCount {
            unsafe (table + index).initialize(to: Atomic(nil))
        }
        unsafe octaves = .allocate(capacity: 64)
        for (index, octave) in LatencyBuckets.octaves().enumerated() {
            unsafe (octaves + index).initialize(to: octave)
        }
    }

    deinit {
        for index in 0..<SlotLayout.chunkCount {
            unsafe table[index].load(ordering: .relaxed)?.deallocate()
        }
        unsafe table.deinitialize(count: SlotLayout.chunkCount)
        unsafe table.deallocate()
        unsafe octaves.deallocate()
    }

    // MARK: - The writer

    /// Adds `count` to a counter.
    package func add(_ counter: CounterID, _ count: UInt64 = 1) {
        unsafe MetricShard.add(count, to: slot(counter.slot))
    }

    /// Moves a gauge by `change`, up or down.
    ///
    /// A gauge is the sum over the shards, so one shard may go below zero when what began on
    /// one worker ends on another.
    package func add(_ gauge: GaugeID, _ change: Int64) {
        unsafe MetricShard.add(UInt64(bitPattern: change), to: slot(gauge.slot))
    }

    /// Counts one duration; a negative one counts as zero.
    ///
    /// Sums are whole nanoseconds modulo 2^64: they start over after 584 years of observed time.
    package func observe(_ histogram: HistogramID, nanoseconds: Int64) {
        let value = max(nanoseconds, 0)
        let octave = unsafe octaves[63 - (value | 1).leadingZeroBitCount]
        let bucket = value > octave.bound ? octave.below &+ 1 : octave.below
        let block = unsafe slot(histogram.slot)
        unsafe MetricShard.add(1, to: block + bucket)
        unsafe MetricShard.add(UInt64(bitPattern: value), to: block + SlotLayout.sumPlace)
    }

    @inline(__always)
    private static func add(_ count: UInt64, to slot: Chunk) {
        unsafe slot.pointee.store(
            slot.pointee.load(ordering: .relaxed) &+ count,
            ordering: .relaxed
        )
    }

    /// The address of a slot; the writer published its chunk itself, so relaxed is enough.
    @inline(__always)
    private func slot(_ slot: UInt32) -> Chunk {
        let index = Int(slot >> SlotLayout.chunkShift)
        let place = Int(slot & SlotLayout.placeMask)
        guard let chunk = unsafe table[index].load(ordering: .relaxed) else {
            return unsafe makeChunk(at: index) + place
        }
        return unsafe chunk + place
    }

    @inline(never)
    private func makeChunk(at index: Int) -> Chunk {
        // Whole cache lines: neighbouring shards mustn't share one.
        let chunk = unsafe UnsafeMutableRawPointer.allocate(
            byteCount: SlotLayout.chunkSlots * MemoryLayout<Slot>.stride,
            alignment: 64
        ).bindMemory(to: Slot.self, capacity: SlotLayout.chunkSlots)
        for place in 0..<SlotLayout.chunkSlots { unsafe (chunk + place).initialize(to: Atomic(0)) }
        unsafe table[index].store(chunk, ordering: .releasing)
        return unsafe chunk
    }

    // MARK: - Between two series

    /// Zeroes `count` slots from `first` on, which no handle leads to now.
    func clear(from first: UInt32, count: Int) {
        let index = Int(first >> SlotLayout.chunkShift)
        guard let chunk = unsafe table[index].load(ordering: .acquiring) else { return }
        let place = Int(first & SlotLayout.placeMask)
        precondition(place + count <= SlotLayout.chunkSlots, "a block lies in one chunk")
        for offset in 0..<count { unsafe chunk[place + offset].store(0, ordering: .relaxed) }
    }

    // MARK: - Readers

    /// What this shard holds in `slot` now; any thread may ask.
    func read(_ slot: UInt32) -> UInt64 {
        let index = Int(slot >> SlotLayout.chunkShift)
        guard let chunk = unsafe table[index].load(ordering: .acquiring) else { return 0 }
        return unsafe chunk[Int(slot & SlotLayout.placeMask)].load(ordering: .relaxed)
    }

    /// Adds the slots from `first` on to `sums`, one to each; they lie in one chunk.
    func read(from first: UInt32, into sums: inout [UInt64]) {
        let index = Int(first >> SlotLayout.chunkShift)
        guard let chunk = unsafe table[index].load(ordering: .acquiring) else { return }
        let place = Int(first & SlotLayout.placeMask)
        precondition(place + sums.count <= SlotLayout.chunkSlots, "a block lies in one chunk")
        for offset in sums.indices {
            unsafe sums[offset] &+= chunk[place + offset].load(ordering: .relaxed)
        }
    }
}
