package import SluiceCore
private import Synchronization

/// One rate limit and its buckets, shared by all workers; kept over reloads that don't change it.
package final class RateLimiter: Sendable {
    /// Callers that are told apart, at most.
    package static let keysMaximum = 65_536

    package let limit: RateLimit
    private let bucket: Mutex<TokenBucket>
    private let table: BucketTable?

    /// A limiter that has seen nobody; `keysMaximum` is a multiple of 64.
    package init(_ limit: RateLimit, keysMaximum: Int = RateLimiter.keysMaximum) {
        self.limit = limit
        bucket = Mutex(TokenBucket(full: limit))
        table = limit.scope == .model ? nil : BucketTable(maximum: keysMaximum)
    }

    /// Takes a token for a request of `key`'s, which the scope `.model` doesn't look at.
    ///
    /// - Returns: 0, or else the nanoseconds until there is a token; then none was taken.
    package func take(_ key: UnsafeRawBufferPointer, at now: Instant) -> Int64 {
        guard let table else { return bucket.withLock { $0.take(limit, at: now) } }
        return unsafe table.take(BucketTable.digest(key), limit, at: now)
    }

    /// Puts a token back, for a request that another limit turned away.
    package func giveBack(_ key: UnsafeRawBufferPointer) {
        guard let table else { return bucket.withLock { $0.giveBack(limit) } }
        unsafe table.giveBack(BucketTable.digest(key), limit)
    }

    /// Callers that are told apart now; 0 for the scope `.model`.
    package var keyCount: Int { table?.count ?? 0 }

    /// Callers that were forgotten for others before their bucket had filled up.
    package var evictions: Int { table?.evictions ?? 0 }
}
