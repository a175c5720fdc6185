/// Why a look-up that had been sent brought neither a value nor its absence.
package enum RedisLookupFailure: Hashable, Sendable {
    /// Its deadline came first.
    case timedOut
    /// The connection ended.
    case lost
    /// Redis answered with an error: `LOADING …`, `NOPERM …`.
    case refused
}

/// Whoever looks up in Redis; called on the connection's loop, never while it is asking.
///
/// A look-up that was accepted is told of once: by a hit or a miss for each of its keys, in order
/// and within one turn of the loop, or by one failure. Bytes are borrowed for the call.
package protocol RedisReceiver: AnyObject {
    /// The value under the look-up's key number `place`.
    func redisHit(_ token: UInt64, place: Int, _ value: UnsafeRawBufferPointer)
    /// There's nothing under the look-up's key number `place`.
    func redisMiss(_ token: UInt64, place: Int)
    /// The look-up came to nothing.
    func redisFailed(_ token: UInt64, _ failure: RedisLookupFailure)
    /// A purge is over: so many keys are gone, and whether they were all there were.
    func redisPurged(_ token: UInt64, removed: Int, isComplete: Bool)
    /// Redis came into use (nil), or went out of use and why; for the log.
    func redisChanged(_ problem: String?)
}
