package import SluiceCore
package import SluiceIO
package import SluiceRedis
package import SluiceTLS

/// Asks a set of Sentinels where the master of a name is, once.
///
/// Each is asked in turn until one knows (redis.io, "Guidelines for Redis clients with support for
/// Redis Sentinel"); what it says is checked by asking that server for its ROLE, which the connection
/// to it does. Keep it until it has told; it lives on one loop.
package final class SentinelQuery: StreamHandler, TimerTarget {
    /// A Sentinel at one of its addresses.
    package struct Way: Sendable {
        /// How it is called in a configuration.
        package var name: String
        package var address: SocketAddress
        /// The name that its certificate must have.
        package var serverName: String

        /// A way to a Sentinel.
        package init(name: String, address: SocketAddress, serverName: String) {
            self.name = name
            self.address = address
            self.serverName = serverName
        }
    }

    /// What came of a question.
    package enum Outcome: Sendable, Equatable {
        /// Host and port of the master, and the number of the way that told.
        case master(host: String, port: UInt16, way: Int)
        case failed(RedisComplaint)
    }

    private let loop: EventLoop
    private let ways: [Way]
    private let master: String
    private let settings: RedisSettings
    private let tls: TLSClientContext?
    private let timeout: Duration
    private let post: (Outcome) -> Void
    private var next = 0
    private var stream: TCPStream?
    private var session: RedisSession
    private var hasSession = false
    private var timer = TimerID.none
    private var troubles: [(name: String, complaint: RedisComplaint)]
    /// Whether it has told, so that it may be let go in another turn of the loop.
    package private(set) var isOver = false

    private static let startTag: UInt = 0
    private static let timeoutTag: UInt = 1
    private static let wordsMaximum = 400

    /// A question that is asked by ``start()``.
    ///
    /// `settings` say who we are to the Sentinels, `timeout` how long each may take, and `troubles` what
    /// is wrong with those to whom there is no way.
    package init(
        loop: EventLoop,
        ways: [Way],
        master: String,
        settings: RedisSettings,
        tls: TLSClientContext? = nil,
        timeout: Duration = .milliseconds(500),
        troubles: [(name: String, complaint: RedisComplaint)] = [],
        post: @escaping (Outcome) -> Void
    ) {
        self.loop = loop
        self.ways = ways
        self.master = master
        self.settings = settings
        self.tls = tls
        self.timeout = timeout
        self.troubles = troubles
        self.post = post
        session = RedisSession(over: settings, pool: loop.buffers)
    }

    /// Begins in the loop's next turn: looking up names may have taken long in this one.
    package func start() {
        timer = loop.setTimer(after: .zero, target: self, tag: SentinelQuery.startTag)
    }

    // MARK: - One after the other

    private func ask() {
        guard next < ways.count else {
            finish(.failed(verdict))
            return
        }
        let way = ways[next]
        next += 1
        do throws(KernelFailure) {
            let stream = try TCPStream(
                loop: loop,
                connectingTo: way.address,
                tls: tls?.makeSession(serverName: way.serverName)
            )
            self.stream = stream
            timer = loop.setTimer(after: timeout, target: self, tag: SentinelQuery.timeoutTag)
            stream.handler = self
            stream.start()
        } catch {
            failed(RedisComplaint(.connect, error.description))
        }
    }

    private func failed(_ complaint: RedisComplaint) {
        disconnect()
        troubles.append((ways[next - 1].name, complaint))
        ask()
    }

    private func finish(_ outcome: Outcome) {
        guard !isOver else { return }
        isOver = true
        disconnect()
        post(outcome)
    }

    private func disconnect() {
        loop.cancelTimer(&timer)
        hasSession = false
        stream?.close()
        stream = nil
    }

    /// What all of them together come to: one that doesn't know the master, or us, is more telling than
    /// one that isn't there.
    private var verdict: RedisComplaint {
        let reasons = troubles.map(\.complaint.reason)
        let reason =
            [RedisReason.password, .noperm, .master].first { reasons.contains($0) } ?? .sentinel
        var words = troubles.map { "Sentinel \($0.name): \($0.complaint.words)" }
            .joined(separator: "; ")
        while words.utf8.count > SentinelQuery.wordsMaximum { words.removeLast() }
        return RedisComplaint(reason, words)
    }

    // MARK: - Events

    package func streamOpened(_ stream: TCPStream) {
        hasSession = true
        session = RedisSession(
            settings,
            pool: loop.buffers,
            at: loop.now,
            greetingDeadline: loop.now + timeout
        )
        _ = session.masterAddress(
            of: master,
            token: 0,
            at: loop.now,
            deadline: .distantFuture
        )
        stream.scheduleFlush()
    }

    package func streamReceived(_ bytes: UnsafeRawBufferPointer) {
        unsafe session.receive(bytes)
        drain()
    }

    private func drain() {
        while hasSession, let event = session.nextEvent() {
            switch event {
            case .reply(_, .array(let parts)): told(parts)
            case .reply(_, .error(let text)):
                var complaint = RedisComplaint(error: text, secret: settings.password)
                if complaint.reason == .other {
                    complaint = RedisComplaint(.sentinel, "it is no Sentinel (\(complaint.words))")
                }
                failed(complaint)
            case .reply: failed(RedisComplaint(.master, "it knows no master '\(master)'"))
            case .ended(let failure): failed(RedisComplaint(failure, secret: settings.password))
            case .ready, .value, .timedOut, .lost: break
            }
        }
    }

    private func told(_ parts: [RedisReply]) {
        guard case .bytes(let host) = parts.first, case .bytes(let port) = parts.last,
            let number = UInt16(String(decoding: port, as: UTF8.self)), number > 0, !host.isEmpty,
            host.count <= 255
        else {
            failed(RedisComplaint(.malformed, "what it says of '\(master)' is no address"))
            return
        }
        finish(
            .master(host: String(decoding: host, as: UTF8.self), port: number, way: next - 1)
        )
    }

    package func streamEnded() { ended("it closed the connection at once") }

    package func streamFailed(_ failure: StreamFailure) { ended(failure.description) }

    private func ended(_ reason: String) {
        guard hasSession else {
            failed(RedisComplaint(.connect, reason))
            return
        }
        session.connectionEnded()
        drain()
    }

    package var streamOutput: UnsafeRawBufferPointer { unsafe session.outputBytes }

    package func streamWrote(_ count: Int) { session.outputWritten(count) }

    package func timerFired(_ tag: UInt, at now: Instant) {
        timer = .none
        if tag == SentinelQuery.startTag {
            ask()
        } else {
            failed(RedisComplaint(.silent, "it didn't answer within \(timeout)"))
        }
    }
}
