import SluiceCore
import SluiceHTTP

/// What is held of a request's body, and what its client has heard of it; part of its ``RequestRecord``.
@safe
struct RequestBody: BitwiseCopyable {
    /// Bytes that can't be passed on yet.
    var buffered = PooledBytes()
    var trailers: FieldBlock?
    /// Bytes that count as taken already, though they are held.
    var acknowledged = 0
    /// Bytes of what is kept to be sent once more that the client has been told have moved on.
    var replayAcknowledged = 0
    /// When the last byte went on; zero where it was there from the start, or isn't yet.
    var ended = Instant.zero
}

extension UnsafeRawBufferPointer {
    /// No bytes.
    static var empty: UnsafeRawBufferPointer {
        unsafe UnsafeRawBufferPointer(start: nil, count: 0)
    }
}
