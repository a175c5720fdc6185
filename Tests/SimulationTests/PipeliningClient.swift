import SluiceCore
import SluiceIO

/// A client that sends all its HTTP/1.1 requests in one go and reads the answers in turn.
final class PipeliningClient: StreamHandler, TimerTarget {
    let calls: [EchoCall]
    private let loop: EventLoop
    private let address: SocketAddress
    private var stream: TCPStream?
    private var output: [UInt8] = []
    private var input: [UInt8] = []
    private var turn = 0
    private var timer = TimerID.none
    private var isConnected = false

    init(loop: EventLoop, address: SocketAddress, calls: [EchoCall]) {
        self.loop = loop
        self.address = address
        self.calls = calls
        for call in calls {
            let head =
                "\(call.method) \(call.path) HTTP/1.1\r\nhost: localhost\r\nx-request-id: \(call.id)\r\ncontent-length: \(call.body.count)\r\n\r\n"
            output += Array(head.utf8) + call.body
        }
        timer = loop.setTimer(after: .milliseconds(5), target: self, tag: 0)
    }

    var isDone: Bool { calls.allSatisfy { $0.outcome != .pending } }

    func close() {
        loop.cancelTimer(&timer)
        stream?.close()
        stream = nil
        for call in calls where call.outcome == .pending { call.settle(.cancelled) }
    }

    func timerFired(_ tag: UInt, at now: Instant) {
        timer = .none
        guard tag == 0 else {
            fail(isConnected ? .hung : .failed("nobody answered"))
            return
        }
        do throws(KernelFailure) {
            let stream = try TCPStream(loop: loop, connectingTo: address, tls: nil)
            self.stream = stream
            stream.handler = self
            stream.start()
            timer = loop.setTimer(after: .seconds(70), target: self, tag: 1)
        } catch {
            fail(.failed(error.description))
        }
    }

    private func fail(_ outcome: EchoCall.Outcome) {
        loop.cancelTimer(&timer)
        stream?.close()
        stream = nil
        for call in calls where call.outcome == .pending { call.settle(outcome) }
    }

    // MARK: - Stream events

    func streamOpened(_ stream: TCPStream) {
        isConnected = true
        for call in calls { call.wasSent = true }
        stream.scheduleFlush()
    }

    func streamReceived(_ bytes: UnsafeRawBufferPointer) {
        unsafe input.append(contentsOf: bytes)
        while let (head, body) = takeAnswer() {
            guard turn < calls.count else {
                calls.last?.complaint = "more answers than requests"
                return
            }
            let call = calls[turn]
            turn += 1
            let lines = head.split(separator: "\r\n")
            call.status = lines.first.flatMap { Int($0.dropFirst(9).prefix(3)) } ?? 0
            if !lines.contains("x-request-id: \(call.id)") {
                call.complaint = "an answer out of turn: \(head)"
            }
            call.answer = body
            call.evaluate()
        }
        if turn == calls.count { fail(.cancelled) }
    }

    /// A whole answer from the input's front.
    private func takeAnswer() -> (head: String, body: [UInt8])? {
        let end = Array("\r\n\r\n".utf8)
        guard let headEnd = input.indices.first(where: { input[$0...].starts(with: end) })
        else { return nil }
        let head = String(decoding: input[..<headEnd], as: UTF8.self)
        let length =
            head.split(separator: "\r\n").first { $0.hasPrefix("content-length: ") }
            .flatMap { Int($0.dropFirst(16)) } ?? 0
        guard input.count >= headEnd + 4 + length else { return nil }
        let body = Array(input[(headEnd + 4)..<(headEnd + 4 + length)])
        input.removeFirst(headEnd + 4 + length)
        return (head, body)
    }

    func streamEnded() { fail(.failed("the gateway closed the connection")) }

    func streamFailed(_ failure: StreamFailure) { fail(.failed(failure.description)) }

    var streamOutput: UnsafeRawBufferPointer {
        // The array's memory stays where it is until `streamWrote`, which is what the loop asks.
        unsafe output.withUnsafeBytes { unsafe $0 }
    }

    func streamWrote(_ count: Int) { output.removeFirst(count) }
}
