import SluiceCore
package import SluiceHTTP
package import SluiceIO

/// A connection to a backend: what both HTTP versions have in common.
@safe
package class ClientConnection: StreamHandler {
    let stream: TCPStream
    /// Kept alive: a pool that was replaced by a reload still hears of its last connections.
    let pool: ConnectionPool
    /// Held while the connection is open: an unowned reference would be checked on every event.
    let receiver: any ResponseReceiver
    let arena: HTTPArena
    /// Its place among all that its pool has made.
    let number: Int
    private(set) var isClosed = false
    /// What a request's head may count for here (``FieldBlock/listSize``), once the backend has said so.
    package final internal(set) var headListMaximum = Int.max
    /// The caller's word for the one call of an HTTP/1.1 connection.
    var context: UnsafeMutableRawPointer?
    /// When the connection last became idle.
    var idleSince: Instant

    init(stream: TCPStream, pool: ConnectionPool, number: Int) {
        self.stream = stream
        self.number = number
        self.pool = pool
        receiver = pool.receiver
        arena = pool.arena
        idleSince = stream.loop.now
        unsafe context = nil
    }

    /// Whether responses come over HTTP/2.
    package var isHTTP2: Bool { false }
    /// Whether it has answered a call before.
    package var isKept: Bool { false }
    /// Whether it has answered a call before, and has said nothing since those under way began.
    var isSilentAgain: Bool { false }
    /// How many calls are under way.
    package var openCallCount: Int { 0 }
    /// Whether another call can begin now.
    var hasRoom: Bool { false }

    /// Begins a call with its request head; takes the block unless `keepsHead` leaves it to the
    /// caller, who may want to send it again elsewhere.
    package func begin(
        _ head: FieldBlock,
        endStream: Bool,
        keepsHead: Bool = false,
        context: UnsafeMutableRawPointer
    ) -> Call? {
        if !keepsHead { arena.blocks.give(head) }
        return nil
    }

    /// Begins a call with a head like one that this connection has sent before; nil when it has to begin
    /// the long way, and then nothing has happened.
    ///
    /// The head as it came stays the caller's.
    package func begin(
        repeating head: RepeatedHead,
        endStream: Bool,
        context: UnsafeMutableRawPointer
    ) -> Call? { nil }

    func send(_ bytes: UnsafeRawBufferPointer, endStream: Bool, on stream: HTTP2Stream?) -> Int {
        0
    }
    func sendTrailers(_ trailers: FieldBlock, on stream: HTTP2Stream?) {}
    func consumed(_ count: Int, by stream: HTTP2Stream?) {}
    func cancel(_ stream: HTTP2Stream?) {}

    // MARK: - Stream events

    package func streamOpened(_ stream: TCPStream) {}
    package func streamReceived(_ bytes: UnsafeRawBufferPointer) {}
    package func streamEnded() { close(lost("the backend closed the connection")) }
    package var streamOutput: UnsafeRawBufferPointer {
        unsafe UnsafeRawBufferPointer(start: nil, count: 0)
    }
    package func streamWrote(_ count: Int) {}

    package func streamFailed(_ failure: StreamFailure) {
        closed(lost(failure.description))
    }

    /// What to call it that the backend has broken or ended the connection.
    func lost(_ text: String) -> CallFailure {
        isSilentAgain ? .staleConnection(text) : .connectionLost(text)
    }

    // MARK: - Closing

    /// Tells every open call that it has failed.
    func failAll(_ failure: CallFailure) {}

    /// Closes at once; open calls fail with `failure`.
    func close(_ failure: CallFailure) {
        guard !isClosed else { return }
        stream.close()
        closed(failure)
    }

    private func closed(_ failure: CallFailure) {
        guard !isClosed else { return }
        isClosed = true
        pool.connectionClosed(self)
        failAll(failure)
    }
}
