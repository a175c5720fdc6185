import SluiceIO

/// A server of bytes: what it says to what comes is up to a test.
final class RawServer {
    final class Connection: StreamHandler {
        private unowned let server: RawServer
        private let stream: TCPStream
        private var output: [UInt8] = []
        private var then: (() -> Void)?
        /// What has come and wasn't taken.
        var input: [UInt8] = []
        /// How often it has answered.
        var answerCount = 0

        init(_ server: RawServer, _ descriptor: Int32, _ peer: SocketAddress) {
            self.server = server
            stream = TCPStream(loop: server.loop, accepted: descriptor, peer: peer, tls: nil)
            stream.handler = self
            stream.start()
        }

        var isClosed: Bool { stream.isClosed }

        /// Sends `bytes`, and does what follows when the kernel has them.
        func say(_ bytes: some Sequence<UInt8>, then: (() -> Void)? = nil) {
            output += bytes
            self.then = then
            stream.scheduleFlush()
            if output.isEmpty { followUp() }
        }

        func close() { stream.close() }
        func reset() { stream.reset() }
        func finish() { stream.finish(progressTimeout: .seconds(1)) }

        private func followUp() {
            let work = then
            then = nil
            work?()
        }

        func streamOpened(_ stream: TCPStream) {}
        func streamEnded() { stream.close() }
        func streamFailed(_ failure: StreamFailure) {}

        func streamReceived(_ bytes: UnsafeRawBufferPointer) {
            unsafe input.append(contentsOf: bytes)
            server.received(self)
        }

        var streamOutput: UnsafeRawBufferPointer {
            // The array's memory stays where it is until `streamWrote`, which is what the loop asks.
            unsafe output.withUnsafeBytes { unsafe $0 }
        }

        func streamWrote(_ count: Int) {
            output.removeFirst(count)
            if output.isEmpty { followUp() }
        }
    }

    fileprivate let loop: EventLoop
    fileprivate let received: (Connection) -> Void
    private(set) var connections: [Connection] = []
    private var listener: TCPListener?

    /// Listens at once; `received` is called whenever something has come.
    init(
        loop: EventLoop,
        on address: SocketAddress,
        received: @escaping (Connection) -> Void
    ) throws {
        self.loop = loop
        self.received = received
        let listener = try TCPListener(loop: loop, address: address, sharesPort: false) {
            [unowned self] descriptor, peer in
            connections.append(Connection(self, descriptor, peer))
            return true
        }
        self.listener = listener
        listener.start()
    }

    func close() {
        for connection in connections { connection.close() }
        listener?.close()
        listener = nil
    }
}
