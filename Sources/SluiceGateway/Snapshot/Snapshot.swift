package import SluiceBalancing
package import SluiceCache
package import SluiceCore
package import SluiceEgress
package import SluiceInference
package import SluiceRouting

/// The data plane's whole input: immutable, numbered, handed to every worker as one value.
package struct Snapshot: Sendable {
    /// Counts the configurations this process has run, from 1.
    package var generation: Int
    package var models: [ModelPlan]
    /// Bytes of one request's body, at most (`limits.maxRequestBytes`).
    package var maxRequestBytes: Int
    /// What the loads of its backends live in; kept so that they live as long as the snapshot.
    private let board: BackendLoads?

    /// A snapshot; its number is above all earlier ones'.
    package init(
        generation: Int,
        models: [ModelPlan],
        maxRequestBytes: Int,
        board: BackendLoads? = nil
    ) {
        self.board = board
        self.generation = generation
        self.models = models
        self.maxRequestBytes = maxRequestBytes
    }
}

/// One model and how its requests are shared.
package struct ModelPlan: Sendable {
    package var name: String
    /// The longest a unary request may take.
    package var timeout: Duration
    package var balancing: LoadBalancing
    package var split: TrafficSplit
    package var revisions: [RevisionPlan]
    /// How long answers are kept; nil keeps none.
    package var cache: CachePolicy?
    /// What happens when backends fail or are full.
    package var resilience: ResiliencePlan
    /// What comes before the weights; nil where nothing does.
    package var rules: TrafficRules?
    /// The shadow that gets copies of some requests; nil copies none.
    package var mirror: MirrorPlan?

    /// A model as configured.
    package init(
        name: String,
        timeout: Duration,
        balancing: LoadBalancing,
        split: TrafficSplit,
        revisions: [RevisionPlan],
        cache: CachePolicy? = nil,
        rules: TrafficRules? = nil,
        mirror: MirrorPlan? = nil,
        resilience: ResiliencePlan = ResiliencePlan()
    ) {
        self.resilience = resilience
        self.cache = cache
        self.rules = rules
        self.mirror = mirror
        self.name = name
        self.timeout = timeout
        self.balancing = balancing
        self.split = split
        self.revisions = revisions
    }
}

/// One revision of a model.
package struct RevisionPlan: Sendable {
    package var name: String
    /// The model's name at the backends, if it differs.
    package var backendModelName: String?
    package var backends: [BackendPlan]
    /// What its backends can, as configured or found.
    package var runtime: Runtime
    /// What its model takes and gives, once a backend has told.
    package var signature: SignatureSlot
    /// What workers share of it; the same across reloads while the revision stays configured.
    package var board: RevisionSharedState
    /// What makes its answers its own: another revision's requests have other cache keys.
    var identity: String { "\(name)\u{0}\(backendModelName ?? "")" }

    /// A revision as configured.
    package init(
        name: String,
        backendModelName: String?,
        backends: [BackendPlan],
        runtime: Runtime = Runtime(.generic),
        signature: SignatureSlot = SignatureSlot(),
        board: RevisionSharedState = RevisionSharedState()
    ) {
        self.board = board
        self.runtime = runtime
        self.signature = signature
        self.name = name
        self.backendModelName = backendModelName
        self.backends = backends
    }

    /// What its backends say differently from others.
    var runtimeKind: RuntimeKind { runtime.runtimeKind }
}

/// What an operator has said of a backend.
package enum BackendState: String, Sendable, CaseIterable {
    /// It takes requests while it is well.
    case ready
    /// It takes no new requests; it is still probed, so that its health is known.
    case drain
    /// It takes no requests and isn't probed.
    case maint
}

/// One replica; one without `rest` and `grpc` stands for a name that has no address yet, and is never
/// asked.
package struct BackendPlan: Sendable {
    /// How it is called in metrics, logs and headers: `host:port` of what it speaks first.
    package var label: String
    /// Whether it may take requests at all.
    package var state = BackendState.ready
    /// Where REST requests go, if it speaks REST.
    package var rest: BackendTarget?
    /// Where gRPC requests go, if it speaks gRPC.
    package var grpc: BackendTarget?
    /// Its line on the shared board; the same across reloads while the backend stays configured.
    package var load: BackendLoad
    /// The names that led here; none where it was given by address.
    package var names: [HostName]
    /// What its probe finds wrong; the same across reloads, as ``load`` is.
    package var note: HealthNote
    /// What the probe asks for (`health.path`).
    package var probePath: String
    /// What the probe asks for where there is no such path; nil asks for nothing else.
    package var probePathV1: String?
    /// How often the probe asks.
    package var probeInterval: Duration
    /// How long the probe waits.
    package var probeTimeout: Duration
    /// What is to be found out beside its health; nil is nothing.
    package var metadata: MetadataPlan?
    /// Its part beside the others'; 0 takes no new requests.
    package var weight: Int
    /// Requests it may have at once; 0 is no limit.
    package var maxInFlight: Int
    /// What each request to it says besides; absent for most.
    package var fields: BackendFields?

    /// A replica as configured.
    package init(
        label: String,
        rest: BackendTarget?,
        grpc: BackendTarget?,
        load: BackendLoad,
        names: [HostName] = [],
        note: HealthNote = HealthNote(),
        probePath: String,
        probePathV1: String? = nil,
        probeInterval: Duration,
        probeTimeout: Duration,
        metadata: MetadataPlan? = nil,
        weight: Int = 1,
        maxInFlight: Int = 0
    ) {
        self.weight = weight
        self.maxInFlight = maxInFlight
        self.metadata = metadata
        self.label = label
        self.rest = rest
        self.grpc = grpc
        self.load = load
        self.names = names
        self.note = note
        self.probePath = probePath
        self.probePathV1 = probePathV1
        self.probeInterval = probeInterval
        self.probeTimeout = probeTimeout
    }
}

extension BackendPlan {
    /// Whether there is anything to ask.
    package var hasAddress: Bool { rest != nil || grpc != nil }

    /// Whether it takes requests while it is well.
    var takesRequests: Bool { hasAddress && state == .ready }
}

extension Snapshot {
    /// Makes what takes long to make, so that no worker has to.
    func prepare() {
        for model in models where model.balancing == .ringHash {
            for revision in model.revisions {
                let taken = revision.backends.filter(\.takesRequests)
                _ = revision.board.rings.ring(of: taken.map { ($0.label, $0.weight) })
            }
        }
    }
}

/// How a backend is asked what it is, and what its model takes and gives.
package struct MetadataPlan: Sendable {
    /// The model's name there.
    package var modelName: String
    package var slot: SignatureSlot
    /// What the backend is known to be, as configured or found.
    package var runtime: Runtime
    /// Where it is noted what the backend is; nil where an operator has said.
    package var runtimes: RuntimeSlot?

    /// Questions to be asked once.
    package init(
        modelName: String,
        slot: SignatureSlot,
        runtime: Runtime,
        runtimes: RuntimeSlot?
    ) {
        self.modelName = modelName
        self.slot = slot
        self.runtime = runtime
        self.runtimes = runtimes
    }
}

/// An endpoint with the authority its requests carry.
package struct BackendTarget: Sendable {
    /// What makes two targets the same for keeping connections over a reload.
    package var key: String
    package var endpoint: Endpoint
    /// `host:port` as configured, for `:authority` and `host`.
    package var authority: String
    /// What stands before our paths there (`/base`); nothing for most, and for gRPC.
    package var basePath = ""

    /// A target as configured.
    package init(key: String, endpoint: Endpoint, authority: String) {
        self.key = key
        self.endpoint = endpoint
        self.authority = authority
    }
}
