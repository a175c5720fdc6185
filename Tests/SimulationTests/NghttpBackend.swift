import SluiceCore
import SluiceIO
import SluiceTestKit

/// A backend whose HTTP/2 is nghttp2's; it answers when it is told to.
final class NghttpBackend {
    /// One connection to it, in the order in which they were accepted.
    final class Connection: StreamHandler {
        let peer: NghttpPeer
        private let stream: TCPStream
        private var output: [UInt8] = []
        /// Whether it takes what comes and says nothing more, as a machine does that has lost its way.
        var isDeaf = false
        private(set) var isOver = false

        init(stream: TCPStream, settings: [(UInt32, UInt32)]) {
            self.stream = stream
            peer = NghttpPeer(.server, settings: settings)
        }

        /// Answers a request, with a head alone.
        func answer(_ id: Int32, _ fields: [HeaderField] = [HeaderField(":status", "200")]) {
            peer.respond(id, fields)
            flush()
        }

        /// Sends what its HTTP/2 was told to say.
        func say() { flush() }

        func close() { stream.close() }

        private func flush() {
            output += peer.takeOutput()
            stream.scheduleFlush()
        }

        func streamOpened(_ stream: TCPStream) {}

        func streamReceived(_ bytes: UnsafeRawBufferPointer) {
            guard !isDeaf else { return }
            unsafe peer.receive(Array(bytes))
            flush()
        }

        func streamEnded() {
            isOver = true
            stream.close()
        }

        func streamFailed(_ failure: StreamFailure) { isOver = true }

        var streamOutput: UnsafeRawBufferPointer {
            // The array's memory stays where it is until `streamWrote`, which is what the loop asks.
            unsafe output.withUnsafeBytes { unsafe $0 }
        }

        func streamWrote(_ count: Int) { output.removeFirst(count) }
    }

    private let loop: EventLoop
    private var listener: TCPListener?
    private(set) var connections: [Connection] = []

    /// `settings` are what its connections say of themselves, by identifier (RFC 9113 §6.5.2).
    init(
        loop: EventLoop,
        on address: SocketAddress,
        settings: [(UInt32, UInt32)] = []
    ) throws {
        self.loop = loop
        listener = try TCPListener(loop: loop, address: address, sharesPort: false) {
            [unowned self] descriptor, peer in
            let stream = TCPStream(loop: loop, accepted: descriptor, peer: peer, tls: nil)
            let connection = Connection(stream: stream, settings: settings)
            connections.append(connection)
            stream.handler = connection
            stream.start()
            return true
        }
        listener?.start()
    }

    /// PINGs that came, by connection.
    var pingCounts: [Int] { connections.map(\.peer.pingCount) }

    func close() {
        listener?.close()
        listener = nil
        for connection in connections where !connection.isOver { connection.close() }
    }
}
