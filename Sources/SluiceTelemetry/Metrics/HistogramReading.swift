/// What a histogram held when somebody looked: counts by bucket and the sum of durations.
///
/// The parts are read one after another while workers count on; the total is taken from the
/// buckets, so that a reading is never at odds with itself.
package struct HistogramReading: Sendable {
    /// Observations by bucket, each counted once; the last bucket is above all bounds.
    package let buckets: [UInt64]
    /// The sum of all observations in nanoseconds.
    package let nanoseconds: UInt64

    init(slot: UInt32, shards: [MetricShard]) {
        var sums = [UInt64](repeating: 0, count: SlotLayout.sumPlace + 1)
        for shard in shards { shard.read(from: slot, into: &sums) }
        nanoseconds = sums.removeLast()
        buckets = sums
    }

    /// How many observations there were.
    package var count: UInt64 { buckets.reduce(0, &+) }
}
