import SluiceCore
import SluiceTelemetry
import Testing

@Suite("Histogram")
struct HistogramTests {
    private let family = MetricFamily.histogram("sluice_x_seconds", help: "X.")

    /// The bucket that one observation of `nanoseconds` falls into.
    private func bucket(of nanoseconds: Int64) -> Int? {
        let store = MetricStore()
        let histogram = store.histogram(family)
        store.makeShard().observe(histogram, nanoseconds: nanoseconds)
        let reading = store.value(of: histogram)
        #expect(reading.count == 1)
        #expect(reading.nanoseconds == UInt64(max(nanoseconds, 0)))
        return reading.buckets.firstIndex(of: 1)
    }

    @Test(
        "A bound belongs to its bucket, a nanosecond more to the next (Prometheus, le)",
        .tags(.conformance),
        arguments: Array(LatencyBuckets.bounds.enumerated())
    )
    func bounds(index: Int, bound: Int64) {
        #expect(bucket(of: bound) == index)
        #expect(bucket(of: bound + 1) == index + 1)
        #expect(bucket(of: bound - 1) == index)
    }

    @Test(
        "Extremes have a bucket",
        .tags(.unit),
        arguments: [(Int64.min, 0), (-1, 0), (0, 0), (1, 0), (.max, 17)]
    )
    func extremes(nanoseconds: Int64, expected: Int) {
        #expect(bucket(of: nanoseconds) == expected)
    }

    @Test("The table agrees with a search", .tags(.property), arguments: 0..<8 as Range<UInt64>)
    func tableAgreesWithSearch(seed: UInt64) {
        var random = RandomSource(seed: seed)
        let store = MetricStore()
        let histogram = store.histogram(family)
        let shard = store.makeShard()
        var expected = [UInt64](repeating: 0, count: LatencyBuckets.bounds.count + 1)
        var sum: UInt64 = 0
        for _ in 0..<2_000 {
            // Every order of magnitude is as likely as any other.
            let value = Int64(random.next() >> UInt64(20 + random.next(below: 44)))
            shard.observe(histogram, nanoseconds: value)
            sum += UInt64(value)
            expected[LatencyBuckets.bounds.firstIndex { value <= $0 } ?? 17] += 1
        }
        let reading = store.value(of: histogram)
        #expect(reading.buckets == expected)
        #expect(reading.nanoseconds == sum)
    }
}
