package import SluiceCore
import SluiceGateway
package import SluiceIO
package import SluiceTelemetry
import Synchronization

/// Looks names up again and again, on threads of its own: a name server that doesn't answer holds a
/// look-up for seconds, and nothing else may wait for that.
///
/// A few names are asked for at a time, so that one that takes long holds up few others; none is
/// asked for twice at a time. What can't be looked up keeps its last addresses, which is the hearer's
/// business: only successes are told.
package final class NameWatch: Sendable {
    /// How a name becomes addresses; blocks.
    package typealias Resolve =
        @Sendable (HostName) -> Result<[SocketAddress], KernelFailure>

    /// The system's resolver.
    package static let system: Resolve = { name in
        do throws(KernelFailure) {
            return .success(try name.resolve())
        } catch {
            return .failure(error)
        }
    }

    private struct State {
        var queue: [HostName] = []
        /// Queued or being asked for.
        var pending: Set<HostName> = []
        var found: [HostName: [SocketAddress]] = [:]
        var failing: [HostName: String] = [:]
        var lanes: [Lane] = []
        var lastRound: ContinuousClock.Instant?
        var names: (@Sendable () -> [HostName])?
        var tell: (@Sendable (HostName, [SocketAddress]) -> Void)?
    }

    private struct Lane {
        let loop: ControlLoop
        var isBusy = false
    }

    private let loop: ControlLoop
    private let resolve: Resolve
    private let store: MetricStore
    private let log: EventLog
    private let state = Mutex(State())

    /// Look-ups at a time.
    private static let laneMaximum = 4
    /// Rounds that a failing connection asks for come no closer to each other.
    private static let roundPause = Duration.seconds(1)

    /// A watch that has looked for nothing yet.
    package init(
        store: MetricStore,
        log: EventLog,
        resolve: @escaping Resolve = NameWatch.system
    ) throws(KernelFailure) {
        loop = try ControlLoop.start(name: "names")
        self.resolve = resolve
        self.store = store
        self.log = log
    }

    /// Looks for `names` every `interval` from now on; tells `found` all addresses of a name, whether
    /// new or not, on a thread that may be made to wait.
    package func begin(
        every interval: Duration,
        names: @escaping @Sendable () -> [HostName],
        found: @escaping @Sendable (HostName, [SocketAddress]) -> Void
    ) {
        let known = state.withLock { state in
            (state.names, state.tell) = (names, found)
            return state.found
        }
        // What was found between the first look and now has been told to nothing.
        for (name, addresses) in known { found(name, addresses) }
        loop.repeatedly(every: interval) { [weak self] in self?.round() }
    }

    /// Ends the threads once their look-ups are over, which nothing waits for.
    package func stop() {
        loop.stop(isWaiting: false)
        let lanes = state.withLock { state in
            (state.names, state.tell) = (nil, nil)
            state.queue = []
            return state.lanes
        }
        for lane in lanes { lane.loop.stop(isWaiting: false) }
    }

    /// Why a name was not found when it was last asked for; nil while it is found.
    package func failure(of name: HostName) -> String? { state.withLock { $0.failing[name] } }

    /// Asks for names at once and waits, for at most `patience`; returns what is known then.
    ///
    /// What is found later is told as any change is.
    package func look(for names: [HostName], patience: Duration) -> [HostName: [SocketAddress]] {
        guard !names.isEmpty else { return [:] }
        ask(for: names)
        let deadline = ContinuousClock.now + patience
        while state.withLock({ state in names.contains { state.pending.contains($0) } }),
            ContinuousClock.now < deadline
        {
            loop.pause(.milliseconds(1))
        }
        return state.withLock { state in
            for name in names where state.pending.contains(name) && state.failing[name] == nil {
                state.failing[name] = NameWatch.unanswered
            }
            return state.found.filter { names.contains($0.key) }
        }
    }

    private static let unanswered = "the name server hasn't answered yet"

    /// Looks soon, out of turn: a backend doesn't answer where it was.
    package func lookSoon() {
        loop.submit { [weak self] in
            guard let self else { return }
            let isDue = state.withLock { state in
                state.lastRound.map { ContinuousClock.now - $0 >= NameWatch.roundPause } ?? true
            }
            if isDue { round() }
        }
    }

    // MARK: - Asking

    private func round() {
        let names = state.withLock { state in
            state.lastRound = ContinuousClock.now
            return state.names
        }
        guard let wanted = names?() else { return }
        state.withLock { state in
            // What isn't asked for any more is forgotten, or names that come and go would pile up.
            let wanted = Set(wanted)
            state.found = state.found.filter { wanted.contains($0.key) }
            state.failing = state.failing.filter { wanted.contains($0.key) }
        }
        ask(for: wanted)
    }

    private func ask(for names: [HostName]) {
        let idle = state.withLock { state in
            for name in names where state.pending.insert(name).inserted { state.queue.append(name) }
            let wanted = min(NameWatch.laneMaximum, state.queue.count)
            while state.lanes.count < wanted,
                let lane = try? ControlLoop.start(name: "names-\(state.lanes.count + 1)")
            {
                state.lanes.append(Lane(loop: lane))
            }
            let idle = state.lanes.indices.filter { !state.lanes[$0].isBusy }.prefix(wanted)
            for number in idle { state.lanes[number].isBusy = true }
            return idle.map { (number: $0, loop: state.lanes[$0].loop) }
        }
        for lane in idle { lane.loop.submit { [weak self] in self?.work(in: lane.number) } }
    }

    /// Asks for what is queued until nothing is.
    private func work(in lane: Int) {
        while true {
            let next = state.withLock { state -> HostName? in
                guard !state.queue.isEmpty else {
                    state.lanes[lane].isBusy = false
                    return nil
                }
                return state.queue.removeFirst()
            }
            guard let next else { return }
            take(resolve(next), of: next)
        }
    }

    private func take(_ result: Result<[SocketAddress], KernelFailure>, of name: HostName) {
        var addresses: [SocketAddress]?
        var failure: String?
        switch result {
        case .success(let found) where !found.isEmpty: addresses = found
        case .success: failure = "it has no address"
        case .failure(let error): failure = error.text
        }
        let outcome = failure == nil ? "success" : "failure"
        loop.count(store.counter(GatewayMetrics.nameLookUps, [name.text, outcome]), in: store)
        let (before, wasFound, tell) = state.withLock { state in
            let before = state.failing[name]
            let wasFound = state.found[name] != nil
            state.failing[name] = failure
            if let addresses { state.found[name] = addresses }
            return (before, wasFound, state.tell)
        }
        let wasFailing = before != nil && before != NameWatch.unanswered
        if let failure, !wasFailing {
            log.write(
                .warning,
                wasFound
                    ? "a name can't be looked up; its last addresses stay in use"
                    : "a name can't be looked up; what it stands for comes when it can",
                [("name", name.text), ("reason", failure)]
            )
        } else if failure == nil, wasFailing {
            log.write(.info, "a name is found again", [("name", name.text)])
        }
        // Told before it counts as answered, so that a name is told of in the order of its answers.
        if let addresses { tell?(name, addresses) }
        state.withLock { _ = $0.pending.remove(name) }
    }
}
