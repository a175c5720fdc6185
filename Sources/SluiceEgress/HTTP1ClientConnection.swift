import SluiceCore
import SluiceHTTP
import SluiceIO

/// An HTTP/1.1 connection to a backend: one call at a time, no pipelining.
@safe
final class HTTP1ClientConnection: ClientConnection {
    private var session: HTTP1Session
    /// Where it stands in the pool's list of busy ones.
    var busyPlace: Int?
    private var isProcessing = false
    private var needsProcessing = false
    private var isRequestEnded = false
    private var isResponseEnded = false
    private var hasAnswered = false
    private var isSilent = true
    private var unconsumed = 0

    private static let bodyHighWater = 256 << 10

    override init(stream: TCPStream, pool: ConnectionPool, number: Int) {
        session = HTTP1Session(
            role: .client,
            arena: pool.arena,
            maxHeadBytes: pool.endpoint.maxHeaderBytes
        )
        super.init(stream: stream, pool: pool, number: number)
    }

    override var openCallCount: Int { unsafe context == nil ? 0 : 1 }
    override var hasRoom: Bool { unsafe !isClosed && context == nil && session.isIdle }

    override var isKept: Bool { hasAnswered }
    override var isSilentAgain: Bool { hasAnswered && isSilent }

    // MARK: - Calls

    override func begin(
        _ head: FieldBlock,
        endStream: Bool,
        keepsHead: Bool,
        context: UnsafeMutableRawPointer
    ) -> Call? {
        unsafe precondition(self.context == nil, "a call is under way on this connection")
        unsafe self.context = context
        isRequestEnded = endStream
        isResponseEnded = false
        isSilent = true
        unconsumed = 0
        session.sendRequest(head, endStream: endStream, keepsHead: keepsHead)
        // A head the session refuses is reported as an event, outside this call.
        needsProcessing = session.output.isEmpty
        stream.scheduleFlush()
        return Call(self, nil)
    }

    override func send(
        _ bytes: UnsafeRawBufferPointer,
        endStream: Bool,
        on stream: HTTP2Stream?
    ) -> Int {
        let sent = unsafe session.send(bytes, endStream: endStream)
        self.stream.scheduleFlush()
        if endStream { requestEnded() }
        return sent
    }

    override func sendTrailers(_ trailers: FieldBlock, on stream: HTTP2Stream?) {
        session.sendTrailers(trailers)
        self.stream.scheduleFlush()
        requestEnded()
    }

    override func consumed(_ count: Int, by stream: HTTP2Stream?) {
        unconsumed -= count
        updateReading()
    }

    override func cancel(_ stream: HTTP2Stream?) {
        unsafe context = nil
        close(.connectionLost("cancelled"))
    }

    private func requestEnded() {
        isRequestEnded = true
        if isResponseEnded { release() }
    }

    private func responseEnded() {
        isResponseEnded = true
        if isRequestEnded { release() }
    }

    /// The exchange is complete: back to the pool, or closed if the backend wants that.
    private func release() {
        unsafe context = nil
        hasAnswered = true
        unconsumed = 0
        idleSince = stream.loop.now
        if session.shouldClose {
            close(.connectionLost("the backend closes after each answer"))
        } else {
            updateReading()
            pool.becameIdle(self)
        }
    }

    private func updateReading() {
        stream.setReading(unconsumed < HTTP1ClientConnection.bodyHighWater)
    }

    // MARK: - Stream events

    override func streamReceived(_ bytes: UnsafeRawBufferPointer) {
        isSilent = false
        unsafe session.receive(bytes)
        process()
    }

    override func streamEnded() {
        do throws(HTTP1Failure) {
            try session.receiveEnd()
        } catch {
            close(lost("the backend closed the connection before its answer's end"))
            return
        }
        process()
        close(.connectionLost("the backend closed the connection"))
    }

    override var streamOutput: UnsafeRawBufferPointer {
        if needsProcessing {
            needsProcessing = false
            process()
        }
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
        do throws(HTTP1Failure) {
            while let event = try session.nextEvent() {
                handle(event)
                if isClosed { return }
            }
        } catch {
            close(.malformed("\(error.sentence)"))
            return
        }
        updateReading()
    }

    private func handle(_ event: HTTP1Event) {
        let call = Call(self, nil)
        guard unsafe context != nil else {
            switch event {
            case .head(let block, _), .interim(let block), .trailers(let block):
                arena.blocks.give(block)
            case .data, .drained: break
            }
            return
        }
        switch event {
        case .head(let head, let endStream):
            receiver.responseHead(call, head, endStream: endStream)
            if endStream { responseEnded() }
        case .interim(let head): receiver.responseInterim(call, head)
        case .data(let bytes, let endStream):
            unconsumed += bytes.count
            unsafe receiver.responseBody(call, bytes, endStream: endStream)
            if endStream { responseEnded() }
        case .trailers(let trailers):
            receiver.responseTrailers(call, trailers)
            responseEnded()
        case .drained(let count): receiver.requestDrained(call, count)
        }
    }

    override func failAll(_ failure: CallFailure) {
        guard unsafe context != nil else { return }
        receiver.callFailed(Call(self, nil), failure)
        unsafe context = nil
    }
}
