import SluiceBalancing
import SluiceCache
package import SluiceConfiguration
import SluiceCore
import SluiceEgress
package import SluiceGateway
import SluiceIO
import SluiceInference
import SluiceRouting
import SluiceTLS

/// Why a valid configuration can't run here: a certificate that doesn't load, an address that is
/// taken.
package struct CompileFailure: Error, Sendable {
    /// What is wrong and what to do.
    package let sentence: String
    /// Whether it is only that another process has an address, which it may let go.
    var isAddressTaken = false

    /// A failure.
    package init(sentence: String) { self.sentence = sentence }
}

/// Turns a configuration into the data plane's input.
///
/// Keeps the load board's lines by backend, so that a backend that stays configured keeps its
/// health and counts over a reload.
package struct SnapshotCompiler: Sendable {
    private let board = BackendLoads()
    private var loads: [String: BackendLoad] = [:]
    private var notes: [String: HealthNote] = [:]
    private var contexts = ClientContexts()
    private var slots: [String: SignatureSlot] = [:]
    private var runtimes: [String: RuntimeSlot] = [:]
    private var gates: [String: MirrorGate] = [:]
    private var sharedStates: [String: RevisionSharedState] = [:]
    private var limiters = RateLimiterRegistry()
    private var hasCompiled = false
    /// What names of backends were last found to be.
    private(set) var addresses: [HostName: [SocketAddress]] = [:]
    private var wanted: Set<HostName> = []

    /// A compiler that has seen no configuration.
    package init() {}

    /// Takes what a name was found to be; false when that is what is known.
    mutating func learn(_ addresses: [SocketAddress], of name: HostName) -> Bool {
        guard isNews(addresses, of: name) else { return false }
        self.addresses[name] = SnapshotCompiler.ordered(addresses)
        return true
    }

    /// Whether a backend's name was something else when it was last found.
    func isNews(_ addresses: [SocketAddress], of name: HostName) -> Bool {
        wanted.contains(name) && self.addresses[name] != SnapshotCompiler.ordered(addresses)
    }

    private static func ordered(_ addresses: [SocketAddress]) -> [SocketAddress] {
        addresses.sorted { $0.description < $1.description }
    }

    /// Looks up the names that are not known yet and forgets those that are not in use; returns a
    /// sentence for each that isn't found now, which doesn't stop anything: it is looked up again.
    mutating func look(for names: [HostName], by watch: DNSRefresher) -> [String] {
        wanted = Set(names)
        let wanted = wanted
        addresses = addresses.filter { wanted.contains($0.key) }
        let unknown = names.filter { addresses[$0] == nil }
        // What is known to fail is being looked for already; waiting for it would delay every reload.
        let found = watch.look(
            for: unknown.filter { watch.failure(of: $0) == nil },
            timeout: ChangeCoordinator.nameTimeout
        )
        var notes: [String] = []
        for name in unknown {
            if let addresses = found[name] {
                _ = learn(addresses, of: name)
            } else {
                notes.append(
                    "\(name.text) can't be looked up yet (\(watch.failure(of: name) ?? "no answer")); its backends come when it can"
                )
            }
        }
        return notes
    }

    /// Reads the certificates and keys towards backends again when it next compiles.
    mutating func readFilesAnew() { contexts.readAnew() }

    /// Says of a model's revision whether it has a name that has not been found yet.
    func unfound(in configuration: Configuration) -> (String, String) -> Bool {
        var unfound: Set<[String]> = []
        for model in configuration.models {
            for revision in model.revisions {
                let isUnfound = revision.allBackends.contains { backend in
                    [backend.rest, backend.grpc].contains { url in
                        guard let url, !url.name.isNumeric else { return false }
                        return addresses[url.name] == nil
                    }
                }
                if isUnfound { unfound.insert([model.name, revision.name]) }
            }
        }
        return { unfound.contains([$0, $1]) }
    }

    /// The snapshot, its generation not counted yet; loads certificates, so it may block.
    package mutating func compile(_ configuration: Configuration) throws(CompileFailure) -> Snapshot
    {
        var models: [ModelPlan] = []
        var used: [String: BackendLoad] = [:]
        var slots: [String: SignatureSlot] = [:]
        var runtimes: [String: RuntimeSlot] = [:]
        var sharedStates: [String: RevisionSharedState] = [:]
        for model in configuration.models {
            var revisions: [RevisionPlan] = []
            for revision in model.revisions {
                var backends: [BackendPlan] = []
                let key = "\(model.name)\u{0}\(revision.name)\u{0}\(revision.modelName ?? "")"
                let slot = SnapshotCompiler.slot(self.slots[key], model.tensors)
                slots[key] = slot
                let found = self.runtimes[key] ?? RuntimeSlot()
                runtimes[key] = found
                let runtime =
                    revision.runtimeKind.map { Runtime($0) } ?? found.runtime ?? Runtime(.generic)
                let metadata = MetadataPlan(
                    modelName: revision.modelName ?? model.name,
                    slot: slot,
                    runtime: runtime,
                    runtimes: revision.runtimeKind == nil ? found : nil
                )
                let place = "\(model.name)\u{0}\(revision.name)"
                let board = self.sharedStates[place] ?? RevisionSharedState()
                sharedStates[place] = board
                for backend in revision.allBackends {
                    backends += try plans(
                        backend,
                        model,
                        revision,
                        metadata,
                        configuration,
                        &used
                    )
                }
                found.keepOnly(Set(backends.map(\.label)))
                revisions.append(
                    RevisionPlan(
                        name: revision.name,
                        backendModelName: revision.modelName,
                        backends: backends,
                        runtime: runtime,
                        signature: slot,
                        board: board
                    )
                )
            }
            models.append(
                ModelPlan(
                    name: model.name,
                    timeout: model.timeout,
                    balancing: model.loadBalancing,
                    split: TrafficSplit(weights: model.revisions.map(\.traffic)),
                    revisions: revisions,
                    cache: model.cache.map {
                        CachePolicy(
                            timeToLive: $0.ttl,
                            staleWhileRevalidate: $0.staleWhileRevalidate,
                            staleIfError: $0.staleIfError,
                            rows: $0.rows,
                            warm: $0.warm.map { WarmPolicy(top: $0.top, rate: $0.rate) }
                        )
                    },
                    rules: SnapshotCompiler.rules(model),
                    mirror: mirror(model),
                    resilience: SnapshotCompiler.resilience(model, limiters.limiters(of: model))
                )
            )
        }
        // A backend that left keeps its counts until its last request has ended: it may come back.
        loads = loads.filter { $0.value.inFlight > 0 }.merging(used) { _, new in new }
        notes = notes.filter { used[$0.key] != nil }
        contexts.keepOnly(configuration)
        self.slots = slots
        self.runtimes = runtimes
        gates = gates.filter { gate in models.contains { $0.name == gate.key } }
        self.sharedStates = sharedStates
        limiters.keepOnly(configuration.models)
        hasCompiled = true
        return Snapshot(
            generation: 0,
            models: models,
            maxRequestBytes: configuration.limits.maxRequestBytes,
            board: board
        )
    }

    /// The model's shadow; its gate goes on counting the copies that are under way.
    private mutating func mirror(_ model: Configuration.Model) -> MirrorPlan? {
        guard let mirror = model.mirror,
            let place = model.revisions.firstIndex(where: { $0.name == mirror.revision })
        else { return nil }
        let gate = gates[model.name] ?? MirrorGate()
        gates[model.name] = gate
        return MirrorPlan(
            revision: place,
            share: mirror.share,
            maxInFlight: mirror.maxInFlight,
            maxBytes: mirror.maxBytes,
            tolerance: mirror.compare ? mirror.tolerance : nil,
            gate: gate
        )
    }

    /// What a listener presents, read from its files; nil for one without TLS.
    static func certificates(
        of listener: Configuration.Listener
    ) throws(CompileFailure) -> TLSServerContext? {
        guard let tls = listener.tls else { return nil }
        do throws(TLSFailure) {
            return try TLSServerContext(
                certificateFile: tls.certificate,
                keyFile: tls.privateKey,
                clientCAFile: tls.clientCA
            )
        } catch {
            throw CompileFailure(
                sentence: "listener \(listener.address.text): \(error.description)"
            )
        }
    }

    private static func resilience(
        _ model: Configuration.Model,
        _ limiters: [RateLimiter]
    ) -> ResiliencePlan {
        var plan = ResiliencePlan()
        plan.rateLimiters = limiters
        plan.concurrency = model.adaptiveConcurrency
        plan.outlier = model.resilience.outlier
        plan.slowStart = model.resilience.slowStart
        plan.retry = model.resilience.retry
        plan.hedge = model.resilience.hedge
        plan.maxQueue = model.resilience.maxQueue
        plan.queueTimeout =
            model.resilience.queueTimeout ?? min(model.timeout, plan.queueTimeout)
        plan.hashOn = model.resilience.hashOn
        return plan
    }

    /// The slot for a model's tensors; the same while what the configuration says of them is.
    private static func slot(
        _ known: SignatureSlot?,
        _ configured: ModelSignature?
    ) -> SignatureSlot {
        if let known, known.configured == configured { return known }
        return SignatureSlot(configured: configured)
    }

    // MARK: - What is kept from one snapshot to the next

    /// The backend's line on the board.
    func line(for key: String, _ used: inout [String: BackendLoad]) -> BackendLoad {
        let load = used[key] ?? loads[key] ?? board.add(isNewcomer: hasCompiled)
        used[key] = load
        return load
    }

    /// What its probe finds wrong.
    mutating func note(for key: String) -> HealthNote {
        let note = notes[key] ?? HealthNote()
        notes[key] = note
        return note
    }

    /// The context for TLS to a backend.
    mutating func context(
        for tls: Configuration.BackendTLS?,
        isGRPC: Bool
    ) throws(TLSFailure) -> (context: TLSClientContext, version: Int) {
        try contexts.context(for: tls, isGRPC: isGRPC)
    }
}
