package import SluiceCore

// Looking pays while the share of hits times what a hit saves exceeds what a look-up costs: the
// canonical form and its digest (some microseconds for a small body, a hundred for 64 KiB), and in
// tier 2 a round trip. A model whose inputs never repeat should pay none of it.
//
//             a window below the minimum, not before the cache can be warm
//        open ────────────────────────────────────────────────────────────► closed
//             ◄────────────────────────────────────────────────────────────
//             a window of samples at twice the minimum, not before the hold is over
//
// While closed, one *content* in 32 is still looked up and stored, not one request in 32: all
// requests of a sampled content are seen, so the sample's hit rate is that of the whole (Waldspurger et
// al., "Efficient MRC construction with SHARDS", FAST 2015). A sample of requests would have to draw
// the same content twice to see a hit, and would find a thirtieth of the truth.
//
// The sample has the whole cache for itself and may promise more than full traffic can keep. So each
// opening that fails doubles the hold, up to an hour.

/// Whether a model's requests are looked up in the cache at all; one for each model and worker.
package struct AdaptiveBypass: Sendable {
    /// Look-ups are judged this many at a time.
    package static let windowCount = 1024
    /// Samples are judged this many at a time; fewer, as they are rare.
    package static let sampleCount = 256
    /// One content in this many is sampled while the gate is closed.
    package static let sampleRatio: UInt64 = 32
    /// A cache counts as warm after its time to live, at most after this long.
    package static let warmUpMaximum = Duration.seconds(300)
    /// A closed gate stays closed at most this long without a judgement of its samples.
    package static let holdMaximum = Duration.seconds(3600)

    /// Whether everything is looked up.
    package private(set) var isOpen = true

    private let minimumPerMille: Int
    private let warmUp: Duration
    private var lookups = 0
    private var hits = 0
    private var failures = 0
    /// When the gate may change next.
    private var settled: Instant

    /// An open gate that closes when fewer than `minimumPerMille` of a thousand look-ups hit.
    ///
    /// Zero never closes. `timeToLive` is how long a cache of this model takes to be as warm as it gets.
    package init(minimumPerMille: Int = 20, timeToLive: Duration, at now: Instant) {
        self.minimumPerMille = minimumPerMille
        warmUp = min(timeToLive, AdaptiveBypass.warmUpMaximum)
        settled = now + warmUp
    }

    /// Whether to look up, and on a miss to store, this request.
    ///
    /// `sample` must follow from the request's content alone: ``CacheKey/sample``, or a cheap hash
    /// of the body where the digest is what shall be saved.
    package func admits(sample: UInt64) -> Bool {
        // Multiplied so that any hash will do; the top bits of a product are its best.
        isOpen || ((sample &* 0x9E37_79B9_7F4A_7C15) >> 32) % AdaptiveBypass.sampleRatio == 0
    }

    /// Counts what an admitted look-up found, in whichever tier; may change ``isOpen``.
    package mutating func record(hit: Bool, at now: Instant) {
        lookups += 1
        hits += hit ? 1 : 0
        let window = isOpen ? AdaptiveBypass.windowCount : AdaptiveBypass.sampleCount
        guard lookups >= window else { return }
        if now >= settled { evaluate(at: now) }
        lookups = 0
        hits = 0
    }

    private mutating func evaluate(at now: Instant) {
        let perMille = hits * 1000 / lookups
        if isOpen {
            guard perMille < minimumPerMille else {
                failures = 0
                return
            }
            isOpen = false
            // The first hold is short: samples need a time to live to be warm in any case.
            settled = now + min(warmUp * (1 << min(failures, 12)), AdaptiveBypass.holdMaximum)
            failures += 1
        } else if perMille >= 2 * minimumPerMille {
            isOpen = true
            settled = now + warmUp
        }
    }
}
