/// A family's counters of one label set, one for each status code; made by a ``CodeTable``.
///
/// Trivial, so that a revision's or backend's record can hold it.
package struct CodeBlock: Hashable, Sendable, BitwiseCopyable {
    /// The block's first slot, which is that of all codes out of range.
    fileprivate let base: UInt32
    /// The lowest code in range, whose slot comes next.
    fileprivate let lowest: UInt16
    /// How many codes are in range.
    fileprivate let count: UInt16
}

/// Finds the counter for (what answered, status code) without hashing a string.
///
/// One worker's table: a flat array with a place per known code, some 2 KiB for a block of HTTP
/// codes and 72 bytes for gRPC. A code seen for the first time is registered with the store, and
/// from then on it's one load (some 2 ns).
@safe
package final class CodeTable {
    private struct Origin {
        let family: MetricFamily
        let labels: [String]
        let vocabulary: CodeVocabulary
    }

    private let store: MetricStore
    // Owned by the table, grown by doubling, freed with it; `slots[..<used]` are initialised and
    // every block lies within. `SlotLayout.discarded` marks a code not seen yet. A pointer, because
    // an array in a class costs its uniqueness and exclusivity checks: 8 ns a look-up.
    private var slots: UnsafeMutablePointer<UInt32>
    private var capacity = 1_024
    private var used = 0
    // Blocks in use by their base, and the bases of blocks given back.
    private var origins: [UInt32: Origin] = [:]
    private var free: [CodeVocabulary: [UInt32]] = [:]

    /// A table without blocks that registers with `store`.
    package init(store: MetricStore) {
        self.store = store
        unsafe slots = .allocate(capacity: capacity)
    }

    deinit { unsafe slots.deallocate() }

    /// Makes a block of `family`, whose last label is the code.
    ///
    /// - Parameters:
    ///   - family: a family of counters.
    ///   - labels: the values of all labels but the last.
    ///   - vocabulary: which codes there are.
    /// - Returns: a block to hand to ``counter(_:code:)``; ``discard(_:)`` it in the end.
    package func makeBlock(
        _ family: MetricFamily,
        _ labels: [String],
        _ vocabulary: CodeVocabulary
    ) -> CodeBlock {
        precondition(
            labels.count + 1 == family.labels.count,
            "the code is the family's last label"
        )
        let codes = vocabulary.codes
        let base = free[vocabulary]?.popLast() ?? claim(codes.count + 1)
        unsafe (slots + Int(base)).initialize(
            repeating: SlotLayout.discarded,
            count: codes.count + 1
        )
        origins[base] = Origin(family: family, labels: labels, vocabulary: vocabulary)
        return CodeBlock(
            base: base,
            lowest: UInt16(codes.lowerBound),
            count: UInt16(codes.count)
        )
    }

    /// Gives a block's memory back for another; its series live on in the store until retired.
    ///
    /// Nobody may ask for this block's counters any more.
    package func discard(_ block: CodeBlock) {
        guard let origin = origins.removeValue(forKey: block.base) else {
            preconditionFailure("a block is discarded once")
        }
        free[origin.vocabulary, default: []].append(block.base)
    }

    /// The counter of `code`; codes that the protocol doesn't know share one with label `other`.
    package func counter(_ block: CodeBlock, code: Int) -> CounterID {
        let offset = code &- Int(block.lowest)
        let inRange = UInt(bitPattern: offset) < UInt(block.count)
        let place = Int(block.base) &+ (inRange ? offset &+ 1 : 0)
        precondition(place < used, "a block belongs to the table that made it")
        let slot = unsafe slots[place]
        guard slot == SlotLayout.discarded else { return CounterID(slot: slot) }
        return register(block, code: code, at: place)
    }

    @inline(never)
    private func register(_ block: CodeBlock, code: Int, at place: Int) -> CounterID {
        guard let origin = origins[block.base] else {
            preconditionFailure("a block was used after it was discarded")
        }
        let label = origin.vocabulary.label(of: code)
        let counter = store.counter(origin.family, origin.labels + [label])
        unsafe slots[place] = counter.slot
        return counter
    }

    /// Takes `count` slots that no block had yet.
    private func claim(_ count: Int) -> UInt32 {
        if used + count > capacity {
            let larger = max(2 * capacity, used + count)
            let grown = UnsafeMutablePointer<UInt32>.allocate(capacity: larger)
            unsafe grown.initialize(from: slots, count: used)
            unsafe slots.deallocate()
            unsafe slots = unsafe grown
            capacity = larger
        }
        defer { used += count }
        return UInt32(used)
    }
}
