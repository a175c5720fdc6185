/// One reply, copied out of the wire (RESP2: redis.io, "Redis serialization protocol").
package enum RedisReply: Hashable, Sendable {
    /// A simple string: `OK`, `PONG`.
    case status(String)
    /// A refusal of this one command: `OOM …`, `LOADING …`, `READONLY …`.
    case error(String)
    /// A number.
    case integer(Int64)
    /// No such key.
    case null
    /// A value.
    case bytes([UInt8])
    /// Several replies in one.
    case array([RedisReply])
}
