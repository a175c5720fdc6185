import SluiceIO

/// An HTTP/2 server that has seen nothing when the first bytes come, says so, and resets the rest.
final class Leaver: StreamHandler {
    // SETTINGS, then GOAWAY with 0 as the last stream (RFC 9113 §6.5, §6.8).
    private var output: [UInt8] = [
        0, 0, 0, 4, 0, 0, 0, 0, 0,
        0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    ]
    private var mayWrite = false
    private let stream: TCPStream

    init(loop: EventLoop, _ descriptor: Int32, _ peer: SocketAddress) {
        stream = TCPStream(loop: loop, accepted: descriptor, peer: peer, tls: nil)
        stream.handler = self
        stream.start()
    }

    func streamOpened(_ stream: TCPStream) {}

    func streamReceived(_ bytes: UnsafeRawBufferPointer) {
        mayWrite = true
        stream.scheduleFlush()
    }

    func streamEnded() {}

    func streamFailed(_ failure: StreamFailure) {}

    var streamOutput: UnsafeRawBufferPointer {
        // The array's memory stays where it is until `streamWrote`, which is what the loop asks.
        unsafe output.withUnsafeBytes { unsafe mayWrite ? $0 : .init(start: nil, count: 0) }
    }

    func streamWrote(_ count: Int) {
        output.removeFirst(count)
        if output.isEmpty { stream.reset() }
    }
}
