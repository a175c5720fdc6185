import SluiceCore
import SluiceIO
import SluiceTLS

/// A connection to a backend until it stands.
final class ConnectAttempt: StreamHandler, TimerTarget {
    private let pool: ConnectionPool
    let number: Int
    private(set) var stream: TCPStream?
    private var timer = TimerID.none
    private var immediateFailure: String?

    init(pool: ConnectionPool, number: Int) {
        self.pool = pool
        self.number = number
    }

    func start() {
        let endpoint = pool.endpoint
        do throws(KernelFailure) {
            let stream = try TCPStream(
                loop: pool.loop,
                connectingTo: endpoint.address,
                tls: endpoint.tls?.makeSession(serverName: endpoint.serverName)
            )
            self.stream = stream
            timer = pool.loop.setTimer(after: endpoint.connectTimeout, target: self, tag: 0)
            stream.handler = self
            stream.start()
        } catch {
            // Told on the next tick, so that nobody hears of a failure while still asking.
            immediateFailure = error.description
            timer = pool.loop.setTimer(after: .zero, target: self, tag: 0)
        }
    }

    func cancel() {
        pool.loop.cancelTimer(&timer)
        stream?.close()
    }

    // MARK: - Stream events

    func streamOpened(_ stream: TCPStream) {
        pool.loop.cancelTimer(&timer)
        switch pool.endpoint.dialect {
        case .http1: pool.connected(self, isHTTP2: false)
        case .negotiated:
            pool.connected(self, isHTTP2: stream.tls?.negotiatedProtocol == .http2)
        case .http2:
            if let tls = stream.tls, tls.negotiatedProtocol != .http2 {
                stream.close()
                pool.connectFailed(self, "the backend's TLS doesn't offer h2 by ALPN")
            } else {
                pool.connected(self, isHTTP2: true)
            }
        }
    }

    func streamReceived(_ bytes: UnsafeRawBufferPointer) {}

    func streamEnded() { fail("the backend closed the connection at once") }

    func streamFailed(_ failure: StreamFailure) { fail(failure.description) }

    var streamOutput: UnsafeRawBufferPointer {
        unsafe UnsafeRawBufferPointer(start: nil, count: 0)
    }

    func streamWrote(_ count: Int) {}

    func timerFired(_ tag: UInt, at now: Instant) {
        timer = .none
        fail(immediateFailure ?? "connect timed out after \(pool.endpoint.connectTimeout)")
    }

    private func fail(_ reason: String) {
        pool.loop.cancelTimer(&timer)
        stream?.close()
        pool.connectFailed(self, reason)
    }
}
