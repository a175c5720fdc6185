package import SluiceCore

/// A listening socket of one loop.
package final class TCPListener: ReadinessHandler, TimerTarget {
    private let loop: EventLoop
    private let descriptor: Int32
    private var token: UInt64 = 0
    private var isWatching = false
    private var isClosed = false
    /// Whether it accepts, but for a rest that ``retry`` ends.
    private var isStarted = false
    private var retry = TimerID.none
    private let accepted: (Int32, SocketAddress) -> Bool
    /// Whether all loops wait for one queue's connections, as they do at a socket file.
    private let isTakingTurns: Bool
    /// Where it listens, with the port the kernel chose.
    package let address: SocketAddress

    // Connections taken in one go, so that a burst can't starve those already open.
    private static let batch = 64
    private static let retryDelay = Duration.milliseconds(50)

    /// Opens the socket; connections wait until ``start()``.
    ///
    /// `accepted` owns each new descriptor; it answers false when accepting should rest for 50 ms. With `sharesPort`
    /// every loop has a socket of its own on one port and the kernel deals connections out; at a socket file they
    /// take turns at one queue.
    package init(
        loop: EventLoop,
        address: SocketAddress,
        sharesPort: Bool,
        accepted: @escaping (Int32, SocketAddress) -> Bool
    ) throws(KernelFailure) {
        self.loop = loop
        self.accepted = accepted
        descriptor = try loop.kernel.listen(on: address, backlog: 4096, sharesPort: sharesPort)
        isTakingTurns = sharesPort && address.isUnix
        let isChosen = address.port == 0 && !address.isUnix
        self.address =
            isChosen ? address.with(port: loop.kernel.localPort(of: descriptor)) : address
    }

    /// Begins or resumes accepting.
    package func start() {
        precondition(!isClosed, "a listener that is closed stays closed")
        isStarted = true
        guard !isWatching, retry == .none else { return }
        isWatching = true
        token = loop.register(self, descriptor: descriptor, for: .read)
    }

    /// Leaves further connections in the kernel's backlog until ``start()``.
    package func pause() {
        isStarted = false
        loop.cancelTimer(&retry)
        unwatch()
    }

    private func unwatch() {
        guard isWatching else { return }
        isWatching = false
        loop.unregister(token, descriptor: descriptor)
    }

    /// Lets the other loops have the next connections.
    ///
    /// The kernel wakes the first of those that wait for a queue together, so the first would have
    /// all of them; who begins to wait anew is its last.
    private func goToTheEnd() {
        guard isWatching else { return }
        unwatch()
        start()
    }

    /// Looks again when something may have closed: level-triggered readiness would spin.
    private func rest() {
        unwatch()
        retry = loop.setTimer(after: TCPListener.retryDelay, target: self, tag: 0)
    }

    /// Takes all that wait in the kernel's backlog, however many; for the moment before closing.
    ///
    /// A socket file goes first, so that no connection comes after the last look.
    package func acceptWaiting() {
        loop.kernel.withdraw(descriptor)
        while true {
            switch loop.kernel.accept(from: descriptor) {
            case .accepted(let descriptor, let peer): if !accepted(descriptor, peer) { return }
            case .aborted: continue
            case .wouldBlock, .exhausted: return
            }
        }
    }

    /// Closes the socket for good; once, as its descriptor may be another's by then.
    package func close() {
        precondition(!isClosed, "a listener is closed once")
        isClosed = true
        pause()
        loop.kernel.close(descriptor)
    }

    package func ready(_ readiness: Readiness) {
        for _ in 0..<(isTakingTurns ? 1 : TCPListener.batch) {
            switch loop.kernel.accept(from: descriptor) {
            case .accepted(let descriptor, let peer):
                if !accepted(descriptor, peer) {
                    // It may have closed or paused us meanwhile.
                    if isStarted { rest() }
                    return
                }
                if isTakingTurns { goToTheEnd() }
            case .wouldBlock: return
            case .aborted: continue
            case .exhausted:
                rest()
                return
            }
        }
    }

    package func timerFired(_ tag: UInt, at now: Instant) {
        retry = .none
        if isStarted { start() }
    }
}
