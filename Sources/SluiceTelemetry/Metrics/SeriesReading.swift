/// What one series held when somebody looked.
package struct SeriesReading: Sendable {
    /// A number as its family's kind means it.
    package enum Value: Sendable {
        /// A count so far.
        case counter(UInt64)
        /// A level now.
        case gauge(Int64)
        /// Durations so far.
        case histogram(HistogramReading)
    }

    /// The label values, in the family's order.
    package let labels: [String]
    /// What it holds.
    package let value: Value

    init(_ series: MetricSeries, of kind: MetricFamily.Kind, in shards: [MetricShard]) {
        labels = series.values
        switch kind {
        case .counter: value = .counter(shards.reduce(0) { $0 &+ $1.read(series.slot) })
        case .gauge:
            let sum = shards.reduce(UInt64(0)) { $0 &+ $1.read(series.slot) }
            value = .gauge(Int64(bitPattern: sum))
        case .histogram:
            value = .histogram(HistogramReading(slot: series.slot, shards: shards))
        }
    }
}
