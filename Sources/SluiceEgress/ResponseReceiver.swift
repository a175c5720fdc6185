package import SluiceHTTP

/// Why a call to a backend came to nothing, or broke off.
package enum CallFailure: Error, Sendable {
    /// No connection could be made; nothing was sent.
    case connectFailed(String)
    /// Too many calls wait for a connection already; nothing was sent.
    case poolFull
    /// The backend said that it has not begun (REFUSED_STREAM, or GOAWAY before this stream).
    case refused
    /// The backend reset the call.
    case reset(HTTP2ErrorCode)
    /// We reset the call, for what the backend sent.
    case resetByUs(HTTP2ErrorCode, String)
    /// The connection broke or was closed in the middle.
    case connectionLost(String)
    /// A kept connection turned out dead: it had answered before, and broke without a word since
    /// the call began. The backend may have seen the request all the same.
    case staleConnection(String)
    /// The backend's answer wasn't HTTP.
    case malformed(String)

    /// Whether the backend can't have begun to work on it.
    package var isUnprocessed: Bool {
        switch self {
        case .connectFailed, .poolFull, .refused: true
        case .reset, .resetByUs, .connectionLost, .staleConnection, .malformed: false
        }
    }
}

/// Whoever makes calls; called on the pool's loop.
///
/// A ``Call`` is dead once the response's end has arrived and the request's end was given to
/// ``Call/send(_:endStream:)``, whether it has left or not, after ``callFailed(_:_:)``, or after
/// ``Call/cancel()``. A receiver that has its answer before it ended the request cancels.
package protocol ResponseReceiver: AnyObject {
    /// A connection is there for the call that ``ConnectionPool/acquire(_:)`` made wait.
    func callReady(_ context: UnsafeMutableRawPointer, _ connection: ClientConnection)
    /// No connection came for the call that waited.
    func connectFailed(_ context: UnsafeMutableRawPointer, _ failure: CallFailure)
    /// The final response began; the block is the receiver's.
    func responseHead(_ call: Call, _ head: FieldBlock, endStream: Bool)
    /// An interim response; the block is the receiver's.
    func responseInterim(_ call: Call, _ head: FieldBlock)
    /// Body bytes, borrowed; answer with ``Call/consumed(_:)`` when they have moved on.
    func responseBody(_ call: Call, _ bytes: UnsafeRawBufferPointer, endStream: Bool)
    /// Trailers ended the response; the block is the receiver's.
    func responseTrailers(_ call: Call, _ trailers: FieldBlock)
    /// That many request bytes that ``Call/send(_:endStream:)`` left over have moved on.
    func requestDrained(_ call: Call, _ count: Int)
    /// The call broke; it is dead.
    func callFailed(_ call: Call, _ failure: CallFailure)
}

/// One request under way to a backend: a handle, dead after the events named in
/// ``ResponseReceiver``.
@safe
package struct Call: BitwiseCopyable {
    private let holder: Unmanaged<ClientConnection>
    let stream: HTTP2Stream?

    init(_ connection: ClientConnection, _ stream: HTTP2Stream?) {
        unsafe holder = .passUnretained(connection)
        self.stream = stream
    }

    /// The connection it goes over.
    package var connection: ClientConnection { unsafe holder._withUnsafeGuaranteedRef { $0 } }

    /// The word given to ``ClientConnection/begin(_:endStream:context:)``.
    package var context: UnsafeMutableRawPointer? {
        if let stream { return unsafe stream.context }
        return unsafe holder._withUnsafeGuaranteedRef { unsafe $0.context }
    }

    /// Gives the call another word: its events are somebody else's from here on.
    package func hand(to context: UnsafeMutableRawPointer) {
        if let stream {
            unsafe stream.context = context
        } else {
            unsafe holder._withUnsafeGuaranteedRef { unsafe $0.context = context }
        }
    }

    // A guaranteed reference, rather than `connection`, saves counting it up and down.

    /// Sends request body; returns how many bytes moved on at once, the rest is reported later.
    package func send(_ bytes: UnsafeRawBufferPointer, endStream: Bool) -> Int {
        unsafe holder._withUnsafeGuaranteedRef {
            unsafe $0.send(bytes, endStream: endStream, on: stream)
        }
    }

    /// Ends the request with trailers; takes the block.
    package func sendTrailers(_ trailers: FieldBlock) {
        unsafe holder._withUnsafeGuaranteedRef { $0.sendTrailers(trailers, on: stream) }
    }

    /// Says that `count` bytes of the response's body have moved on.
    package func consumed(_ count: Int) {
        unsafe holder._withUnsafeGuaranteedRef { $0.consumed(count, by: stream) }
    }

    /// Gives the call up: RST_STREAM, or the connection's end over HTTP/1.1.
    package func cancel() { unsafe holder._withUnsafeGuaranteedRef { $0.cancel(stream) } }
}
