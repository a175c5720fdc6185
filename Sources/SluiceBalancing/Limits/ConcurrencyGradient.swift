// Gradient2 (Netflix, concurrency-limits): how many requests at once does a revision take before they
// only wait for each other?
//
// As long as there is room, an answer takes as long as ever, however many are under way; when they
// queue at the backends, it takes longer. So the time now is compared with the time that is usual:
//
//     gradient = clamp(1.5 x usual / now, 0.5, 1)        half as much again is not a queue
//     wanted   = gradient x limit + 4                    4 requests more than fit: always ask
//     limit    = 0.8 x limit + 0.2 x wanted              within min and max
//
// It needs no probe, for which other rules send a few requests alone and refuse the rest (Envoy's
// gradient). Samples are gathered in windows of at least ten answers, 10 ms and one answer's time:
// the limit then moves in steps that its own effect has had time to show in. The usual time is an
// average over ten minutes that begins as the least of the first ten windows; where it is twice the
// present time, it is given up by a twentieth each window, as there was a slow spell to forget. Windows in which
// fewer than half of the limit were under way teach what is usual but move nothing: that is the
// caller's limit, not ours.
//
// Two things are ours. The limit begins at `min`, so that what is usual is learnt without a queue, and
// then doubles with each window until the first gradient below 1 (as TCP's slow start does), or a
// gateway that restarts under load would refuse for a minute. Without a change of the load it rests at
// half as much again as the capacity, and 4. And the average is one over time rather
// than over 600 samples: with ten windows a second those would be a minute, and a queue that lasts
// that long would become usual. Where load stays above capacity for ten minutes on end it does all the
// same, and the limit creeps up; `max` is the end of that.
package import SluiceCore

/// Between which numbers a revision's limit moves (`adaptiveConcurrency`).
package struct ConcurrencyBounds: Sendable, Hashable {
    /// At least 1.
    package var minimum: Int
    /// At least ``minimum``.
    package var maximum: Int

    /// The defaults, or others; the caller checks their order.
    package init(minimum: Int = 4, maximum: Int = 1_000) {
        precondition(1 <= minimum && minimum <= maximum, "1 <= min <= max")
        self.minimum = minimum
        self.maximum = maximum
    }
}

/// A limit that follows how long answers take.
package struct ConcurrencyGradient: Sendable {
    private static let tolerance = 1.5
    private static let headroom = 4.0
    private static let smoothing = 0.2
    private static let windowSamples = 10
    private static let windowMinimum: Int64 = 10_000_000
    private static let warmUp = 10
    // An average whose weights halve as those of 600 windows of a second do.
    private static let memory = 300e9

    private var bounds: ConcurrencyBounds
    private var exact: Double
    private var usual = 0.0
    private var windows = 0
    private var isStarting = true
    private var window = Window()
    private var lastWindow: Instant?

    private struct Window: Sendable {
        var begun: Instant?
        var count = 0
        var sum = 0.0
        var peak = 0
    }

    /// A limit that knows nothing yet.
    package init(_ bounds: ConcurrencyBounds) {
        self.bounds = bounds
        exact = Double(bounds.minimum)
    }

    /// The limit now.
    package var limit: Int { Int(exact) }

    /// Goes on between other bounds.
    package mutating func use(_ bounds: ConcurrencyBounds) {
        self.bounds = bounds
        exact = clamped(exact)
    }

    private func clamped(_ value: Double) -> Double {
        min(max(value, Double(bounds.minimum)), Double(bounds.maximum))
    }

    /// Notes an answer, or a try that timed out, and how many were under way with it.
    package mutating func note(nanoseconds: Int64, inFlight: Int, at now: Instant) {
        let begun = window.begun ?? now
        window.begun = begun
        window.count += 1
        window.sum += Double(max(nanoseconds, 1))
        window.peak = max(window.peak, inFlight)
        let mean = window.sum / Double(window.count)
        let length = now.nanoseconds(since: begun)
        guard window.count >= ConcurrencyGradient.windowSamples,
            length >= ConcurrencyGradient.windowMinimum, Double(length) >= mean
        else { return }
        let peak = window.peak
        window = Window()
        learn(mean, at: now)
        if peak * 2 >= limit { move(mean) }
    }

    private mutating func learn(_ mean: Double, at now: Instant) {
        windows += 1
        if windows <= ConcurrencyGradient.warmUp {
            usual = windows == 1 ? mean : min(usual, mean)
        } else {
            let elapsed = lastWindow.map { Double(now.nanoseconds(since: $0)) } ?? 0
            usual += (mean - usual) * elapsed / (ConcurrencyGradient.memory + elapsed)
        }
        lastWindow = now
        if usual > 2 * mean { usual *= 0.95 }
    }

    private mutating func move(_ mean: Double) {
        let gradient = min(max(ConcurrencyGradient.tolerance * usual / mean, 0.5), 1)
        if gradient < 1 { isStarting = false }
        guard !isStarting else {
            exact = clamped(exact * 2)
            return
        }
        let wanted = gradient * exact + ConcurrencyGradient.headroom
        exact = clamped(
            exact * (1 - ConcurrencyGradient.smoothing) + wanted * ConcurrencyGradient.smoothing
        )
    }
}
