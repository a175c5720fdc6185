package import SluiceCore
package import SluiceHTTP
package import SluiceIO
package import SluiceTLS

/// Where a pool's connections go, and what they speak.
package struct Endpoint: Sendable {
    /// Which HTTP the backend understands.
    package enum HTTPVersionPolicy: Sendable {
        case http1
        /// HTTP/2 by prior knowledge, or by ALPN under TLS.
        case http2
        /// Whatever ALPN settles (TLS only).
        case negotiated
    }

    package var address: SocketAddress
    /// Further addresses of the same peer, tried in their order when connecting to the one before
    /// fails; what answered is tried first from then on.
    package var alternates: [SocketAddress] = []
    package var httpVersion: HTTPVersionPolicy
    /// The context for `https` backends.
    package var tls: TLSClientContext?
    /// The name to verify and to send as SNI.
    package var serverName: String
    package var connectTimeout = Duration.seconds(1)
    package var maxHeaderBytes = 64 << 10
    /// How long an HTTP/1.1 connection may rest before it is closed.
    ///
    /// Below what servers grant (uvicorn 5 s), so that ours is the side that closes: a request never
    /// meets a connection that its backend is giving up.
    package var idleTimeout = Duration.seconds(4)
    /// How long an HTTP/2 connection may rest; there a server says which requests it hasn't begun.
    package var multiplexedIdleTimeout = Duration.seconds(60)
    /// Connections one worker opens, at most; over HTTP/1.1 this bounds its calls under way.
    package var maxConnections = 1024

    /// An endpoint with default limits.
    package init(
        address: SocketAddress,
        httpVersion: HTTPVersionPolicy,
        tls: TLSClientContext?,
        serverName: String
    ) {
        self.address = address
        self.httpVersion = httpVersion
        self.tls = tls
        self.serverName = serverName
    }
}

/// One worker's connections to one backend.
@safe
package final class ConnectionPool: TimerTarget {
    /// What ``acquire(_:)`` found.
    @safe
    package enum Acquisition {
        /// Begin the call on this connection now; unmanaged, as the pool keeps it.
        case ready(Unmanaged<ClientConnection>)
        /// The receiver will hear when a connection is there.
        case waiting
        /// Too many wait already.
        case full
    }

    let loop: EventLoop
    let arena: HTTPArena
    /// Where the connections go.
    package let endpoint: Endpoint
    unowned let receiver: any ResponseReceiver
    /// Told the outcome of every attempt to connect: nil, or what went wrong.
    package var connectOutcome: ((String?) -> Void)?
    /// Told when a connection is given up because its backend left a PING unanswered.
    package var keepAliveTimedOut: (() -> Void)?

    private var multiplexed: [HTTP2ClientConnection] = []
    private var retiring: [Int: ClientConnection] = [:]
    private var idle: [HTTP1ClientConnection] = []
    private var busy: [HTTP1ClientConnection] = []
    private var connecting: [Int: ConnectAttempt] = [:]
    /// Attempts so far.
    ///
    /// Connections bear the number of theirs, so that a walk over all of them has
    /// the same order in every run.
    private var attemptCount = 0
    /// Which of the endpoint's addresses connecting begins with: the one that answered last.
    var preferredAddress = 0
    private var waiting: [UnsafeMutableRawPointer] = unsafe []
    private var isServing = false
    /// Whether a reload has replaced the pool: requests older than that are served to their end.
    private var isRetired = false
    private var isClosed = false
    private var idleTimer = TimerID.none

    /// Calls that may wait for a connection, at most.
    package static let waitingMaximum = 4096
    // An HTTP/2 connection that has rested for so long is looked at before a call begins on it. One in
    // steady use needs none: of what it ends, GOAWAY says which calls another may take.
    private static let restWorthALook = Duration.milliseconds(20)

    /// A pool without connections; they are made when calls need them.
    package init(
        loop: EventLoop,
        arena: HTTPArena,
        endpoint: Endpoint,
        receiver: any ResponseReceiver
    ) {
        self.loop = loop
        self.arena = arena
        self.endpoint = endpoint
        self.receiver = receiver
    }

    /// How many connections stand.
    package var connectionCount: Int {
        multiplexed.count + idle.count + busy.count + retiring.count
    }

    // MARK: - Calls

    /// Finds a connection for a call, or makes it wait for one.
    package func acquire(_ context: UnsafeMutableRawPointer) -> Acquisition {
        if unsafe waiting.isEmpty, let connection = unsafe takeReady() {
            return unsafe .ready(connection)
        }
        guard unsafe waiting.count < ConnectionPool.waitingMaximum, !isClosed else { return .full }
        unsafe waiting.append(context)
        connectIfNeeded()
        return .waiting
    }

    /// Makes a waiting call forget that it waits.
    package func cancelWaiting(_ context: UnsafeMutableRawPointer) {
        unsafe waiting.removeAll { unsafe $0 == context }
    }

    private func takeReady() -> Unmanaged<ClientConnection>? {
        for index in multiplexed.indices
        where multiplexed[index].hasRoom && !hasNews(multiplexed[index]) {
            return unsafe .passUnretained(multiplexed[index])
        }
        while let connection = idle.popLast() {
            guard connection.hasRoom, isFresh(connection) else {
                // It still sends, or the backend speaks unasked or has ended it: not for another call.
                connection.close(.connectionLost("the connection isn't idle"))
                continue
            }
            connection.busyPlace = busy.count
            busy.append(connection)
            return unsafe .passUnretained(connection)
        }
        return nil
    }

    /// Whether a connection that was kept is still there, as far as can be seen from here.
    ///
    /// A backend that ends one, without having said so, does it as often right behind an answer as
    /// after a rest, and what isn't idempotent couldn't go again: so each is looked at.
    private func isFresh(_ connection: HTTP1ClientConnection) -> Bool {
        guard connection.isKept else { return true }
        return loop.now - connection.idleSince < endpoint.idleTimeout && connection.stream.isQuiet
    }

    /// Whether an HTTP/2 connection that rested has something to say, its end perhaps, that the loop
    /// hasn't come to yet; calls that wait meanwhile are served once it has.
    private func hasNews(_ connection: HTTP2ClientConnection) -> Bool {
        connection.openCallCount == 0
            && loop.now - connection.idleSince >= ConnectionPool.restWorthALook
            && !connection.stream.isQuiet
    }

    /// Closes the connections that rest: one of them turned out to be dead.
    package func dropIdle() {
        for connection in idle { connection.close(.connectionLost("another one was dead")) }
    }

    /// One connection for HTTP/2 until its streams are used up; one for each call over HTTP/1.1.
    private func connectIfNeeded() {
        let standing = connectionCount + connecting.count
        guard standing < endpoint.maxConnections else { return }
        let perConnection = endpoint.httpVersion == .http1 ? 1 : 100
        guard unsafe connecting.count * perConnection < waiting.count else { return }
        attemptCount += 1
        let attempt = ConnectAttempt(pool: self, number: attemptCount)
        connecting[attempt.number] = attempt
        attempt.start()
    }

    private func serveWaiting() {
        guard !isServing else { return }
        isServing = true
        defer { isServing = false }
        while unsafe !waiting.isEmpty, let connection = unsafe takeReady()?.takeUnretainedValue() {
            // Out of the line before it is told: what it does then may change the line.
            let context = unsafe waiting.removeFirst()
            unsafe receiver.callReady(context, connection)
            // A receiver that changed its mind leaves the connection unused.
            if let single = connection as? HTTP1ClientConnection, single.hasRoom {
                removeBusy(single)
                idle.append(single)
                armIdleTimer()
            }
        }
        if unsafe !waiting.isEmpty { connectIfNeeded() }
        closeUnneeded()
    }

    /// A retired pool keeps nothing for later.
    private func closeUnneeded() {
        guard isRetired, unsafe waiting.isEmpty else { return }
        for connection in idle { connection.close(.connectionLost("the backend was removed")) }
        for connection in multiplexed { connection.retire() }
        for attempt in ConnectionPool.inOrder(connecting) { attempt.cancel() }
        connecting.removeAll()
    }

    // MARK: - What connections report

    func connected(_ attempt: ConnectAttempt, isHTTP2: Bool) {
        connecting[attempt.number] = nil
        let stream = attempt.stream
        connectOutcome?(nil)
        if isHTTP2 {
            guard let stream else { return }
            let connection = HTTP2ClientConnection(
                stream: stream,
                pool: self,
                number: attempt.number
            )
            stream.handler = connection
            multiplexed.append(connection)
        } else {
            guard let stream else { return }
            let connection = HTTP1ClientConnection(
                stream: stream,
                pool: self,
                number: attempt.number
            )
            stream.handler = connection
            idle.append(connection)
        }
        armIdleTimer()
        serveWaiting()
    }

    func connectFailed(_ attempt: ConnectAttempt, _ reason: String) {
        connecting[attempt.number] = nil
        connectOutcome?(reason)
        // Whoever waits goes elsewhere at once; waiting for another try would only add delay.
        let refused = unsafe waiting
        unsafe waiting.removeAll()
        for index in unsafe refused.indices {
            unsafe receiver.connectFailed(refused[index], .connectFailed(reason))
        }
    }

    func roomAppeared() {
        if unsafe !waiting.isEmpty { serveWaiting() }
    }

    func becameIdle(_ connection: HTTP1ClientConnection) {
        removeBusy(connection)
        idle.append(connection)
        if idleTimer == .none { armIdleTimer() }
        roomAppeared()
        closeUnneeded()
    }

    /// The last one takes its place.
    private func removeBusy(_ connection: HTTP1ClientConnection) {
        guard let place = connection.busyPlace else { return }
        connection.busyPlace = nil
        let last = busy.removeLast()
        guard last !== connection else { return }
        busy[place] = last
        last.busyPlace = place
    }

    func connectionRetired(_ connection: HTTP2ClientConnection) {
        guard let index = multiplexed.firstIndex(where: { $0 === connection }) else { return }
        multiplexed.remove(at: index)
        retiring[connection.number] = connection
        if unsafe !waiting.isEmpty { connectIfNeeded() }
    }

    func connectionClosed(_ connection: ClientConnection) {
        multiplexed.removeAll { $0 === connection }
        idle.removeAll { $0 === connection }
        if let single = connection as? HTTP1ClientConnection { removeBusy(single) }
        retiring[connection.number] = nil
        if unsafe !waiting.isEmpty { connectIfNeeded() }
    }

    private static func inOrder<Value>(_ table: [Int: Value]) -> [Value] {
        table.sorted { $0.key < $1.key }.map(\.value)
    }

    // MARK: - Age

    /// Sets the timer to when the first of the connections that rest has rested long enough.
    ///
    /// Once for each time it fires: connections that are busy in between are looked at again then.
    private func armIdleTimer() {
        guard idleTimer == .none, !isRetired else { return }
        var due = Instant.distantFuture
        for connection in idle { due = min(due, connection.idleSince + endpoint.idleTimeout) }
        for connection in multiplexed {
            let rest = connection.openCallCount == 0 ? connection.idleSince : loop.now
            due = min(due, rest + endpoint.multiplexedIdleTimeout)
        }
        guard due < .distantFuture else { return }
        idleTimer = loop.setTimer(at: due, target: self, tag: 0)
    }

    package func timerFired(_ tag: UInt, at now: Instant) {
        idleTimer = .none
        for connection in idle where connection.idleSince + endpoint.idleTimeout <= now {
            connection.close(.connectionLost("idle"))
        }
        for connection in multiplexed
        where connection.openCallCount == 0
            && connection.idleSince + endpoint.multiplexedIdleTimeout <= now
        { connection.close(.connectionLost("idle")) }
        armIdleTimer()
    }

    /// Winds down: calls that wait or are under way end well, and so do those that requests older
    /// than the reload still make; everything else is closed.
    package func close() {
        isRetired = true
        loop.cancelTimer(&idleTimer)
        closeUnneeded()
    }

    /// Closes everything at once; calls that wait for a connection are forgotten.
    package func closeAll() {
        isClosed = true
        unsafe waiting.removeAll()
        close()
        let reason = CallFailure.connectionLost("the gateway is shutting down")
        for connection in busy { connection.close(reason) }
        for connection in multiplexed { connection.close(reason) }
        for connection in ConnectionPool.inOrder(retiring) { connection.close(reason) }
    }
}
