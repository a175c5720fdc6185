import SluiceCore
import SluiceIO

/// A client that says what it's told to, and keeps what it hears.
final class RawPeer: StreamHandler {
    private(set) var stream: TCPStream?
    private var output: [UInt8] = []
    /// What has come so far.
    private(set) var input: [UInt8] = []
    /// Whether the other side has ended or broken the connection.
    private(set) var isOver = false
    /// Whether it was broken, rather than ended.
    private(set) var isBroken = false

    /// Connects at once; says `bytes` when the connection stands.
    init(loop: EventLoop, to address: SocketAddress, saying bytes: [UInt8]) throws {
        output = bytes
        let stream = try TCPStream(loop: loop, connectingTo: address, tls: nil)
        self.stream = stream
        stream.handler = self
        stream.start()
    }

    /// What has come so far, as text.
    var text: String { String(decoding: input, as: UTF8.self) }

    func say(_ bytes: [UInt8]) {
        output += bytes
        stream?.scheduleFlush()
    }

    func setReading(_ isReading: Bool) { stream?.setReading(isReading) }

    func close() {
        stream?.close()
        stream = nil
    }

    func streamOpened(_ stream: TCPStream) {}

    func streamReceived(_ bytes: UnsafeRawBufferPointer) {
        unsafe input.append(contentsOf: bytes)
    }

    func streamEnded() { isOver = true }

    func streamFailed(_ failure: StreamFailure) {
        isOver = true
        isBroken = true
        stream = nil
    }

    var streamOutput: UnsafeRawBufferPointer {
        // The array's memory stays where it is until `streamWrote`, which is what the loop asks.
        unsafe output.withUnsafeBytes { unsafe $0 }
    }

    func streamWrote(_ count: Int) { output.removeFirst(count) }
}
