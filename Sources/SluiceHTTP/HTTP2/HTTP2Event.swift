/// What an ``HTTP2Session`` has to tell its owner.
@safe
package enum HTTP2Event {
    /// A request (server) or final response (client) began; the block is the receiver's to return.
    case head(HTTP2Stream, FieldBlock, endStream: Bool)
    /// A head larger than our limit began a stream; the block holds the fields that fitted.
    case oversizedHead(HTTP2Stream, FieldBlock, endStream: Bool)
    /// An interim response (1xx); the block is the receiver's to return.
    case interim(HTTP2Stream, FieldBlock)
    /// Body bytes, borrowed until the next call; answer with ``HTTP2Session/consumed(_:by:)``.
    case data(HTTP2Stream, UnsafeRawBufferPointer, endStream: Bool)
    /// Trailers ended the peer's side; the block is the receiver's to return.
    case trailers(HTTP2Stream, FieldBlock)
    /// The stream is over: the peer reset it, or broke the rules and we did (``HTTP2Stream/fault``).
    case reset(HTTP2Stream, HTTP2ErrorCode)
    /// That many bytes handed to ``HTTP2Session/send(_:endStream:on:)`` have left the queue.
    case drained(HTTP2Stream, Int)
    /// The peer opens no more than it has, and won't process streams above `last`.
    case goAway(last: UInt32, HTTP2ErrorCode)
    /// The peer's first SETTINGS arrived, or later ones changed its limits.
    case settings
}
