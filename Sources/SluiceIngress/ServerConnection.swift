package import SluiceCore
import SluiceHTTP
package import SluiceIO
import SluiceTLS

/// A client's connection: what both HTTP versions have in common.
///
/// Subclasses speak the protocol. One timer watches over slowness (``deadline``); it is set
/// lazily, so that a busy connection doesn't touch the wheel for every request.
@safe
package class ServerConnection: ExchangeHost, StreamHandler, TimerTarget {
    /// The connection's bytes.
    package let stream: TCPStream
    /// What the connection was accepted by.
    package let listener: IngressListener
    /// Held while the connection is open: an unowned reference would be checked on every event.
    let handler: any RequestHandler
    /// Its place among all that its listener has accepted.
    let number: Int

    private var timer = TimerID.none
    private var timerDeadline = Instant.distantFuture
    /// When a head began to arrive that has not ended yet.
    var headStarted: Instant?
    /// When the last exchange ended, or the connection began.
    var idleSince: Instant
    /// Since when body progress is being measured, and how many bytes have come since.
    ///
    /// HTTP/1.1 only: over HTTP/2 a stream may rest between messages, and a single request's
    /// body is bound by its deadline.
    var bodyMark: Instant?
    var bodyBytes = 0
    var isDraining = false
    private(set) var isClosed = false

    init(stream: TCPStream, listener: IngressListener, number: Int) {
        self.stream = stream
        self.number = number
        self.listener = listener
        handler = listener.handler
        idleSince = stream.loop.now
        clientText = KeptBytes(stream.peer.host)
        identityText = KeptBytes(stream.tls?.peerIdentity ?? "")
        super.init(arena: listener.arena)
    }

    private let clientText: KeptBytes
    private let identityText: KeptBytes

    package override var clientBytes: UnsafeRawBufferPointer { unsafe clientText.bytes }
    override var isSecure: Bool { listener.isSecure }
    override var clientIdentity: UnsafeRawBufferPointer? {
        unsafe identityText.bytes.isEmpty ? nil : identityText.bytes
    }
    override var isTLS13: Bool { stream.tls?.isTLS13 ?? false }
    override var maxHeaderBytes: Int { listener.limits.maxHeaderBytes }
    override var bodyTimeout: Int64 { listener.pace.body }
    override var crossOrigin: CrossOriginPolicy? { listener.crossOrigin }

    /// `1.1` or `2`.
    package var versionText: StaticString { "" }

    /// How many exchanges are open.
    package var openExchangeCount: Int { 0 }

    // MARK: - Stream events

    package func streamOpened(_ stream: TCPStream) {}
    package func streamReceived(_ bytes: UnsafeRawBufferPointer) {}
    package func streamEnded() {}
    package var streamOutput: UnsafeRawBufferPointer {
        unsafe UnsafeRawBufferPointer(start: nil, count: 0)
    }
    package func streamWrote(_ count: Int) {}
    package func streamBlocked() { rearm() }

    package func streamFailed(_ failure: StreamFailure) { closed(.clientGone) }

    // MARK: - Closing

    /// Tells every open exchange that it is dead.
    func abortAll(_ reason: AbortReason) {}

    /// Closes at once; open exchanges are told `reason`.
    package func close(_ reason: AbortReason) {
        guard !isClosed else { return }
        stream.close()
        closed(reason)
    }

    private func closed(_ reason: AbortReason) {
        guard !isClosed else { return }
        isClosed = true
        stream.loop.cancelTimer(&timer)
        abortAll(reason)
        listener.connectionClosed(self)
    }

    /// Lets what is written reach the client, then closes; a client that does not read it is
    /// waited for no longer than for any other answer.
    func finish() {
        guard !isClosed else { return }
        isClosed = true
        stream.loop.cancelTimer(&timer)
        abortAll(.clientGone)
        listener.connectionClosed(self)
        stream.finish(progressTimeout: listener.limits.bodyTimeout)
    }

    /// Begins to wind down: no new requests; `isFinal` after the client has had time to notice.
    package func drain(isFinal: Bool) { isDraining = true }

    /// Ends a connection that rests now; HTTP/1.1 with its exchange, if there is one.
    func endRest() {
        if isResting {
            drain(isFinal: true)
            finish()
        } else if self is HTTP1ServerConnection {
            drain(isFinal: false)
        }
    }

    /// Ends a connection that rests, for its descriptor: at once, where nobody needs to be told.
    func endNow() {
        drain(isFinal: true)
        if stream.tls != nil { finish() } else { close(.drained) }
    }

    /// Whether neither side has anything left to say.
    var isResting: Bool {
        openExchangeCount == 0 && headStarted == nil && stream.blockedSince == nil
    }

    // MARK: - Slowness

    /// When the connection will have been too slow, as things stand, and what to call that.
    func deadline() -> (at: Instant, reason: AbortReason) {
        let pace = listener.pace
        var earliest = (at: Instant.distantFuture, reason: AbortReason.tooSlow)
        if let blocked = stream.blockedSince {
            // A client that reads a little at a time is slow, not stuck.
            earliest.at = max(blocked, stream.lastProgress)
                .advanced(byNanoseconds: pace.body)
        }
        if let headStarted {
            earliest.at = min(earliest.at, headStarted.advanced(byNanoseconds: pace.head))
        }
        if let bodyMark {
            earliest.at = min(earliest.at, bodyMark.advanced(byNanoseconds: pace.body))
        }
        if openExchangeCount == 0, headStarted == nil {
            earliest.at = min(earliest.at, idleSince.advanced(byNanoseconds: pace.idle))
        }
        return earliest
    }

    /// Moves the timer forward if slowness is now due earlier than it is set.
    ///
    /// Later deadlines are found when the timer fires, so a busy connection rarely pays here.
    func rearm() {
        guard !isClosed else { return }
        let wanted = deadline().at
        guard wanted < timerDeadline else { return }
        stream.loop.cancelTimer(&timer)
        timerDeadline = wanted
        timer = stream.loop.setTimer(at: wanted, target: self, tag: 0)
    }

    package func timerFired(_ tag: UInt, at now: Instant) {
        timer = .none
        timerDeadline = .distantFuture
        let (due, reason) = deadline()
        guard due <= now else {
            rearm()
            return
        }
        if let bodyMark, bodyMark + listener.limits.bodyTimeout <= now,
            stream.blockedSince == nil, isHeldBack || isBodyFastEnough(since: bodyMark, now)
        {
            self.bodyMark = now
            bodyBytes = 0
            rearm()
            return
        }
        tooSlow(reason)
    }

    /// At least 1 KiB a second over the last `bodyTimeout`.
    private func isBodyFastEnough(since mark: Instant, _ now: Instant) -> Bool {
        Double(bodyBytes) >= 1024 * (now - mark).inSeconds
    }

    /// Ends a connection that has been idle, or too slow.
    func tooSlow(_ reason: AbortReason) {
        if isResting {
            drain(isFinal: true)
            finish()
        } else {
            listener.count(slowness)
            close(reason)
        }
    }

    /// What to call the slowness that is due now.
    private var slowness: AbuseReason {
        if stream.blockedSince != nil { return .slowReader }
        return headStarted != nil ? .slowHead : .slowBody
    }

    /// Whether body bytes wait for the backend, so that their slowness isn't the client's.
    var isHeldBack: Bool { false }

    /// Notes a piece of a request body.
    func countBody(_ count: Int) {
        bodyBytes += count
        if bodyMark == nil { bodyMark = stream.loop.now }
    }
}
