package import SluiceHTTP

/// Why an exchange ended before its answer did.
package enum AbortReason: Sendable {
    /// The client reset the stream or closed the connection.
    case clientGone
    /// The client broke HTTP's rules.
    case protocolError
    /// The body came too slowly, or the client did not read.
    case tooSlow
    /// The gateway's drain time was over.
    case drained
}

/// Whoever answers requests; called on the connection's loop.
///
/// A request is over, and its ``Exchange`` dead, once the answer's end has been sent, once
/// ``requestAborted(_:_:)`` has been called, or once the handler itself has aborted it.
package protocol RequestHandler: AnyObject {
    /// A request began; the block is the handler's to return to the pool or pass on.
    func requestBegan(_ exchange: Exchange, _ head: FieldBlock, endStream: Bool)
    /// Its head was larger than `limits.maxHeaderBytes`; the block holds what fitted.
    func requestOversized(_ exchange: Exchange, _ head: FieldBlock)
    /// Body bytes, borrowed; answer with ``Exchange/consumed(_:)`` when they have moved on.
    func requestBody(_ exchange: Exchange, _ bytes: UnsafeRawBufferPointer, endStream: Bool)
    /// Trailers ended the request; the block is the handler's.
    func requestTrailers(_ exchange: Exchange, _ trailers: FieldBlock)
    /// The exchange is dead.
    func requestAborted(_ exchange: Exchange, _ reason: AbortReason)
    /// That many bytes that ``Exchange/send(_:endStream:)`` left over have moved on.
    func responseDrained(_ exchange: Exchange, _ count: Int)
    /// Bytes that no parser could make a request of were answered with `status`.
    func requestUnreadable(_ connection: ServerConnection, status: Int, sentence: StaticString)
}
