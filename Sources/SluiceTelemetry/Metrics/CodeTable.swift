/// A family's counters of one label set, one for each status code; made by a ``CodeTable``.
///
/// Trivial, so that a revision's or backend's record can hold it.
package struct CodeBlock: Hashable, Sendable, BitwiseCopyable {
    fileprivate let base: UInt32
    fileprivate let vocabulary: CodeVocabulary
}

/// Finds the counter for (what answered, status code) without hashing a string.
///
/// One worker's table: a flat array with a place per known code, some 2 KiB for a block of HTTP
/// codes and 72 bytes for gRPC. A code seen for the first time is registered with the store, and
/// from then on it's one load.
package final class CodeTable {
    private struct Origin {
        let family: MetricFamily
        let labels: [String]
        let vocabulary: CodeVocabulary
    }

    private let store: MetricStore
    // `SlotLayout.discarded` marks a code not seen yet.
    private var slots: [UInt32] = []
    // Blocks in use by their base, and the bases of blocks given back.
    private var origins: [UInt32: Origin] = [:]
    private var free: [CodeVocabulary: [UInt32]] = [:]

    /// A table without blocks that registers with `store`.
    package init(store: MetricStore) { self.store = store }

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
        let base: UInt32
        if let reused = free[vocabulary]?.popLast() {
            base = reused
            for place in 0..<vocabulary.count {
                slots[Int(base) + place] = SlotLayout.discarded
            }
        } else {
            base = UInt32(slots.count)
            slots.append(
                contentsOf: repeatElement(SlotLayout.discarded, count: vocabulary.count)
            )
        }
        origins[base] = Origin(family: family, labels: labels, vocabulary: vocabulary)
        return CodeBlock(base: base, vocabulary: vocabulary)
    }

    /// Gives a block's memory back for another; its series live on in the store until retired.
    ///
    /// Nobody may ask for this block's counters any more.
    package func discard(_ block: CodeBlock) {
        let origin = origins.removeValue(forKey: block.base)
        precondition(origin != nil, "a block is discarded once")
        free[block.vocabulary, default: []].append(block.base)
    }

    /// The counter of `code`; codes that the protocol doesn't know share one with label `other`.
    package func counter(_ block: CodeBlock, code: Int) -> CounterID {
        let place = Int(block.base) + block.vocabulary.place(of: code)
        let slot = slots[place]
        guard slot == SlotLayout.discarded else { return CounterID(slot: slot) }
        return register(block, code: code, at: place)
    }

    @inline(never)
    private func register(_ block: CodeBlock, code: Int, at place: Int) -> CounterID {
        guard let origin = origins[block.base] else {
            preconditionFailure("a block was used after it was discarded")
        }
        let counter = store.counter(
            origin.family,
            origin.labels + [origin.vocabulary.label(of: code)]
        )
        slots[place] = counter.slot
        return counter
    }
}
