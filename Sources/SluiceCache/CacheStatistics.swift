/// What a cache counted since it was made, and what it holds now.
package struct CacheStatistics: Hashable, Sendable {
    /// Look-ups answered by a fresh entry.
    package var hits = 0
    /// Look-ups answered by a stale entry that is being refreshed.
    package var staleHits = 0
    /// Look-ups that found nothing to serve at once.
    package var misses = 0
    /// Entries taken in, replacements included.
    package var stores = 0
    /// Entries that had to go for others.
    package var evictions = 0
    /// Entries that went because their time was up.
    package var expirations = 0
    /// Entries that a purge took.
    package var purged = 0
    /// Entries refused: too large, asked for before a purge, or older than what was there.
    package var rejected = 0
    /// What the entries cost now, by ``CacheEntry/cost``.
    package var bytes = 0
    /// How many entries there are now.
    package var entries = 0

    /// Nothing counted.
    package init() {}

    static func += (sum: inout CacheStatistics, part: CacheStatistics) {
        sum.hits += part.hits
        sum.staleHits += part.staleHits
        sum.misses += part.misses
        sum.stores += part.stores
        sum.evictions += part.evictions
        sum.expirations += part.expirations
        sum.purged += part.purged
        sum.rejected += part.rejected
        sum.bytes += part.bytes
        sum.entries += part.entries
    }
}
