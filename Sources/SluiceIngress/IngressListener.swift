import SluiceCore
package import SluiceHTTP
package import SluiceIO
package import SluiceTLS

/// What a listener allows its clients.
package struct IngressLimits: Sendable {
    /// Bytes of a request's fields, counted as HPACK does.
    package var maxHeaderBytes = 64 << 10
    /// Streams open at once on one HTTP/2 connection.
    package var maxConcurrentStreams = 256
    /// From a head's first byte (or the connection's begin) to its last.
    package var headerTimeout = Duration.seconds(10)
    /// Between requests.
    package var idleTimeout = Duration.seconds(60)
    /// For a body to show progress of 1 KiB a second, and for a client to read.
    package var bodyTimeout = Duration.seconds(30)

    /// The contract's defaults.
    package init() {}
}

/// What an observer may want to count.
package enum ConnectionEvent: Sendable {
    case openedHTTP1, openedHTTP2, closedHTTP1, closedHTTP2, refused, handshakeFailed
    /// Closed at once because the descriptors left are kept in reserve.
    case outOfDescriptors
    /// Closed at once because its address has as many as it may have.
    case crowded
    /// Closed at rest, to make room.
    case evictedIdle
    case abused(AbuseReason)
}

/// One loop's share of a listening address, and the connections it has accepted.
package final class IngressListener {
    /// What clients may do.
    package let limits: IngressLimits
    /// The time limits in nanoseconds, which the hot path adds without 128-bit arithmetic.
    let pace: (head: Int64, body: Int64, idle: Int64)
    /// How the listener is called in metrics: its configured address.
    package let name: String
    /// Which other origins' web pages may read its answers; nil asks for no origin.
    let crossOrigin: CrossOriginPolicy?
    let handler: any RequestHandler
    let arena: HTTPArena
    let loop: EventLoop
    private var tls: TLSServerContext?
    private let count: ConnectionCount
    private let observe: (ConnectionEvent) -> Void
    private var socket: TCPListener?
    private var connections: [Int: ServerConnection] = [:]
    private var starting: [Int: ConnectionStart] = [:]
    /// Connections so far; each bears its number, so that a walk over all of them has the same order
    /// in every run.
    private var acceptedCount = 0
    /// When those that rest may be asked for room again.
    private var roomDue = Instant.zero
    private var isDraining = false
    private var isClosing = false

    /// Opens the socket; call ``start()`` to accept.
    package init(
        loop: EventLoop,
        arena: HTTPArena,
        address: SocketAddress,
        name: String,
        tls: TLSServerContext?,
        limits: IngressLimits,
        crossOrigin: CrossOriginPolicy? = nil,
        count: ConnectionCount,
        sharesPort: Bool = true,
        handler: any RequestHandler,
        observe: @escaping (ConnectionEvent) -> Void
    ) throws(KernelFailure) {
        self.loop = loop
        self.arena = arena
        self.name = name
        self.tls = tls
        self.limits = limits
        self.crossOrigin = crossOrigin
        pace = (
            limits.headerTimeout.nanoseconds, limits.bodyTimeout.nanoseconds,
            limits.idleTimeout.nanoseconds
        )
        self.count = count
        self.handler = handler
        self.observe = observe
        socket = try TCPListener(loop: loop, address: address, sharesPort: sharesPort) {
            [unowned self] descriptor, peer in
            accepted(descriptor, peer)
        }
    }

    /// Where it listens, with the port the kernel chose.
    package var address: SocketAddress? { socket?.address }

    /// Whether connections are encrypted.
    package var isSecure: Bool { tls != nil }

    /// Uses another certificate for connections to come; those that stand keep theirs.
    package func use(_ context: TLSServerContext) { tls = context }

    /// Begins to accept.
    package func start() { socket?.start() }

    /// How many connections are open.
    package var connectionCount: Int { connections.count + starting.count }

    /// Takes a connection; false when accepting should rest for a moment.
    private func accepted(_ descriptor: Int32, _ peer: SocketAddress) -> Bool {
        if count.isShort(descriptor), roomDue <= loop.now {
            roomDue = loop.now + IngressListener.roomInterval
            makeRoom(among: connections.values)
        }
        guard count.admits(descriptor) else {
            observe(.outOfDescriptors)
            loop.kernel.close(descriptor)
            return false
        }
        guard count.enter(peer) else {
            observe(.crowded)
            loop.kernel.close(descriptor)
            return true
        }
        guard count.enter() else {
            count.forget(peer)
            observe(.refused)
            loop.kernel.close(descriptor)
            return true
        }
        let stream = TCPStream(
            loop: loop,
            accepted: descriptor,
            peer: peer,
            tls: tls?.makeSession()
        )
        acceptedCount += 1
        let start = ConnectionStart(stream: stream, listener: self, number: acceptedCount)
        starting[start.number] = start
        stream.handler = start
        stream.start()
        return true
    }

    /// Hands a connection whose protocol is known to its conversation.
    func begin(_ start: ConnectionStart, isHTTP2: Bool, first bytes: UnsafeRawBufferPointer) {
        starting[start.number] = nil
        let stream = start.stream
        let connection =
            isHTTP2
            ? HTTP2ServerConnection(stream: stream, listener: self, number: start.number)
            : HTTP1ServerConnection(stream: stream, listener: self, number: start.number)
        connections[connection.number] = connection
        observe(isHTTP2 ? .openedHTTP2 : .openedHTTP1)
        stream.handler = connection
        // Its first request is in these bytes, and it is answered.
        if isDraining { connection.drain(isFinal: false) }
        unsafe connection.streamReceived(bytes)
        if isClosing { connection.drain(isFinal: true) }
    }

    /// Tells the observer that somebody was cut off.
    func count(_ reason: AbuseReason) { observe(.abused(reason)) }

    /// Tells the observer that a connection at rest makes room for another.
    func evictedIdle() { observe(.evictedIdle) }

    func startFailed(_ start: ConnectionStart, inHandshake: Bool) {
        guard starting.removeValue(forKey: start.number) != nil else { return }
        count.leave(start.stream.peer)
        if inHandshake { observe(.handshakeFailed) }
    }

    func connectionClosed(_ connection: ServerConnection) {
        guard connections.removeValue(forKey: connection.number) != nil else { return }
        count.leave(connection.stream.peer)
        observe(connection is HTTP2ServerConnection ? .closedHTTP2 : .closedHTTP1)
    }

    private var inOrder: [ServerConnection] {
        connections.sorted { $0.key < $1.key }.map(\.value)
    }

    // MARK: - Shortage

    /// Leaves new connections in the kernel's queue while `isHeld`, and lets those that stand end
    /// when they rest: a request under way is answered, and over HTTP/2 further ones as well.
    package func hold(_ isHeld: Bool) {
        guard isHeld else {
            if !isDraining { socket?.start() }
            return
        }
        socket?.pause()
        for connection in inOrder { connection.endRest() }
    }

    // MARK: - Drain

    /// Winds all connections down: `isFinal` false announces, true refuses new requests.
    ///
    /// The socket accepts until the final stage (a socket file is removed then), and what waits in the kernel's queue then is
    /// accepted before it closes: the kernel would reset it.
    package func drain(isFinal: Bool) {
        isDraining = true
        if isFinal {
            isClosing = true
            socket?.acceptWaiting()
            socket?.close()
            socket = nil
        }
        for connection in inOrder { connection.drain(isFinal: isFinal) }
    }

    /// Closes everything that is still open.
    package func closeAll() {
        socket?.close()
        socket = nil
        for start in starting.sorted(by: { $0.key < $1.key }) { start.value.abandon() }
        for connection in inOrder { connection.close(.drained) }
    }
}
