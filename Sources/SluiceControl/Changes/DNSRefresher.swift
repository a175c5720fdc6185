package import SluiceCore
import SluiceGateway
package import SluiceIO
package import SluiceTelemetry
import Synchronization

/// Looks names up again and again, on threads of its own: a name server that doesn't answer holds a
/// look-up for seconds, and nothing else may wait for that.
///
/// A few names are asked for at a time, more while these take long, and a half of the threads never
/// asks for what was not found the last time: names of a server that is dead hold up few others. No
/// name is asked for twice at a time. What can't be looked up keeps its last addresses, which is the hearer's
/// business: only successes are told.
package final class DNSRefresher: Sendable {
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
        var report: (@Sendable (HostName, [SocketAddress]) -> Void)?
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

    /// Look-ups at a time, and while what waits for them makes no way.
    private static let laneCount = 4
    private static let laneMaximum = 64
    /// Rounds that a failing connection asks for come no closer to each other.
    private static let roundPause = Duration.seconds(1)

    /// A watch that has looked for nothing yet.
    package init(
        store: MetricStore,
        log: EventLog,
        resolve: @escaping Resolve = DNSRefresher.system
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
            (state.names, state.report) = (names, found)
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
            (state.names, state.report) = (nil, nil)
            state.queue = []
            return state.lanes
        }
        for lane in lanes { lane.loop.stop(isWaiting: false) }
    }

    /// Why a name was not found when it was last asked for; nil while it is found.
    package func failure(of name: HostName) -> String? { state.withLock { $0.failing[name] } }

    /// Asks for names at once and waits, for at most `timeout`; returns what is known then.
    ///
    /// What is found later is told as any change is.
    package func look(for names: [HostName], timeout: Duration) -> [HostName: [SocketAddress]] {
        guard !names.isEmpty else { return [:] }
        ask(for: names)
        let wanted = Set(names)
        let deadline = ContinuousClock.now + timeout
        var rounds = 0
        while state.withLock({ state in names.contains { state.pending.contains($0) } }),
            ContinuousClock.now < deadline
        {
            loop.pause(.milliseconds(1))
            rounds += 1
            if rounds.isMultiple(of: 50) { addLanes() }
        }
        let (found, unanswered) = state.withLock { state in
            let left = names.filter { state.pending.contains($0) && state.failing[$0] == nil }
            for name in left { state.failing[name] = DNSRefresher.unanswered }
            return (state.found.filter { wanted.contains($0.key) }, left)
        }
        for name in unanswered { complain(of: name, DNSRefresher.unanswered, wasFound: false) }
        return found
    }

    private func complain(of name: HostName, _ reason: String, wasFound: Bool) {
        log.write(
            .warning,
            wasFound
                ? "a name can't be looked up; its last addresses stay in use"
                : "a name can't be looked up; what it stands for comes when it can",
            [("name", name.text), ("reason", reason)]
        )
    }

    private static let unanswered = "the name server hasn't answered yet"

    /// Looks soon, out of turn: a backend doesn't answer where it was.
    package func lookSoon() {
        loop.submit { [weak self] in
            guard let self else { return }
            let isDue = state.withLock { state in
                state.lastRound.map { ContinuousClock.now - $0 >= DNSRefresher.roundPause } ?? true
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
        // What has waited since the last round waits for threads that wait themselves.
        addLanes()
        ask(for: wanted)
    }

    private func ask(for names: [HostName]) {
        let idle = state.withLock { state in
            for name in names where state.pending.insert(name).inserted { state.queue.append(name) }
            DNSRefresher.fill(&state, to: min(DNSRefresher.laneCount, state.pending.count))
            return DNSRefresher.wake(&state)
        }
        start(idle)
    }

    /// More look-ups at a time, if some wait.
    private func addLanes() {
        let idle = state.withLock { state in
            guard !state.queue.isEmpty else { return [(number: Int, loop: ControlLoop)]() }
            let count = state.lanes.count + DNSRefresher.laneCount
            DNSRefresher.fill(&state, to: min(DNSRefresher.laneMaximum, count))
            return DNSRefresher.wake(&state)
        }
        start(idle)
    }

    private static func fill(_ state: inout State, to count: Int) {
        while state.lanes.count < count,
            let lane = try? ControlLoop.start(name: "names-\(state.lanes.count + 1)")
        {
            state.lanes.append(Lane(loop: lane))
        }
    }

    private static func wake(_ state: inout State) -> [(number: Int, loop: ControlLoop)] {
        let idle = state.lanes.indices.filter { !state.lanes[$0].isBusy }
        for number in idle { state.lanes[number].isBusy = true }
        return idle.map { ($0, state.lanes[$0].loop) }
    }

    private func start(_ idle: [(number: Int, loop: ControlLoop)]) {
        for lane in idle { lane.loop.submit { [weak self] in self?.work(in: lane.number) } }
    }

    /// Asks for what is queued until nothing is.
    private func work(in lane: Int) {
        while true {
            let next = state.withLock { state -> HostName? in
                // Every other lane is for names that were found, or never asked for.
                let place = state.queue.firstIndex {
                    lane.isMultiple(of: 2) || state.failing[$0] == nil
                }
                guard let place else {
                    state.lanes[lane].isBusy = false
                    return nil
                }
                return state.queue.remove(at: place)
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
        let (before, wasFound, report) = state.withLock { state in
            let before = state.failing[name]
            let wasFound = state.found[name] != nil
            state.failing[name] = failure
            if let addresses { state.found[name] = addresses }
            return (before, wasFound, state.report)
        }
        // What was only waited for is told again once there is more to tell.
        let wasFailing = before != nil && (failure == nil || before != DNSRefresher.unanswered)
        if let failure, !wasFailing {
            complain(of: name, failure, wasFound: wasFound)
        } else if failure == nil, wasFailing {
            log.write(.info, "a name is found again", [("name", name.text)])
        }
        // Told before it counts as answered, so that a name is told of in the order of its answers.
        if let addresses { report?(name, addresses) }
        state.withLock { _ = $0.pending.remove(name) }
    }
}
