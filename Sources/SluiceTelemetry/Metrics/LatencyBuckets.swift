// Which bucket?
// -------------
// Neighbouring bounds are at least a factor of two apart, so between 2^k (included) and 2^(k+1)
// lies at most one bound. A table with an entry per power of two says how many bounds lie
// below 2^k and which one, if any, lies in between: one count of leading zeros, one load, one
// comparison; no search, no floating point.

/// The upper bounds of every histogram's buckets, from 100 µs to 30 s.
package enum LatencyBuckets {
    /// The bounds in nanoseconds, rising; a bucket includes its bound (Prometheus, `le`).
    package static let bounds: [Int64] = [
        100_000, 250_000, 500_000,
        1_000_000, 2_500_000, 5_000_000, 10_000_000, 25_000_000, 50_000_000, 100_000_000,
        250_000_000, 500_000_000, 1_000_000_000, 2_500_000_000, 5_000_000_000, 10_000_000_000,
        30_000_000_000,
    ]

    /// How many bounds there are; observations above the last one fall into one bucket more.
    static let count = 17

    /// The values of the label `le`, in OpenMetrics' canonical form (OpenMetrics 1.0, "Numbers").
    static let labels: [StaticString] = [
        "0.0001", "0.00025", "0.0005", "0.001", "0.0025", "0.005", "0.01", "0.025", "0.05", "0.1",
        "0.25", "0.5", "1.0", "2.5", "5.0", "10.0", "30.0",
    ]

    /// What the search knows about the values from 2^k up to 2^(k+1).
    struct Octave: BitwiseCopyable {
        /// How many bounds are below 2^k.
        var below: Int
        /// The bound in this octave, or the greatest number there is.
        var bound: Int64
    }

    /// The table of all 64 octaves.
    static func octaves() -> [Octave] {
        (0..<64).map { exponent in
            let below = bounds.count { $0 >> exponent == 0 }
            let inside = below < count && bounds[below] >> exponent == 1
            return Octave(below: below, bound: inside ? bounds[below] : .max)
        }
    }
}
