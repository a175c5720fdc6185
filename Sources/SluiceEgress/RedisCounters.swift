/// What one connection to Redis has seen since it was made.
///
/// When nothing is under way, `lookUps` is `answered` plus the five ways to come to nothing.
package struct RedisCounters: Hashable, Sendable {
    /// Look-ups asked for; one of several keys is one.
    package var lookUps = 0
    /// Look-ups answered in time; their keys are counted as hits and misses.
    package var answered = 0
    /// Keys found.
    package var hits = 0
    /// Keys not found.
    package var misses = 0

    /// Look-ups not sent because Redis wasn't in use: no connection, or an open breaker.
    package var skipped = 0
    /// Look-ups not sent because too much waits already.
    package var crowded = 0
    /// Look-ups given up at their deadline.
    package var timeouts = 0
    /// Look-ups answered by an error.
    package var refused = 0
    /// Look-ups whose connection ended.
    package var lost = 0

    /// Values and removals sent.
    package var writes = 0
    /// Values and removals not sent: Redis wasn't in use, or too much waited already.
    package var droppedWrites = 0
    /// Values and removals answered by an error (a full Redis says `OOM …`), or not at all.
    package var failedWrites = 0

    /// Connections that stood and were greeted, after the first.
    package var reconnects = 0
    /// Attempts that led to no such connection.
    package var failedAttempts = 0
    /// Connections ended because what came made no sense.
    package var nonsense = 0

    /// Nothing seen.
    package init() {}

    /// Look-ups that came to nothing, however.
    package var failedLookUps: Int { skipped + crowded + timeouts + refused + lost }
}
