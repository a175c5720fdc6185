/// What an ``HTTP1Session`` has to tell its owner.
@safe
package enum HTTP1Event {
    /// A request (server) or final response (client) began; the block is the receiver's to return.
    case head(FieldBlock, endStream: Bool)
    /// An interim response (1xx); the block is the receiver's to return.
    case interim(FieldBlock)
    /// Body bytes, borrowed until the next call; there may be none when the stream ends.
    case data(UnsafeRawBufferPointer, endStream: Bool)
    /// Trailers ended the peer's side; the block is the receiver's to return.
    case trailers(FieldBlock)
    /// That many bytes that ``HTTP1Session/send(_:endStream:)`` owed have left for the socket.
    case drained(Int)
}
