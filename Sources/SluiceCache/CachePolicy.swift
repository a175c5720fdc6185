package import SluiceCore

/// How long a model's answers may be used.
package struct CachePolicy: Hashable, Sendable {
    /// How long an answer is fresh, at most.
    package var timeToLive: Duration
    /// How long after that it may still be served while a new one is fetched behind it
    /// (RFC 5861 §3).
    package var staleWhileRevalidate: Duration
    /// How long after that it may stand in for a backend that fails (RFC 5861 §4).
    package var staleIfError: Duration
    /// Whether batches are kept row by row.
    package var rows: Bool
    /// How a revision is warmed before it first takes weight; nil lets it begin cold.
    package var warm: WarmPolicy?

    /// A policy; without the two last nothing stale is ever served.
    package init(
        timeToLive: Duration,
        staleWhileRevalidate: Duration = .zero,
        staleIfError: Duration = .zero,
        rows: Bool = false,
        warm: WarmPolicy? = nil
    ) {
        self.timeToLive = timeToLive
        self.staleWhileRevalidate = staleWhileRevalidate
        self.staleIfError = staleIfError
        self.rows = rows
        self.warm = warm
    }

    /// The lifetime of an answer asked for at `born`.
    ///
    /// Up to a tenth of the time to live is taken off at random, never added: answers that were
    /// stored together don't expire together, and no caller is served longer than the operator said.
    package func lifetime(bornAt born: Instant, random: inout RandomSource) -> CacheLifetime {
        let whole = max(timeToLive.nanoseconds, 0)
        let jitter = Int(whole / 10)
        return lifetime(
            freshUntil: born.advanced(
                byNanoseconds: whole - Int64(jitter > 0 ? random.next(below: jitter + 1) : 0)
            )
        )
    }

    /// Whether an answer may be served past its time.
    package var servesStale: Bool {
        staleWhileRevalidate > .zero || staleIfError > .zero
    }

    /// The lifetime of an answer whose freshness ends at a known instant, as one from tier 2.
    ///
    /// With `mustRevalidate` it is of no use afterwards (RFC 9111 §5.2.2.2).
    package func lifetime(freshUntil: Instant, mustRevalidate: Bool = false) -> CacheLifetime {
        guard !mustRevalidate else {
            return CacheLifetime(
                freshUntil: freshUntil,
                revalidateUntil: freshUntil,
                useUntil: freshUntil
            )
        }
        let revalidate = freshUntil + staleWhileRevalidate
        return CacheLifetime(
            freshUntil: freshUntil,
            revalidateUntil: revalidate,
            useUntil: max(revalidate, freshUntil + staleIfError)
        )
    }
}

/// The three instants at which an answer loses its uses, earliest first.
package struct CacheLifetime: Hashable, BitwiseCopyable, Sendable {
    /// Until then it is served as it is.
    package let freshUntil: Instant
    /// Until then it is served while another request fetches a new one.
    package let revalidateUntil: Instant
    /// Until then it may stand in for a failed call; afterwards it is of no use.
    package let useUntil: Instant
}
