import SluiceCore
import SluiceIO
import SluiceTestKit

/// A caller whose HTTP/2 is nghttp2's.
final class NghttpCaller: StreamHandler {
    let peer: NghttpPeer
    private var stream: TCPStream?
    private var output: [UInt8] = []

    /// Connects at once.
    ///
    /// With a `window` of 0 it never lets an answer's body come.
    init(loop: EventLoop, to address: SocketAddress, window: UInt32 = 65_535) throws {
        peer = NghttpPeer(.client, settings: [(4, window)], creditsByHand: true)
        let stream = try TCPStream(loop: loop, connectingTo: address, tls: nil)
        self.stream = stream
        stream.handler = self
        stream.start()
    }

    /// Sends a request; its stream.
    @discardableResult
    func ask(
        _ fields: [(String, String)],
        body: [UInt8]?,
        trailers: [HeaderField]? = nil
    ) -> Int32 {
        let id = peer.request(
            fields.map { HeaderField($0.0, $0.1) },
            body: body,
            trailers: trailers
        )
        flush()
        return id
    }

    func reset(_ id: Int32) {
        peer.reset(id, code: 8)
        flush()
    }

    func close() {
        stream?.close()
        stream = nil
    }

    private func flush() {
        output += peer.takeOutput()
        stream?.scheduleFlush()
    }

    func streamOpened(_ stream: TCPStream) { flush() }

    func streamReceived(_ bytes: UnsafeRawBufferPointer) {
        unsafe peer.receive(Array(bytes))
        flush()
    }

    func streamEnded() { close() }

    func streamFailed(_ failure: StreamFailure) { stream = nil }

    var streamOutput: UnsafeRawBufferPointer {
        // The array's memory stays where it is until `streamWrote`, which is what the loop asks.
        unsafe output.withUnsafeBytes { unsafe $0 }
    }

    func streamWrote(_ count: Int) { output.removeFirst(count) }
}
