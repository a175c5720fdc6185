package import SluiceConfiguration
import SluiceCore
package import SluiceGateway
import SluiceIO
import SluiceRouting
package import SluiceTelemetry
import SluiceWire
import Synchronization

/// The one place where the running state changes.
///
/// Changes come from people, from the file, from signals and from rollouts; the coordinator takes them one
/// after the other on a thread of its own, for reading files and looking names up blocks. Each is
/// checked, compiled, remembered, published to every worker, and announced, in this order; a refused
/// one has changed nothing.
package final class ChangeCoordinator: Sendable {
    /// How a snapshot reaches the data plane; returns when every worker uses it.
    package typealias Publish = @Sendable (Snapshot, [ListenerCertificate]) -> Void

    struct State: Sendable {
        var configuration: Configuration
        var compiler: SnapshotCompiler
        /// As the file says it.
        var plain: Snapshot
        /// With what was set at run time on top.
        var snapshot: Snapshot
        var adjustments = Adjustments()
        /// Whether the last look at the file was taken over, or refused.
        var isFileInForce = true
        /// Who may change something by the admin API.
        var access: AdminAccess
        /// Counts what was published, from 1.
        var generation = 1
        /// The generation with which a model's weights or plan last changed.
        var changed: [String: Int] = [:]
    }

    /// What has changed so far.
    package let events = EventHistory()
    /// How the rollouts stand.
    package let rollouts = RolloutStates()
    let file: String?
    let log: EventLog
    let store: MetricStore
    let state: Mutex<State>
    let watch: FileWatch?
    let names: DNSRefresher
    /// Names to listen at that haven't been found yet, and what waits for them.
    let awaited = Mutex<[HostName: [@Sendable (HostName, [SocketAddress]) -> Void]]>([:])
    /// What names were found to be and isn't in force yet.
    let foundNames = Mutex<[HostName: [SocketAddress]]>([:])
    private let stateFile: StateFile?
    let loop: ControlLoop
    private let publish: Publish
    let warmer = Mutex<(any Warmer)?>(nil)
    let warming = Mutex(Warming())
    private let pending = Atomic<Int>(0)
    private let observers = Mutex<[@Sendable (ChangeEvent) -> Void]>([])

    // A coordinator that is this far behind has a hung disk; more callers would only wait longer.
    private static let pendingMaximum = 256

    /// A coordinator whose first snapshot is compiled, with what the state file says on top.
    package init(
        configuration: Configuration,
        file: String?,
        store: MetricStore,
        log: EventLog,
        resolve: @escaping DNSRefresher.Resolve = DNSRefresher.system,
        publish: @escaping Publish
    ) throws(CompileFailure) {
        self.file = file
        self.log = log
        self.store = store
        self.publish = publish
        stateFile = configuration.admin.stateFile.map { StateFile(path: $0) }
        var compiler = SnapshotCompiler()
        do throws(KernelFailure) {
            names = try DNSRefresher(store: store, log: log, resolve: resolve)
        } catch {
            throw CompileFailure(sentence: error.description)
        }
        // Which names aren't found yet the watch itself says.
        _ = compiler.look(for: configuration.watchedNames, by: names)
        let plain = try compiler.compile(configuration)
        var adjustments = Adjustments()
        if let stateFile {
            do throws(StateFile.Failure) {
                adjustments = try stateFile.load()
            } catch {
                stateFile.setAside()
                log.write(
                    .error,
                    "\(error.sentence); it is kept as \(stateFile.path).damaged, and the configured weights hold",
                    []
                )
            }
        }
        let found = adjustments
        for lost in adjustments.keepOnly(
            whatIsIn: plain,
            unfound: compiler.unfound(in: configuration)
        ) {
            log.write(.warning, lost.sentence, [])
        }
        var snapshot = adjustments.laid(on: plain)
        snapshot.generation = 1
        if adjustments != found, let stateFile {
            do throws(StateFile.Failure) {
                try stateFile.save(adjustments)
            } catch {
                log.write(.error, error.sentence, [])
            }
        }
        state = Mutex(
            State(
                configuration: configuration,
                compiler: compiler,
                plain: plain,
                snapshot: snapshot,
                adjustments: adjustments,
                access: try AdminAccess(configuration.admin)
            )
        )
        do throws(KernelFailure) {
            loop = try ControlLoop.start(name: "changes")
        } catch {
            throw CompileFailure(sentence: error.description)
        }
        watch = file.map { FileWatch($0, configuration) }
        if let watch {
            loop.repeatedly(every: .seconds(1)) { [weak self] in
                if watch.look() { self?.submit(.reload, by: "file") { _ in } }
            }
        }
        names.begin(every: configuration.dnsInterval) { [weak self] in
            self?.watchedNames() ?? []
        } found: { [weak self] name, addresses in
            self?.found(name, addresses)
        }
        announce(
            ChangeEvent(
                time: loop.wallTime,
                who: "start",
                kind: .start,
                message: "the gateway started"
            )
        )
    }

    // MARK: - Looking

    /// The configuration in force.
    package var configuration: Configuration { state.withLock { $0.configuration } }

    /// The snapshot in force.
    package var snapshot: Snapshot { state.withLock { $0.snapshot } }

    /// What was set at run time.
    package var adjustments: Adjustments { state.withLock { $0.adjustments } }

    /// Who may change something by the admin API.
    package var access: AdminAccess { state.withLock { $0.access } }

    /// The weights the file gives a model's revisions, in their order; nil for an unknown model.
    package func configuredWeights(of model: String) -> [Int]? {
        state.withLock { state in
            state.plain.models.first { $0.name == model }?.split.weights
        }
    }

    /// The weights the file gives all models' revisions, by model.
    package var configuredWeights: [String: [Int]] {
        let models = state.withLock { $0.plain.models }
        return Dictionary(models.map { ($0.name, $0.split.weights) }) { first, _ in first }
    }

    /// Tells `observer` of every change from now on, on the coordinator's thread, after it is in force.
    package func observe(_ observer: @escaping @Sendable (ChangeEvent) -> Void) {
        observers.withLock { $0.append(observer) }
    }

    // MARK: - Changing

    /// Makes the change, or refuses it, and then says so on the coordinator's thread.
    package func submit(
        _ change: Change,
        by who: String,
        then: @escaping @Sendable (Result<Applied, ChangeError>) -> Void
    ) {
        let count = pending.wrappingAdd(1, ordering: .relaxed).newValue
        guard count <= ChangeCoordinator.pendingMaximum else {
            pending.wrappingSubtract(1, ordering: .relaxed)
            then(.failure(ChangeError(.busy, "too many changes wait; try again in a moment")))
            return
        }
        loop.submit { [self] in
            pending.wrappingSubtract(1, ordering: .relaxed)
            let result: Result<Applied, ChangeError>
            do throws(ChangeError) {
                if try waits(change, by: who, then: then) { return }
                result = .success(try apply(change, by: who))
            } catch {
                result = .failure(error)
            }
            then(result)
        }
    }

    /// Makes the change and waits; never call it on the coordinator's thread or on the control loop.
    @discardableResult
    package func perform(_ change: Change, by who: String) -> Result<Applied, ChangeError> {
        let answer = Answer<Result<Applied, ChangeError>>()
        submit(change, by: who) { answer.put($0) }
        return answer.wait()
    }

    /// Notes what somebody else has done, such as a purge.
    package func note(_ kind: ChangeEvent.Kind, model: String?, by who: String, _ message: String) {
        announce(
            ChangeEvent(
                time: loop.wallTime,
                who: who,
                kind: kind,
                model: model,
                message: message
            )
        )
    }

    /// Ends the threads; changes that wait are dropped.
    package func stop() {
        names.stop()
        loop.stop()
    }

    private func apply(_ change: Change, by who: String) throws(ChangeError) -> Applied {
        switch change {
        case .reload: try reload(by: who)
        case .shift(let shift): try self.shift(shift, by: who)
        case .unshift(let model, _): try shift(configuredShift(of: model), by: who)
        case .backend(let model, let revision, let address, let state):
            try set(backend: address, of: revision, model, to: state, by: who)
        case .names: try learnNames(by: who)
        case .runtimes: try learnRuntimes()
        case .rollout(let model, let record): remember(rollout: record, of: model)
        }
    }

    // MARK: - Rollouts

    private func remember(rollout: JSONValue?, of model: String) -> Applied {
        let adjustments = state.withLock { state -> Adjustments? in
            // A model that has gone meanwhile leaves nothing that would come back with its name.
            guard state.plain.models.contains(where: { $0.name == model }) else { return nil }
            state.adjustments.change(model) { $0.rollout = rollout }
            return state.adjustments
        }
        guard let adjustments else { return Applied(snapshot: snapshot, notes: []) }
        return Applied(snapshot: snapshot, notes: save(adjustments))
    }

    // MARK: - What every change ends with

    func find(
        _ model: String,
        in state: State
    ) throws(ChangeError) -> (index: Int, plan: ModelPlan) {
        guard let index = state.snapshot.models.firstIndex(where: { $0.name == model }) else {
            throw ChangeError(.unknown, "unknown model '\(model)'")
        }
        return (index, state.snapshot.models[index])
    }

    /// Remembers and publishes the next generation; returns what went wrong on the side.
    func take(
        _ snapshot: Snapshot,
        _ adjustments: Adjustments,
        changed: [String]
    ) -> [String] {
        let notes = save(adjustments)
        publish(snapshot, changed: changed) { $0.adjustments = adjustments }
        return notes
    }

    /// Makes `snapshot` the next generation, with whatever belongs to it in the state.
    func publish(
        _ snapshot: Snapshot,
        changed: [String],
        certificates: [ListenerCertificate] = [],
        _ body: (inout State) -> Void
    ) {
        let taken = state.withLock { state in
            body(&state)
            state.generation += 1
            state.snapshot = snapshot
            state.snapshot.generation = state.generation
            for name in changed { state.changed[name] = state.generation }
            return state.snapshot
        }
        publish(taken, certificates)
    }

    func save(_ adjustments: Adjustments) -> [String] {
        guard let stateFile else { return [] }
        do throws(StateFile.Failure) {
            try stateFile.save(adjustments)
            return []
        } catch {
            // Whoever rolls back on a full disk must not be refused.
            let note = "\(error.sentence); the change holds until the gateway restarts"
            log.write(.error, note, [])
            return [note]
        }
    }

    func announce(_ event: ChangeEvent) {
        let event = events.add(event)
        log.write(.info, event.message, [("by", event.who)])
        for observer in observers.withLock({ $0 }) { observer(event) }
    }

    /// The time of day.
    var wallTime: WallTime { loop.wallTime }
}
