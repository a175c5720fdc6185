package import SluiceCore
package import SluiceRedis

/// Why a look-up that had been sent brought neither a value nor its absence.
package enum RedisLookupFailure: Hashable, Sendable {
    /// Its deadline came first.
    case timedOut
    /// The connection ended.
    case lost
    /// Redis answered with an error: `LOADING …`, `NOPERM …`.
    case refused
}

/// What of Redis something is wrong with.
package enum RedisUse: String, Hashable, Sendable, CaseIterable {
    /// It can't be reached, or refuses us.
    case connection
    /// Look-ups come to nothing.
    case lookUps
    /// Values aren't stored.
    case writes
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
    /// Something is wrong, told each time it shows; for counting, and the first time for the log.
    func redisComplained(_ complaint: RedisComplaint, about use: RedisUse, at now: Instant)
    /// What was wrong goes well.
    func redisRecovered(_ use: RedisUse, at now: Instant)
    /// Redis came into use (nil), or went out of use and why; for the log.
    func redisChanged(_ problem: String?)
}
