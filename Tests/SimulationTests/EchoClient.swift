import SluiceCore
import SluiceEgress
import SluiceHTTP
import SluiceIO

/// A client made of the gateway's own egress: sends its calls when their time has come.
final class EchoClient: ResponseReceiver, TimerTarget {
    let calls: [EchoCall]
    private let loop: EventLoop
    private let arena: HTTPArena
    private let endpoint: Endpoint
    private lazy var pool = ConnectionPool(
        loop: loop,
        arena: arena,
        endpoint: endpoint,
        receiver: self
    )

    private struct Progress {
        var call: Call?
        var sent = 0
        var isRequestOver = false
        var held = 0
        var begin = TimerID.none
        var more = TimerID.none
        var giveUp = TimerID.none
        var reading = TimerID.none
    }

    private var progress: [Progress]
    private var vanishTimer = TimerID.none
    /// Whether it has gone without a word.
    private(set) var hasVanished = false

    // Timer tags: a call's number above, what is due below.
    private enum Due: UInt { case begin, more, giveUp, reading, vanish }
    // Longer than any time-out of the gateway.
    private static let hangTime = Duration.seconds(70)

    init(loop: EventLoop, endpoint: Endpoint, calls: [EchoCall], vanishing: Int64?) {
        self.loop = loop
        self.endpoint = endpoint
        self.calls = calls
        arena = HTTPArena(buffers: loop.buffers)
        progress = calls.map { _ in Progress() }
        for (index, call) in calls.enumerated() {
            progress[index].begin = set(.begin, index, after: call.start)
        }
        if let vanishing { vanishTimer = set(.vanish, 0, after: vanishing) }
    }

    /// Whether every call has come to an end.
    var isDone: Bool { calls.allSatisfy { $0.outcome != .pending } }

    /// Records handed out; zero when all is quiet.
    var liveRecordCount: Int { arena.openStreamCount + arena.blocks.liveCount }

    /// Goes away: connections are closed as a process's end closes them.
    func close() {
        for index in progress.indices {
            loop.cancelTimer(&progress[index].begin)
            stop(index)
        }
        loop.cancelTimer(&vanishTimer)
        pool.closeAll()
        for call in calls where call.outcome == .pending { call.settle(.cancelled) }
    }

    private func set(_ due: Due, _ index: Int, after nanoseconds: Int64) -> TimerID {
        loop.setTimer(
            after: .nanoseconds(nanoseconds),
            target: self,
            tag: UInt(index) << 3 | due.rawValue
        )
    }

    func timerFired(_ tag: UInt, at now: Instant) {
        let index = Int(tag >> 3)
        switch Due(rawValue: tag & 7) {
        case .begin:
            progress[index].begin = .none
            begin(index)
        case .more:
            progress[index].more = .none
            sendMore(index)
        case .giveUp:
            progress[index].giveUp = .none
            giveUp(index)
        case .reading:
            progress[index].reading = .none
            let held = progress[index].held
            progress[index].held = 0
            progress[index].call?.consumed(held)
        case .vanish, nil:
            vanishTimer = .none
            hasVanished = true
            close()
        }
    }

    // MARK: - Sending

    private func begin(_ index: Int) {
        let call = calls[index]
        progress[index].giveUp = set(
            .giveUp,
            index,
            after: call.progressTimeout ?? EchoClient.hangTime.nanoseconds
        )
        guard let context = unsafe UnsafeMutableRawPointer(bitPattern: index + 1) else { return }
        switch unsafe pool.acquire(context) {
        case .ready(let connection):
            unsafe callReady(context, connection.takeUnretainedValue())
        case .waiting: break
        case .full: end(index, .failed("the client's own pool is full"))
        }
    }

    func callReady(_ context: UnsafeMutableRawPointer, _ connection: ClientConnection) {
        let index = Int(bitPattern: context) - 1
        let call = calls[index]
        guard call.outcome == .pending else { return }
        let head = arena.blocks.take()
        head.append(.method, call.method)
        head.append(.scheme, endpoint.tls == nil ? "http" : "https")
        head.append(.authority, "localhost")
        head.append(.path, call.path)
        head.append(.requestID, text: call.id)
        if call.kind.isGRPC {
            head.append(.contentType, "application/grpc")
            head.append(.transferCodings, "trailers")
        } else if !call.body.isEmpty {
            head.append(.contentType, "application/json")
            // Without a length the body goes in chunks; both must work.
            if call.fragments < 3 { head.append(.contentLength, decimal: call.body.count) }
        }
        if let length = call.headerLength {
            head.append(.inferenceHeaderContentLength, decimal: length)
        }
        call.wasSent = true
        let made = unsafe connection.begin(head, endStream: call.body.isEmpty, context: context)
        guard let made else {
            end(index, .failed("the connection takes no call"))
            return
        }
        progress[index].call = made
        progress[index].isRequestOver = call.body.isEmpty
        if !call.body.isEmpty { sendMore(index) }
    }

    private func sendMore(_ index: Int) {
        let call = calls[index]
        guard let made = progress[index].call else { return }
        let sent = progress[index].sent
        let size = (call.body.count + call.fragments - 1) / call.fragments
        let end = min(call.body.count, sent + max(1, size))
        let isLast = end == call.body.count
        progress[index].sent = end
        progress[index].isRequestOver = isLast
        unsafe call.body[sent..<end].withUnsafeBytes {
            unsafe _ = made.send($0, endStream: isLast)
        }
        if !isLast { progress[index].more = set(.more, index, after: call.pause) }
    }

    private func giveUp(_ index: Int) {
        if let call = progress[index].call {
            progress[index].call = nil
            call.cancel()
        } else if let context = unsafe UnsafeMutableRawPointer(bitPattern: index + 1) {
            unsafe pool.cancelWaiting(context)
        }
        end(index, calls[index].progressTimeout == nil ? .hung : .cancelled)
    }

    // MARK: - Ends

    private func stop(_ index: Int) {
        loop.cancelTimer(&progress[index].more)
        loop.cancelTimer(&progress[index].giveUp)
        loop.cancelTimer(&progress[index].reading)
    }

    private func end(_ index: Int, _ outcome: EchoCall.Outcome) {
        stop(index)
        progress[index].call = nil
        calls[index].settle(outcome)
    }

    private func answered(_ index: Int) {
        // An answer may come before the request's end; the rest needn't be sent then.
        let early = progress[index].isRequestOver ? nil : progress[index].call
        stop(index)
        progress[index].call = nil
        calls[index].evaluate()
        early?.cancel()
    }

    private func index(of call: Call) -> Int? {
        unsafe call.context.map { Int(bitPattern: $0) - 1 }
    }

    func connectFailed(_ context: UnsafeMutableRawPointer, _ failure: CallFailure) {
        end(Int(bitPattern: context) - 1, .failed("\(failure)"))
    }

    func callFailed(_ call: Call, _ failure: CallFailure) {
        guard let index = index(of: call) else { return }
        end(index, .failed("\(failure)"))
    }

    // MARK: - Answers

    func responseHead(_ call: Call, _ head: FieldBlock, endStream: Bool) {
        defer { arena.blocks.give(head) }
        guard let index = index(of: call) else { return }
        let echo = calls[index]
        if echo.status != 0 { echo.complaint = "two heads" }
        echo.status = head.status
        echo.answerLength = unsafe head.first(.inferenceHeaderContentLength)
            .flatMap { unsafe ASCII.decimal($0) }
        if head.text(.requestID) != echo.id {
            echo.complaint = "request ID '\(head.text(.requestID) ?? "-")' in its answer"
        }
        noteStatus(head, echo)
        if endStream { answered(index) }
    }

    func responseInterim(_ call: Call, _ head: FieldBlock) { arena.blocks.give(head) }

    func responseBody(_ call: Call, _ bytes: UnsafeRawBufferPointer, endStream: Bool) {
        guard let index = index(of: call) else { return }
        let echo = calls[index]
        unsafe echo.answer.append(contentsOf: bytes)
        if endStream {
            answered(index)
        } else if echo.slowness == 0 {
            call.consumed(bytes.count)
        } else {
            progress[index].held += bytes.count
            if progress[index].reading == .none {
                progress[index].reading = set(.reading, index, after: echo.slowness)
            }
        }
    }

    func responseTrailers(_ call: Call, _ trailers: FieldBlock) {
        defer { arena.blocks.give(trailers) }
        guard let index = index(of: call) else { return }
        noteStatus(trailers, calls[index])
        answered(index)
    }

    func requestDrained(_ call: Call, _ count: Int) {}

    private func noteStatus(_ fields: FieldBlock, _ echo: EchoCall) {
        guard let status = unsafe fields.first(.grpcStatus) else { return }
        echo.grpcStatus = unsafe ASCII.decimal(status)
    }
}
