import SluiceCore
import SluiceHTTP
import SluiceIO

/// An HTTP/2 connection to a backend: many calls at once.
final class HTTP2ClientConnection: ClientConnection, TimerTarget {
    private var session: HTTP2Session
    private var keepAlive: KeepAlive
    private var keepAliveTimer = TimerID.none
    private var isProcessing = false
    private var isRetiring = false
    private var hasAnswered = false
    /// When the first of the calls now under way began.
    private var busySince: Instant

    private static let floodMark = 1 << 20

    override init(stream: TCPStream, pool: ConnectionPool, number: Int) {
        var settings = HTTP2Settings()
        settings.initialWindowSize = 1 << 20
        settings.maxHeaderListSize = pool.endpoint.maxHeaderBytes
        session = HTTP2Session(
            role: .client,
            arena: pool.arena,
            settings: settings,
            connectionWindow: 64 << 20
        )
        keepAlive = KeepAlive(now: stream.loop.now)
        busySince = stream.loop.now
        super.init(stream: stream, pool: pool, number: number)
        stream.scheduleFlush()
    }

    override var isHTTP2: Bool { true }
    override var openCallCount: Int { session.openStreamCount }
    override var isKept: Bool { hasAnswered }
    override var isSilentAgain: Bool { hasAnswered && keepAlive.heard <= busySince }
    override var hasRoom: Bool { !isClosed && !isRetiring && session.canOpenStream }

    // MARK: - Calls

    override func begin(
        _ head: FieldBlock,
        endStream: Bool,
        keepsHead: Bool,
        context: UnsafeMutableRawPointer
    ) -> Call? {
        let opened = unsafe session.openStream(
            head,
            endStream: endStream,
            keepsHead: keepsHead,
            context: context
        )
        guard let opened else { return nil }
        return begun(opened)
    }

    override func begin(
        repeating head: RepeatedHead,
        endStream: Bool,
        context: UnsafeMutableRawPointer
    ) -> Call? {
        let opened = unsafe session.openRepeated(head, endStream: endStream, context: context)
        guard let opened else { return nil }
        return begun(opened)
    }

    @inline(__always)
    private func begun(_ opened: HTTP2Stream) -> Call {
        stream.scheduleFlush()
        if keepAliveTimer == .none { listen() }
        if session.openStreamCount == 1 { busySince = stream.loop.now }
        keepAlive.called = stream.loop.now
        return Call(self, opened)
    }

    override func send(
        _ bytes: UnsafeRawBufferPointer,
        endStream: Bool,
        on stream: HTTP2Stream?
    ) -> Int {
        guard let stream else { return 0 }
        let sent = unsafe session.send(bytes, endStream: endStream, on: stream)
        self.stream.scheduleFlush()
        return sent
    }

    override func sendTrailers(_ trailers: FieldBlock, on stream: HTTP2Stream?) {
        guard let stream else { return }
        session.sendTrailers(trailers, on: stream)
        self.stream.scheduleFlush()
    }

    override func consumed(_ count: Int, by stream: HTTP2Stream?) {
        guard let stream else { return }
        let before = session.output.count
        session.consumed(count, by: stream)
        if session.output.count != before { self.stream.scheduleFlush() }
    }

    override func cancel(_ stream: HTTP2Stream?) {
        guard let stream else { return }
        session.reset(stream, .cancel)
        // Where the connection is failing, all of its calls are being told one after the other.
        unsafe stream.context = nil
        self.stream.scheduleFlush()
        callEnded()
        // A backend that reads no more would never let us come to this otherwise.
        closeIfRetired()
    }

    private func closeIfRetired() {
        guard isRetiring, !isClosed, session.openStreamCount == 0 else { return }
        close(.connectionLost("the backend has finished with this connection"))
    }

    /// The receiver has its answer and lets go of the call; what still waits of its request must
    /// not report to it any more, so it isn't sent (RFC 9113 §8.1).
    private func responseEnded(_ stream: HTTP2Stream) {
        if !stream.isLocalClosed {
            session.reset(stream, .cancel)
            self.stream.scheduleFlush()
        }
        callEnded()
    }

    private func callEnded() {
        if session.openStreamCount == 0 { idleSince = stream.loop.now }
        pool.roomAppeared()
    }

    // MARK: - Whether the backend is there

    @inline(never)
    private func listen() {
        let due = keepAlive.callBegan(at: stream.loop.now)
        keepAliveTimer = stream.loop.setTimer(at: due, target: self, tag: 0)
    }

    func timerFired(_ tag: UInt, at now: Instant) {
        keepAliveTimer = .none
        let isHeldBack = session.output.count >= HTTP2ClientConnection.floodMark
        let action = keepAlive.look(
            at: now,
            hasCalls: session.openStreamCount > 0,
            progress: isHeldBack ? stream.lastProgress : nil
        )
        switch action {
        case .sleep: break
        case .look(let due):
            keepAliveTimer = stream.loop.setTimer(at: due, target: self, tag: 0)
        case .ask(let due):
            keepAliveTimer = stream.loop.setTimer(at: due, target: self, tag: 0)
            session.sendPing(UInt64(bitPattern: now.nanoseconds))
            stream.scheduleFlush()
        case .giveUp:
            pool.keepAliveTimedOut?()
            close(.connectionLost("the backend did not answer a PING in \(KeepAlive.pingTimeout)"))
        }
    }

    // MARK: - Stream events

    override func streamReceived(_ bytes: UnsafeRawBufferPointer) {
        keepAlive.heard = stream.loop.now
        unsafe session.receive(bytes, at: stream.loop.now.nanoseconds)
        process()
        if !isClosed, session.openStreamCount == 0 { pool.roomAppeared() }
    }

    override var streamOutput: UnsafeRawBufferPointer {
        session.reap()
        return unsafe session.output.bytes
    }

    override func streamWrote(_ count: Int) {
        session.output.consume(count)
        process()
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
            close(.malformed("\(error.sentence)"))
            return
        }
        stream.setReading(session.output.count < HTTP2ClientConnection.floodMark)
        if !session.output.isEmpty { stream.scheduleFlush() }
        closeIfRetired()
    }

    private func handle(_ event: HTTP2Event) {
        switch event {
        case .head(let stream, let head, let endStream):
            keepAlive.hasHeardMessage = true
            hasAnswered = true
            receiver.responseHead(Call(self, stream), head, endStream: endStream)
            if endStream { responseEnded(stream) }
        case .oversizedHead(let stream, let head, _):
            arena.blocks.give(head)
            let call = Call(self, stream)
            session.reset(stream, .cancel)
            receiver.callFailed(
                call,
                .resetByUs(.cancel, "the answer's head exceeds limits.maxHeaderBytes")
            )
            callEnded()
        case .interim(let stream, let head):
            receiver.responseInterim(Call(self, stream), head)
        case .data(let stream, let bytes, let endStream):
            keepAlive.hasHeardMessage = true
            unsafe receiver.responseBody(Call(self, stream), bytes, endStream: endStream)
            if endStream { responseEnded(stream) }
        case .trailers(let stream, let trailers):
            receiver.responseTrailers(Call(self, stream), trailers)
            responseEnded(stream)
        case .reset(let stream, let code):
            let failure: CallFailure =
                stream.fault != .none
                ? .resetByUs(code, "it sent \(stream.fault.sentence)")
                : code == .refusedStream ? .refused : .reset(code)
            receiver.callFailed(Call(self, stream), failure)
            callEnded()
        case .drained(let stream, let count):
            receiver.requestDrained(Call(self, stream), count)
        case .goAway:
            isRetiring = true
            pool.connectionRetired(self)
        case .settings:
            headListMaximum = session.peerHeadListMaximum
            pool.roomAppeared()
        }
    }

    /// Opens nothing more and closes after the last call.
    func retire() {
        isRetiring = true
        pool.connectionRetired(self)
        if session.openStreamCount == 0 {
            close(.connectionLost("the backend was removed"))
        }
    }

    override func failAll(_ failure: CallFailure) {
        // The end of every connection comes by here, and timers don't keep their target.
        stream.loop.cancelTimer(&keepAliveTimer)
        for stream in session.openStreams {
            receiver.callFailed(Call(self, stream), failure)
        }
    }
}
