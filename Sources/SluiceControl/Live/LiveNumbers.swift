import SluiceTelemetry

/// What one revision does now, over the last few seconds.
package struct LiveNumbers: Sendable, Equatable {
    /// Requests answered in a second.
    package var requestsPerSecond = 0.0
    /// The share of answers that failed on our side or the backend's; nil without answers.
    package var errorRatio: Double?
    /// Half of the requests took less, in seconds; nil without answers.
    package var p50Seconds: Double?
    /// All but one in a hundred took less, in seconds; nil without answers.
    package var p99Seconds: Double?
    /// Requests under way.
    package var inFlight = 0
    /// Attempts at backends in a second; less than requests where the cache answers.
    package var backendRequestsPerSecond = 0.0
    /// Requests turned away in a second.
    package var rejectedPerSecond = 0.0
    /// Second copies of slow requests that were sent in a second.
    package var hedgesPerSecond = 0.0
    /// The share of these copies that won; nil without any.
    package var hedgeWinRatio: Double?

    /// A revision at rest.
    package init() {}

    /// What happened from `earlier` to `later`, `seconds` apart.
    init(
        from earlier: TrafficTotals.Revision,
        to later: TrafficTotals.Revision,
        seconds: Double
    ) {
        let requests = Growth.between(earlier.requests, later.requests)
        inFlight = later.inFlight
        guard seconds > 0 else { return }
        requestsPerSecond = Double(requests) / seconds
        let attempts = Growth.between(earlier.backendRequests, later.backendRequests)
        backendRequestsPerSecond = Double(attempts) / seconds
        rejectedPerSecond = Double(Growth.between(earlier.rejected, later.rejected)) / seconds
        let hedges = Growth.between(earlier.hedges, later.hedges)
        hedgesPerSecond = Double(hedges) / seconds
        if hedges > 0 {
            let won = Growth.between(earlier.hedgesWon, later.hedgesWon)
            hedgeWinRatio = min(1, Double(won) / Double(hedges))
        }
        if requests > 0 {
            let errors = Growth.between(earlier.errors, later.errors)
            errorRatio = min(1, Double(errors) / Double(requests))
        }
        let buckets = zip(earlier.buckets, later.buckets).map(Growth.between)
        p50Seconds = LatencyQuantile.seconds(0.5, buckets: buckets)
        p99Seconds = LatencyQuantile.seconds(0.99, buckets: buckets)
    }
}

/// How a model's cache does now, over the last few seconds; ratios are nil without look-ups.
package struct CacheNumbers: Sendable, Equatable {
    /// The share of look-ups that either tier answered.
    package var hitRatio: Double?
    /// The share of look-ups that memory answered.
    package var memoryHitRatio: Double?
    /// The share of Redis's look-ups that Redis answered; failures count as look-ups.
    package var redisHitRatio: Double?
    /// The share of look-ups that waited for another request's call.
    package var collapsedRatio: Double?
    /// Look-ups in a second.
    package var lookupsPerSecond = 0.0

    /// A cache nobody asks.
    package init() {}

    /// What happened from `earlier` to `later`, `seconds` apart.
    init(from earlier: TrafficTotals.Cache, to later: TrafficTotals.Cache, seconds: Double) {
        let memoryHits = Growth.between(earlier.memoryHits, later.memoryHits)
        let redisHits = Growth.between(earlier.redisHits, later.redisHits)
        // What misses memory is counted there; Redis only turns misses into hits.
        let lookups = memoryHits + Growth.between(earlier.memoryMisses, later.memoryMisses)
        let asked =
            redisHits + Growth.between(earlier.redisMisses, later.redisMisses)
            + Growth.between(earlier.redisErrors, later.redisErrors)
        let collapsed = Growth.between(earlier.collapsed, later.collapsed)
        guard seconds > 0 else { return }
        lookupsPerSecond = Double(lookups) / seconds
        hitRatio = CacheNumbers.share(memoryHits + redisHits, of: lookups)
        memoryHitRatio = CacheNumbers.share(memoryHits, of: lookups)
        redisHitRatio = CacheNumbers.share(redisHits, of: asked)
        collapsedRatio = CacheNumbers.share(collapsed, of: lookups)
    }

    private static func share(_ part: UInt64, of whole: UInt64) -> Double? {
        whole == 0 ? nil : min(1, Double(part) / Double(whole))
    }
}

/// How much a count has grown.
enum Growth {
    /// The growth from `earlier` to `later`; a count that fell has started over from zero.
    static func between(_ earlier: UInt64, _ later: UInt64) -> UInt64 {
        later >= earlier ? later - earlier : later
    }
}

/// Quantiles of durations that were counted by bucket.
enum LatencyQuantile {
    /// The duration, in seconds, that a `share` of the observations stayed below.
    ///
    /// Within a bucket observations are taken to lie evenly, as Prometheus's `histogram_quantile`
    /// takes them; above the last bound, that bound is the answer. Nil without observations.
    static func seconds(_ share: Double, buckets: [UInt64]) -> Double? {
        let total = buckets.reduce(0, +)
        guard total > 0 else { return nil }
        let wanted = share * Double(total)
        var (below, lower) = (0.0, 0.0)
        for (place, bound) in LatencyBuckets.bounds.enumerated() {
            let count = Double(buckets[place])
            let upper = Double(bound) / 1e9
            if count > 0, below + count >= wanted {
                return lower + (upper - lower) * (wanted - below) / count
            }
            below += count
            lower = upper
        }
        return lower
    }
}
