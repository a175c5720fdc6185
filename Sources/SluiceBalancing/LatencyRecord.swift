// Peak EWMA (Linkerd): a slower answer counts at once, faster ones only with time, and what is not
// asked is forgotten, so that a backend that was slow once is tried again.
package import SluiceCore

/// How long a backend takes, as `peakEwma` sees it: a pure value in one word.
///
/// 40 bits of time (1.05 ms), 24 bits of latency (4.1 us, up to 68 s). 0 has never been asked.
package struct LatencyRecord: BitwiseCopyable, Sendable, Equatable {
    /// The packed form.
    package let word: UInt64

    /// A record as it was packed.
    package init(word: UInt64) { self.word = word }

    // What a backend that was never asked is taken for: 30 ms.
    private static let initial: UInt64 = 30_000_000 >> 12
    // Faster answers are taken at most every 67 ms: the whole numbers couldn't tell less.
    private static let stepMinimum: UInt64 = 64

    private var units: UInt64 { word & 0xFF_FFFF }

    /// The latency to expect, in units of 4,096 ns; never 0.
    package func units(at now: Instant) -> Int {
        guard word != 0 else { return Int(LatencyRecord.initial) }
        let steps = ExponentialDecay.steps(from: word >> 24, to: ExponentialDecay.step(at: now))
        return Int(max(1, ExponentialDecay.faded(units, by: steps)))
    }

    /// The record after an answer that took `nanoseconds`.
    package func noting(nanoseconds: Int64, at now: Instant) -> LatencyRecord {
        let step = ExponentialDecay.step(at: now)
        let sample = min(UInt64(max(1, nanoseconds >> 12)), 0xFF_FFFF)
        let steps = ExponentialDecay.steps(from: word >> 24, to: step)
        if word == 0 || sample >= ExponentialDecay.faded(units, by: steps) {
            return LatencyRecord(word: step << 24 | sample)
        }
        guard steps >= LatencyRecord.stepMinimum else { return self }
        // Above the sample by what is left of the difference.
        let difference = units - sample
        let left = min(difference - 1, ExponentialDecay.faded(difference, by: steps))
        return LatencyRecord(word: step << 24 | (sample + left))
    }
}
