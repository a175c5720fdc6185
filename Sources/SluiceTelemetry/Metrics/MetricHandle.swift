/// A registered counter: where its slot lies in every shard.
///
/// Trivial, so that hot records can hold it. Valid for the store that made it and its shards.
package struct CounterID: Hashable, Sendable, BitwiseCopyable {
    let slot: UInt32

    /// A counter nobody reads: adding to it is allowed and leaves no trace.
    package static var discarded: CounterID { CounterID(slot: SlotLayout.discarded) }
}

/// A registered gauge whose value is the sum over all shards.
///
/// Trivial, so that hot records can hold it. Valid for the store that made it and its shards.
package struct GaugeID: Hashable, Sendable, BitwiseCopyable {
    let slot: UInt32

    /// A gauge nobody reads: adding to it is allowed and leaves no trace.
    package static var discarded: GaugeID { GaugeID(slot: SlotLayout.discarded) }
}

/// A registered histogram: where its block of slots lies in every shard.
///
/// Trivial, so that hot records can hold it. Valid for the store that made it and its shards.
package struct HistogramID: Hashable, Sendable, BitwiseCopyable {
    let slot: UInt32

    /// A histogram nobody reads: observing is allowed and leaves no trace.
    package static var discarded: HistogramID { HistogramID(slot: SlotLayout.discarded) }
}
