import SluiceCore
import SluiceHTTP
import SluiceIO

/// A client's HTTP/1.1 connection: one exchange after the other.
@safe
final class HTTP1ServerConnection: ServerConnection {
    private var session: HTTP1Session
    private var isProcessing = false
    private var needsProcessing = false
    private var isOpen = false
    private var isRequestEnded = false
    private var unconsumed = 0
    /// Whether the client has closed its sending side.
    private var hasClientEnded = false

    // Body bytes the handler may have in hand before we stop reading.
    private static let bodyHighWater = 256 << 10

    override init(stream: TCPStream, listener: IngressListener, number: Int) {
        session = HTTP1Session(
            role: .server,
            arena: listener.arena,
            maxHeadBytes: listener.limits.maxHeaderBytes,
            isSecure: stream.tls != nil
        )
        super.init(stream: stream, listener: listener, number: number)
        headStarted = stream.loop.now
    }

    override var versionText: StaticString { "1.1" }
    override var openExchangeCount: Int { isOpen ? 1 : 0 }
    override var isHeldBack: Bool { unconsumed > 0 }

    // MARK: - Exchanges

    override func sendHead(_ head: FieldBlock, endStream: Bool, on stream: HTTP2Stream?) {
        if isDraining { session.closeAfterThisExchange() }
        session.sendHead(head, endStream: endStream)
        self.stream.scheduleFlush()
        if endStream { responseEnded() }
    }

    override func send(
        _ bytes: UnsafeRawBufferPointer,
        endStream: Bool,
        on stream: HTTP2Stream?
    ) -> Int {
        let sent = unsafe session.send(bytes, endStream: endStream)
        self.stream.scheduleFlush()
        if endStream { responseEnded() }
        return sent
    }

    override func sendTrailers(_ trailers: FieldBlock, on stream: HTTP2Stream?) {
        session.sendTrailers(trailers)
        self.stream.scheduleFlush()
        responseEnded()
    }

    override func consumed(_ count: Int, by stream: HTTP2Stream?) {
        unconsumed = max(0, unconsumed - count)
        updateReading()
    }

    override func hasWholeBody(of stream: HTTP2Stream?) -> Bool { session.hasWholeBody }

    override func releaseBody(of stream: HTTP2Stream?) {
        guard unconsumed > 0, !isClosed else { return }
        unconsumed = 0
        updateReading()
    }

    override var expectsContinue: Bool { session.expectsContinue }

    override func sendContinue(on stream: HTTP2Stream?) {
        if session.expectsContinue {
            awaitBody()
            // It may be said long after the head came.
            rearm()
        }
        session.sendContinue()
        self.stream.scheduleFlush()
    }

    override func abort(_ stream: HTTP2Stream?, _ code: HTTP2ErrorCode) {
        unsafe context = nil
        if session.endsByClosing {
            // An HTTP/1.0 client has no other way to tell a part from the whole (RFC 9112 §8).
            self.stream.reset()
            close(.clientGone)
            return
        }
        // What was said of the answer goes out first, and earlier answers with it: a client whose
        // connection ends without a word takes its request for unseen and may send it again.
        finish()
    }

    /// The body is the client's turn from now on, and it may never begin.
    private func awaitBody() {
        bodyMark = stream.loop.now
        bodyBytes = 0
    }

    private func responseEnded() {
        unsafe context = nil
        isOpen = false
        unconsumed = 0
        idleSince = stream.loop.now
        bodyMark = nil
        // The client may never say another word; being idle has to be noticed all the same.
        rearm()
        // Bytes of the next request may lie in the session; the stack above may be its own.
        needsProcessing = true
    }

    private func updateReading() {
        stream.setReading(
            session.wantsInput && unconsumed < HTTP1ServerConnection.bodyHighWater
        )
    }

    // MARK: - Stream events

    override func streamReceived(_ bytes: UnsafeRawBufferPointer) {
        // Finished, and the last words wait for the client to read: nobody listens any more.
        guard !isClosed else { return }
        unsafe session.receive(bytes)
        process()
        headStarted = session.isReceivingHead ? headStarted ?? stream.loop.now : nil
        rearm()
    }

    override func streamEnded() {
        hasClientEnded = true
        guard !classifyEnd() else { return }
        if isOpen || session.output.isEmpty {
            close(.clientGone)
        } else {
            // The last answer is still on its way.
            finish()
        }
    }

    /// Tells a client that has said all it will from one that is gone.
    ///
    /// Behind a whole request that is the connection's last, a FIN may only close the sending side
    /// (RFC 9112 §9.6): the answer is still read. Behind anything else the client is taken to be
    /// gone: the answer would not be read, and a model's time is dear. Requests that wait for the
    /// answer to the one before them came before the FIN, so it is judged behind the last of them.
    ///
    /// False when it is gone.
    private func classifyEnd() -> Bool {
        if isClosed || !session.wantsInput { return true }
        guard isOpen, isRequestEnded, session.isRequestTheLast else { return false }
        session.closeAfterThisExchange()
        return true
    }

    override var streamOutput: UnsafeRawBufferPointer {
        if needsProcessing { process() }
        return unsafe session.output.bytes
    }

    override func streamWrote(_ count: Int) {
        session.output.consume(count)
        process()
        if stream.blockedSince != nil { rearm() }
    }

    private func process() {
        guard !isProcessing, !isClosed else { return }
        isProcessing = true
        defer { isProcessing = false }
        do throws(HTTP1Failure) {
            repeat {
                needsProcessing = false
                while let event = try session.nextEvent() {
                    handle(event)
                    if isClosed { return }
                }
            } while needsProcessing
        } catch {
            refuse(error)
            return
        }
        if session.shouldClose, !isOpen {
            finish()
            return
        }
        // Called while output is taken, so the connection can't be closed on the spot.
        if hasClientEnded, !classifyEnd() {
            finish()
            return
        }
        updateReading()
    }

    private func handle(_ event: HTTP1Event) {
        switch event {
        case .head(let head, let endStream):
            isOpen = true
            isRequestEnded = endStream
            // A client that waits for 100 (Continue) isn't slow while it isn't told.
            if !endStream, !session.expectsContinue { awaitBody() }
            handler.requestBegan(Exchange(self, nil), head, endStream: endStream)
        case .data(let bytes, let endStream):
            countBody(bytes.count)
            if endStream { bodyMark = nil }
            isRequestEnded = endStream
            guard unsafe context != nil else { return }
            unconsumed += bytes.count
            unsafe handler.requestBody(Exchange(self, nil), bytes, endStream: endStream)
        case .trailers(let trailers):
            bodyMark = nil
            isRequestEnded = true
            guard unsafe context != nil else {
                arena.blocks.give(trailers)
                return
            }
            handler.requestTrailers(Exchange(self, nil), trailers)
        case .drained(let count):
            if unsafe context != nil { handler.responseDrained(Exchange(self, nil), count) }
        case .interim(let block): arena.blocks.give(block)
        }
    }

    /// Answers what isn't HTTP/1.1 and closes: after a framing error nothing can be trusted.
    private func refuse(_ failure: HTTP1Failure) {
        let wasOpen = isOpen
        if failure.kind == .headTooLarge || failure.kind == .uriTooLong {
            listener.count(.largeHead)
        }
        handler.requestUnreadable(self, status: failure.status, sentence: failure.sentence)
        abortAll(.protocolError)
        // A body that breaks off in nonsense is told so as well, if its answer hasn't begun.
        if !wasOpen || session.owesWholeAnswer, failure.status > 0 {
            session.output.append(
                HTTP1Failure.answer(status: failure.status, sentence: failure.sentence)
            )
        }
        finish()
    }

    // MARK: - Closing

    override func abortAll(_ reason: AbortReason) {
        guard isOpen else { return }
        isOpen = false
        if unsafe context != nil { handler.requestAborted(Exchange(self, nil), reason) }
        unsafe context = nil
    }

    override func tooSlow(_ reason: AbortReason) {
        if headStarted != nil, !isOpen, session.isReceivingHead {
            listener.count(.slowHead)
            session.output.append(
                HTTP1Failure.answer(status: 408, sentence: "the request's head came too slowly")
            )
            finish()
        } else {
            super.tooSlow(reason)
        }
    }

    // Whoever used a connection within this time may be about to use it again: closing it under a
    // request on its way would fail that request, while its answer can say `connection: close`.
    private static let quiet = Duration.seconds(1).nanoseconds

    override func drain(isFinal: Bool) {
        super.drain(isFinal: isFinal)
        rearm()
    }

    override func deadline() -> (at: Instant, reason: AbortReason) {
        var earliest = super.deadline()
        if isDraining, session.isIdle {
            earliest.at = min(
                earliest.at,
                idleSince.advanced(byNanoseconds: HTTP1ServerConnection.quiet)
            )
        }
        return earliest
    }
}
