// A worker's own copy of the snapshot, compiled for speed.
//
// Plain classes confined to one loop: a reference count that two cores touch costs 76-93 ns, a
// private one is cheap, and the hot path goes by unmanaged references that the snapshot keeps
// alive. A request pins the snapshot it began with; a replaced one goes when its last request has.
import SluiceBalancing
import SluiceCache
import SluiceCore
import SluiceEgress
import SluiceHTTP
import SluiceInference
import SluiceRouting
import SluiceTelemetry

/// One snapshot as one worker sees it.
final class WorkerSnapshot {
    let snapshot: Snapshot
    let models: [WorkerModel]
    private let table: NameTable
    /// Requests that began on this snapshot and are not over.
    var requestCount = 0

    init(snapshot: Snapshot, models: [WorkerModel]) {
        self.snapshot = snapshot
        self.models = models
        table = NameTable(models.map { Array($0.plan.name.utf8) })
    }

    /// The model of that name; the snapshot keeps it alive.
    func model(named name: UnsafeRawBufferPointer) -> Unmanaged<WorkerModel>? {
        guard let index = unsafe table.find(name) else { return nil }
        return unsafe .passUnretained(models[index])
    }

    /// The models' names if they are few enough to be worth telling a caller who missed.
    var knownNames: String? {
        guard models.count <= 10 else { return nil }
        return models.map(\.plan.name).joined(separator: ", ")
    }
}

final class WorkerModel {
    let plan: ModelPlan
    let name: KeptBytes
    /// ``ModelPlan/timeout`` in nanoseconds.
    let timeout: Int64
    let revisions: [WorkerRevision]
    /// The forms of a prediction that some revision must be told in another form.
    let translated: [ResponseFormat.APIForm]
    /// Whether some revision must be told binary tensors over V2 REST in JSON.
    let readsOnlyJSON: Bool
    /// Whether some revision's runtime reads no compressed bodies over REST.
    let lacksDecoding: Bool
    /// Whether some revision's backends know the model by another name.
    let renames: Bool
    /// Whether no revision that is asked speaks V1, so that its status is ours to tell.
    let lacksV1: Bool
    /// Absent where the model isn't cached.
    let cacheMetrics: CacheMetrics?
    /// Absent unless it is cached row by row.
    let rowMetrics: RowMetrics?
    /// Absent where no revision is warmed.
    let hot: TopRequestSampler?
    /// Absent where the weights alone decide.
    let rules: WorkerRules?
    let splitMetrics: SplitMetrics
    /// Absent where callers may send as much as they like.
    let rateLimits: WorkerRateLimits?
    /// Absent where nothing is copied to a shadow.
    let mirror: WorkerMirror?
    /// A bit for each operation beyond predictions that some revision has answered well.
    var served: UInt64 = 0

    init(
        plan: ModelPlan,
        revisions: [WorkerRevision],
        cacheMetrics: CacheMetrics?,
        rowMetrics: RowMetrics?,
        hot: TopRequests?,
        splitMetrics: SplitMetrics,
        rateLimits: WorkerRateLimits?,
        mirrorMetrics: MirrorMetrics?
    ) {
        self.rateLimits = rateLimits
        mirror = plan.mirror.flatMap { mirror in
            mirrorMetrics.map {
                WorkerMirror(plan: mirror, revision: revisions[mirror.revision], metrics: $0)
            }
        }
        self.plan = plan
        rules = plan.rules.map { WorkerRules($0) }
        self.splitMetrics = splitMetrics
        name = KeptBytes(plan.name)
        timeout = plan.timeout.nanoseconds
        self.revisions = revisions
        // A shadow that no other request can reach doesn't make other requests wait to be whole.
        let asked = revisions.indices.filter {
            plan.mirror?.revision != $0 || plan.split.weights[$0] > 0
                || plan.rules?.mayRoute(to: $0) == true
        }
        translated = [.v1, .v2, .grpc].filter { form in
            asked.contains { revisions[$0].form(for: form) != form }
        }
        lacksV1 = asked.allSatisfy { revisions[$0].form(for: .v1) != .v1 }
        lacksDecoding = asked.contains { !revisions[$0].plan.runtimeKind.readsCodedBodies }
        renames = asked.contains { revisions[$0].plan.backendModelName != nil }
        readsOnlyJSON = asked.contains { revisions[$0].readsOnlyJSON }
        self.cacheMetrics = cacheMetrics
        self.rowMetrics = rowMetrics
        self.hot = hot.map { TopRequestSampler($0) }
    }

    /// Whether any backend that takes traffic answers.
    var isReady: Bool {
        for (index, revision) in revisions.enumerated()
        where plan.split.weights[index] > 0 && revision.isReady { return true }
        return false
    }
}

final class WorkerRevision {
    let plan: RevisionPlan
    let name: KeptBytes
    /// Model and revision as an access line has them where no backend was asked.
    let accessTarget: KeptBytes
    let backends: [WorkerBackend]
    let loads: [BackendLoad]
    /// Which backends speak REST, and which gRPC.
    let restBackends: BackendSet
    let grpcBackends: BackendSet
    /// Whether all that speak REST speak gRPC as well.
    private let restIsGRPC: Bool
    /// Whether its backends take V2 over REST, but no binary tensors.
    let readsOnlyJSON: Bool
    /// Whether any do.
    let hasREST: Bool
    let hasGRPC: Bool
    var picker: BackendPicker
    let balance: RevisionBalance
    let metrics: RevisionMetrics
    /// What its answers are kept under.
    let tag: CacheTag
    /// What makes its answers its own: another revision's requests have other keys.
    let identity: KeptBytes
    /// What its worker calls it by, over all snapshots in which it is the same.
    let number: UInt32
    /// What its worker calls the heads of its answers from the cache (``FieldBlock/repeatName``): the same
    /// for revisions of the same name, which is all that such a head says.
    let answerName: HeadName
    var rows = RowCachingState()

    init(
        plan: RevisionPlan,
        model: String,
        backends: [WorkerBackend],
        balancing: LoadBalancing,
        resilience: ResiliencePlan,
        start: Int,
        metrics: RevisionMetrics,
        tag: CacheTag,
        number: UInt32,
        answerName: HeadName
    ) {
        self.tag = tag
        self.answerName = answerName
        self.number = number
        identity = KeptBytes(plan.identity)
        self.plan = plan
        name = KeptBytes(plan.name)
        accessTarget = KeptBytes(AccessTarget.text(model: model, revision: plan.name))
        self.backends = backends
        loads = backends.map(\.plan.load)
        var (rest, grpc) = (BackendSet(), BackendSet())
        for (index, backend) in backends.enumerated() {
            if backend.rest != nil { rest.insert(index) }
            if backend.grpc != nil { grpc.insert(index) }
        }
        restBackends = rest
        grpcBackends = grpc
        restIsGRPC = backends.allSatisfy { $0.rest == nil || $0.grpc != nil }
        readsOnlyJSON =
            !rest.isEmpty && plan.runtime.speaksV2 && plan.runtimeKind.tensorForm == .json
        hasREST = !rest.isEmpty
        hasGRPC = !grpc.isEmpty
        picker = RevisionBalance.picker(
            resilience,
            plan.board,
            backends.map(\.plan),
            balancing,
            start: start
        )
        balance = RevisionBalance(
            resilience,
            plan.board,
            backends.map(\.plan),
            balancing,
            picker
        )
        self.metrics = metrics
    }

    /// The form in which its backends take a prediction that came as `form`.
    func form(for form: ResponseFormat.APIForm) -> ResponseFormat.APIForm {
        guard !restBackends.isEmpty || !grpcBackends.isEmpty else { return form }
        if form == .grpc ? !grpcBackends.isEmpty : restBackends.isEmpty { return .grpc }
        if !plan.runtime.speaksV2 { return .v1 }
        return !plan.runtime.speaksV1 || form == .grpc ? .v2 : form
    }

    /// The forms in which binary tensors that came over REST are told to backends that read only JSON
    /// there: the first, and another for what the first can't express.
    ///
    /// gRPC carries them as they are, but servers take at most 4 MiB over it unless they are told
    /// otherwise; REST takes any size. `count` is that of the body.
    func formsOfBinary(
        count: Int
    ) -> (first: ResponseFormat.APIForm, other: ResponseFormat.APIForm?) {
        guard !grpcBackends.isEmpty else { return (.v2, nil) }
        return restIsGRPC && count < 4 << 20 ? (.grpc, .v2) : (.v2, .grpc)
    }

    /// Whether a backend is up.
    var isReady: Bool { loads.contains { $0.health == .up } }

    /// Whether a backend may be tried.
    var isUsable: Bool { loads.contains { $0.health != .down } }
}

final class WorkerBackend {
    let plan: BackendPlan
    let label: KeptBytes
    /// Model, revision and backend as an access line has them.
    let accessTarget: KeptBytes
    let rest: BackendRoute?
    let grpc: BackendRoute?
    let load: BackendLoad
    let metrics: BackendMetrics
    /// What heads that go to it or come from it are called by what becomes of them; see ``HeadUse``.
    let use: UInt64
    /// Absent where requests go to it as to any other.
    let additions: BackendAdditions?

    init(
        plan: BackendPlan,
        model: String,
        revision: String,
        rest: BackendRoute?,
        grpc: BackendRoute?,
        metrics: BackendMetrics,
        use: UInt64
    ) {
        self.use = use
        self.plan = plan
        label = KeptBytes(plan.label)
        accessTarget = KeptBytes(
            AccessTarget.text(model: model, revision: revision, backend: plan.label)
        )
        self.rest = rest
        self.grpc = grpc
        load = plan.load
        self.metrics = metrics
        additions = BackendAdditions(plan)
    }

    /// The way for requests of that kind.
    ///
    /// Unmanaged, as every request asks for it: it lives as long as the backend.
    func route(_ backendProtocol: RequestProtocol) -> Unmanaged<BackendRoute>? {
        unsafe (backendProtocol == .grpc ? grpc : rest).map { unsafe Unmanaged.passUnretained($0) }
    }
}

/// One worker's way to one endpoint; kept over reloads while the endpoint stays the same.
final class BackendRoute {
    let target: BackendTarget
    let authority: KeptBytes
    let isSecure: Bool
    let pool: ConnectionPool

    init(target: BackendTarget, pool: ConnectionPool) {
        self.target = target
        authority = KeptBytes(target.authority)
        isSecure = target.endpoint.tls != nil
        self.pool = pool
    }
}

/// Names to their numbers, looked up by bytes: open addressing.
struct NameTable {
    private let names: [[UInt8]]
    private let slots: [Int32]

    init(_ names: [[UInt8]]) {
        self.names = names
        var capacity = 4
        while capacity < names.count * 2 { capacity *= 2 }
        var slots = [Int32](repeating: -1, count: capacity)
        for (number, name) in names.enumerated() {
            var index = unsafe name.withUnsafeBytes { unsafe NameTable.home($0) } & (capacity - 1)
            while slots[index] >= 0 { index = (index + 1) & (capacity - 1) }
            slots[index] = Int32(number)
        }
        self.slots = slots
    }

    func find(_ name: UnsafeRawBufferPointer) -> Int? {
        var index = unsafe NameTable.home(name) & (slots.count - 1)
        while slots[index] >= 0 {
            let number = Int(slots[index])
            let isEqual = unsafe names[number].withUnsafeBytes { candidate in
                guard candidate.count == name.count, let left = candidate.baseAddress,
                    let right = name.baseAddress
                else { return false }
                return unsafe ShortBytes.equal(left, right, count: name.count)
            }
            if isEqual { return number }
            index = (index + 1) & (slots.count - 1)
        }
        return nil
    }

    private static func home(_ name: UnsafeRawBufferPointer) -> Int {
        unsafe Int(truncatingIfNeeded: TableHash.hash(name) >> 1)
    }
}
