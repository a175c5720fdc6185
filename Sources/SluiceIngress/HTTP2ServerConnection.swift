import SluiceCore
import SluiceHTTP
import SluiceIO

/// A client's HTTP/2 connection: many exchanges at once.
final class HTTP2ServerConnection: ServerConnection {
    private var session: HTTP2Session
    private var isProcessing = false
    private var heard: Instant
    private var asked: Instant?
    /// Which of the session's pieces ``headStarted`` is about.
    private var fragment: UInt64 = 0
    /// When streams are next looked at whose answers wait for the client's window.
    private var sweepDue: Instant?
    /// By when our SETTINGS must be acknowledged; nil when they are.
    private var settingsDue: Instant?

    // A stream that has not moved for this many visits, and since before the first, is given up:
    // after one to one and a half times `bodyTimeout`.
    private static let sweepLimit: UInt8 = 2

    // Control frames and heads beyond this stop us reading until the peer takes its answers.
    private static let floodMark = 1 << 20
    // Silence for which a client with open streams is asked whether it lives, and time to answer.
    private static let silence = Duration.seconds(30).nanoseconds
    private static let answerTime = Duration.seconds(10).nanoseconds

    override init(stream: TCPStream, listener: IngressListener, number: Int) {
        var settings = HTTP2Settings()
        settings.maxConcurrentStreams = listener.limits.maxConcurrentStreams
        settings.maxHeaderListSize = listener.limits.maxHeaderBytes
        session = HTTP2Session(role: .server, arena: listener.arena, settings: settings)
        heard = stream.loop.now
        super.init(stream: stream, listener: listener, number: number)
        // Until the first request is complete the preface and its head are still to come.
        headStarted = stream.loop.now
        settingsDue = heard.advanced(byNanoseconds: HTTP2ServerConnection.answerTime)
    }

    override var versionText: StaticString { "2" }
    // A request that is answered but never ended keeps nothing open. The client isn't told to stop
    // at once, as RFC 9113 §8.1 allows: curl 7.88 then drops the answer it has.
    override var openExchangeCount: Int {
        session.openStreamCount - session.answeredStreamCount
    }

    // MARK: - Exchanges

    override func sendHead(_ head: FieldBlock, endStream: Bool, on stream: HTTP2Stream?) {
        guard let stream else { return }
        session.sendHead(head, endStream: endStream, on: stream)
        self.stream.scheduleFlush()
        if endStream { exchangeEnded() }
    }

    override func send(
        _ bytes: UnsafeRawBufferPointer,
        endStream: Bool,
        on stream: HTTP2Stream?
    ) -> Int {
        guard let stream else { return 0 }
        let sent = unsafe session.send(bytes, endStream: endStream, on: stream)
        self.stream.scheduleFlush()
        if endStream { exchangeEnded() }
        if sent < bytes.count, sweepDue == nil {
            sweepDue = nextSweep(after: self.stream.loop.now)
            rearm()
        }
        return sent
    }

    override func sendTrailers(_ trailers: FieldBlock, on stream: HTTP2Stream?) {
        guard let stream else { return }
        session.sendTrailers(trailers, on: stream)
        self.stream.scheduleFlush()
        exchangeEnded()
    }

    override func sendRepeated(_ answer: RepeatedAnswer, on stream: HTTP2Stream?) -> Bool {
        guard let stream, session.sendRepeated(answer, on: stream) else {
            return false
        }
        self.stream.scheduleFlush()
        exchangeEnded()
        return true
    }

    override func sendRepeated(
        _ head: RepeatedHead,
        endStream: Bool,
        on stream: HTTP2Stream?
    ) -> Bool {
        guard let stream, session.sendRepeated(head, endStream: endStream, on: stream) else {
            return false
        }
        self.stream.scheduleFlush()
        if endStream { exchangeEnded() }
        return true
    }

    override func upcomingBody(of stream: HTTP2Stream?) -> UnsafeRawBufferPointer? {
        guard let stream else { return nil }
        return unsafe session.upcomingBody(of: stream)
    }

    override func consumed(_ count: Int, by stream: HTTP2Stream?) {
        guard let stream else { return }
        let before = session.output.count
        session.consumed(count, by: stream)
        if session.output.count != before { self.stream.scheduleFlush() }
    }

    override func hasWholeBody(of stream: HTTP2Stream?) -> Bool {
        unsafe upcomingBody(of: stream) != nil
    }

    override func releaseBody(of stream: HTTP2Stream?) {
        guard let stream, !isClosed else { return }
        consumed(stream.unconsumedByteCount, by: stream)
    }

    override func abort(_ stream: HTTP2Stream?, _ code: HTTP2ErrorCode) {
        guard let stream else { return }
        session.reset(stream, code)
        self.stream.scheduleFlush()
        exchangeEnded()
    }

    override func sendContinue(on stream: HTTP2Stream?) {
        guard let stream, stream.expectsContinue else { return }
        stream.expectsContinue = false
        let head = arena.blocks.take()
        head.append(status: 100)
        session.sendHead(head, endStream: false, on: stream)
        self.stream.scheduleFlush()
    }

    private func exchangeEnded() {
        if openExchangeCount == 0 {
            idleSince = stream.loop.now
            // The client may never say another word; being idle has to be noticed all the same.
            rearm()
        }
    }

    // MARK: - Stream events

    override func streamReceived(_ bytes: UnsafeRawBufferPointer) {
        // Finished, and the last words wait for the client to read: nobody listens any more.
        guard !isClosed else { return }
        heard = stream.loop.now
        asked = nil
        unsafe session.receive(bytes, at: heard.nanoseconds)
        process()
        if settingsDue != nil, session.isSettingsAcknowledged { settingsDue = nil }
        if !session.isMidFrame {
            headStarted = nil
        } else if headStarted == nil || fragment != session.fragmentCount {
            headStarted = stream.loop.now
            fragment = session.fragmentCount
        }
        rearm()
    }

    override func streamEnded() {
        // HTTP/2 has no half-closed connections: whoever closes is gone.
        close(.clientGone)
    }

    override var streamOutput: UnsafeRawBufferPointer {
        session.reap()
        return unsafe session.output.bytes
    }

    override func streamWrote(_ count: Int) {
        session.output.consume(count)
        process()
        if isDraining, session.isFinished, session.output.isEmpty { finish() }
        if stream.blockedSince != nil { rearm() }
    }

    private func process() {
        guard !isProcessing, !isClosed else { return }
        isProcessing = true
        defer { isProcessing = false }
        do throws(HTTP2Failure) {
            while let event = try session.nextEvent() {
                handle(event)
                if isClosed { return }
            }
        } catch {
            if let abuse = error.abuse { listener.count(abuse) }
            handler.requestUnreadable(self, status: 0, sentence: error.sentence)
            finish()
            return
        }
        stream.setReading(session.output.count < HTTP2ServerConnection.floodMark)
        if !session.output.isEmpty { stream.scheduleFlush() }
    }

    private func handle(_ event: HTTP2Event) {
        switch event {
        case .head(let stream, let head, let endStream):
            if head.index(of: .expect) != nil,
                !acceptsExpectation(stream, head, endStream: endStream)
            {
                arena.blocks.give(head)
                return
            }
            handler.requestBegan(Exchange(self, stream), head, endStream: endStream)
        case .oversizedHead(let stream, let head, _):
            listener.count(.largeHead)
            handler.requestOversized(Exchange(self, stream), head)
        case .data(let stream, let bytes, let endStream):
            guard unsafe stream.context != nil else {
                session.consumed(bytes.count, by: stream)
                return
            }
            unsafe handler.requestBody(Exchange(self, stream), bytes, endStream: endStream)
        case .trailers(let stream, let trailers):
            guard unsafe stream.context != nil else {
                arena.blocks.give(trailers)
                return
            }
            handler.requestTrailers(Exchange(self, stream), trailers)
        case .reset(let stream, _):
            if unsafe stream.context != nil {
                handler.requestAborted(
                    Exchange(self, stream),
                    stream.fault == .none ? .clientGone : .protocolError
                )
            }
            exchangeEnded()
        case .drained(let stream, let count):
            if unsafe stream.context != nil {
                handler.responseDrained(Exchange(self, stream), count)
            }
        case .interim(_, let block): arena.blocks.give(block)
        case .goAway, .settings: break
        }
    }

    // MARK: - Slowness

    /// A stream may rest as long as both sides like, but not its client's machine: when nothing has
    /// come for a while, it is asked by PING (RFC 9113 §6.7).
    override func deadline() -> (at: Instant, reason: AbortReason) {
        var earliest = super.deadline()
        if let sweepDue { earliest.at = min(earliest.at, sweepDue) }
        if let settingsDue { earliest.at = min(earliest.at, settingsDue) }
        guard openExchangeCount > 0 else { return earliest }
        let silent =
            asked.map { $0.advanced(byNanoseconds: HTTP2ServerConnection.answerTime) }
            ?? max(heard, stream.lastProgress)
            .advanced(byNanoseconds: HTTP2ServerConnection.silence)
        if silent < earliest.at { earliest = (silent, .clientGone) }
        return earliest
    }

    override func tooSlow(_ reason: AbortReason) {
        guard case .clientGone = reason, asked == nil else {
            super.tooSlow(reason)
            return
        }
        asked = stream.loop.now
        session.sendPing(UInt64(bitPattern: stream.loop.now.nanoseconds))
        stream.scheduleFlush()
        rearm()
    }

    package override func timerFired(_ tag: UInt, at now: Instant) {
        if let settingsDue, settingsDue <= now, !isClosed {
            listener.count(.settingsTimeout)
            session.giveUpOnSettings()
            stream.scheduleFlush()
            finish()
            return
        }
        if let sweepDue, sweepDue <= now { sweep(now) }
        super.timerFired(tag, at: now)
    }

    private func nextSweep(after now: Instant) -> Instant {
        now.advanced(byNanoseconds: max(1, listener.pace.body / 2))
    }

    /// Resets streams whose client gives their answer no window.
    private func sweep(_ now: Instant) {
        let (stalled, isAnyWaiting) = session.sweepStalled(limit: HTTP2ServerConnection.sweepLimit)
        sweepDue = isAnyWaiting ? nextSweep(after: now) : nil
        for stalledStream in stalled {
            if unsafe stalledStream.context != nil {
                handler.requestAborted(Exchange(self, stalledStream), .tooSlow)
            }
            listener.count(.zeroWindow)
            abort(stalledStream, .cancel)
        }
    }

    // MARK: - Closing

    override func abortAll(_ reason: AbortReason) {
        for stream in session.openStreams where unsafe stream.context != nil {
            handler.requestAborted(Exchange(self, stream), reason)
        }
    }

    /// Its client hears by GOAWAY that nothing of what it may be sending now was processed.
    override func endNow() { drain(isFinal: true) }

    override func drain(isFinal: Bool) {
        super.drain(isFinal: isFinal)
        session.sendGoAway(isFinal: isFinal)
        stream.scheduleFlush()
        if isFinal, openExchangeCount == 0 { finish() }
    }
}
