private import Glibc
import SluiceCore
import SluiceIO
import SluiceTLS

/// A connection to a backend until it stands; tries one of its addresses after the other.
final class ConnectAttempt: StreamHandler, TimerTarget {
    private let pool: ConnectionPool
    let number: Int
    private(set) var stream: TCPStream?
    private var timer = TimerID.none
    private var immediateFailure: String?
    /// Addresses that were tried in vain, and what they said.
    private var failures: [(address: SocketAddress, reason: String)] = []

    init(pool: ConnectionPool, number: Int) {
        self.pool = pool
        self.number = number
        first = pool.preferredAddress
    }

    private let first: Int
    /// Until when a socket file's full queue is waited for.
    private var queueDeadline: Instant?

    private static let queuePause = Duration.milliseconds(5)

    /// Which of the endpoint's addresses is being tried.
    private var place: Int { (first + failures.count) % (1 + pool.endpoint.alternates.count) }

    private var address: SocketAddress {
        place == 0 ? pool.endpoint.address : pool.endpoint.alternates[place - 1]
    }

    func start() {
        let endpoint = pool.endpoint
        immediateFailure = nil
        do throws(KernelFailure) {
            let stream = try TCPStream(
                loop: pool.loop,
                connectingTo: address,
                tls: endpoint.tls?.makeSession(serverName: endpoint.serverName)
            )
            self.stream = stream
            timer = pool.loop.setTimer(after: endpoint.connectTimeout, target: self, tag: 0)
            stream.handler = self
            stream.start()
        } catch {
            if error.code == EAGAIN, address.isUnix, waitForRoom() { return }
            // Told on the next tick, so that nobody hears of a failure while still asking.
            immediateFailure = error.description
            timer = pool.loop.setTimer(after: .zero, target: self, tag: 0)
        }
    }

    /// Tries again soon; false once that has gone on for as long as connecting may take.
    ///
    /// A full queue holds a connection over TCP back; at a socket file it answers EAGAIN (unix(7)).
    private func waitForRoom() -> Bool {
        let now = pool.loop.now
        let deadline = queueDeadline ?? now + pool.endpoint.connectTimeout
        queueDeadline = deadline
        guard now < deadline else { return false }
        timer = pool.loop.setTimer(after: ConnectAttempt.queuePause, target: self, tag: 1)
        return true
    }

    func cancel() {
        pool.loop.cancelTimer(&timer)
        stream?.close()
    }

    // MARK: - Stream events

    func streamOpened(_ stream: TCPStream) {
        pool.loop.cancelTimer(&timer)
        pool.preferredAddress = place
        switch pool.endpoint.httpVersion {
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
        guard tag == 0 else {
            start()
            return
        }
        fail(immediateFailure ?? "connect timed out after \(pool.endpoint.connectTimeout)")
    }

    private func fail(_ reason: String) {
        pool.loop.cancelTimer(&timer)
        stream?.close()
        stream = nil
        failures.append((address, reason))
        guard failures.count > pool.endpoint.alternates.count else {
            start()
            return
        }
        pool.connectFailed(
            self,
            failures.count == 1
                ? reason : failures.map { "\($0.address): \($0.reason)" }.joined(separator: "; ")
        )
    }
}
