import SluiceBalancing
import SluiceCache
package import SluiceCore
import SluiceEgress
import SluiceHTTP
package import SluiceIO
package import SluiceIngress
package import SluiceTelemetry

// One core's everything: what the steps of a request share. The steps are extensions, in folders in the
// order of the path; `LifeOfARequest.md` walks through them.
//
//   client ──► Intake ──► Selection ──► Lookup ──► Attempt ◄──► backend
//                │            │           │           │
//                └────────────┴───────────┴───────────┴──► Reply ──► Record
//
// Everything here runs on the worker's own thread. The outside sends it messages.

/// One event loop's share of the gateway.
@safe
package final class Worker: RequestHandler, ResponseReceiver, TimerTarget {
    /// What all workers share.
    package struct Shared: Sendable {
        package var store: MetricStore
        package var accessLog: AccessChannel?
        package var connectionCount: ConnectionCount
        package var readiness: GatewayReadiness
        package var mailboxes: WorkerMailboxes
        /// Absent: nothing is kept.
        package var cache: ResultCache?
        /// Where long work goes; absent: it is done on the loops.
        package var offload: (any Offloading)?
        /// The version that `GET /v2` and metrics show.
        package var version: String

        /// The shared parts.
        package init(
            store: MetricStore,
            accessLog: AccessChannel?,
            connectionCount: ConnectionCount,
            readiness: GatewayReadiness,
            mailboxes: WorkerMailboxes,
            cache: ResultCache?,
            offload: (any Offloading)?,
            version: String
        ) {
            self.store = store
            self.accessLog = accessLog
            self.connectionCount = connectionCount
            self.readiness = readiness
            self.mailboxes = mailboxes
            self.cache = cache
            self.offload = offload
            self.version = version
        }
    }

    deinit {
        requests.deallocate()
        paths.deallocate()
    }

    /// The loop it runs on.
    package let loop: EventLoop
    let arena: HTTPArena
    // What the loop and the arena hold, once more: reaching it through them counts references.
    let buffers: BufferPool
    let blocks: FieldBlockPool
    let shared: Shared
    /// Work on more bytes than this is for a helper thread, where there are any.
    let turnLimit: Int
    // Workers would fight over its reference count.
    let cache: Unmanaged<ResultCache>?
    let shard: MetricShard
    let codes: CodeTable
    let unmatched: RevisionMetrics
    let log: AccessBuffer?
    var random: RandomSource
    let requests = Slab(stride: RequestSlot.size, alignment: RequestSlot.lineSize)
    /// The snapshot that new requests use.
    var workerSnapshot: WorkerSnapshot
    var retired: [WorkerSnapshot] = []
    private var routes: [String: BackendRoute] = [:]
    private var revisionNames = RevisionNames()
    var listeners: [IngressListener] = []
    /// Whether new requests are refused because the process is short of memory.
    var isShedding = false
    /// Streams of `grpc.health.v1.Health/Watch`, with what they were last told.
    var watchers: [UnsafeMutableRawPointer: (service: String, status: Int)] = unsafe [:]
    /// Refusals that wait for their client to finish sending.
    var errorReplies: [UnsafeMutableRawPointer: ErrorReply] = unsafe [:]
    private var watchTimer = TimerID.none
    private var logTimer = TimerID.none
    let number: Int
    /// Requests that wait for another worker's message, by their token.
    var waiting = TokenTable()
    var nextToken: UInt64 = 0
    /// Requests whose body is with a helper thread, by their token.
    var offloaded = TokenTable()
    /// What tells helper threads that such a request is over, by its token.
    var gone: [UInt64: Flag] = [:]
    /// Answers that a helper thread makes ready to be kept, by their token.
    var keeping: [UInt64: LongKeep] = [:]
    /// Copies for shadows, by their number, and those that something is to be done about.
    var copies: [UInt64: MirroredCall] = [:]
    var mirrorWork: [MirroredCall] = []
    var copyCount: UInt64 = 0
    var queues = WorkerQueues()
    var arrivals = ArrivalQueue()
    let paths = PathMemo()
    var codec: PredictCodec
    var memo = ExactRequestKeyCache()
    var prefetched: PrefetchedMessage?
    /// What the compressed message under way decodes to; holds something during one call only.
    var decoded = PooledBytes()
    var mindsOrigins = false
    /// Absent until a revision is warmed.
    var cacheWarmer: CacheWarmer?
    /// Tier 2, if there is one.
    var redis: RedisConnection?
    var redisNames: RedisNames?

    /// Nanoseconds to add to the loop's time for the time of day.
    private(set) var wallOffset: Int64

    private static let watchInterval = Duration.milliseconds(500)
    private static let lineInterval = Duration.milliseconds(100)
    private static let logInterval = Duration.milliseconds(200)

    /// A worker without models or listeners.
    package init(loop: EventLoop, number: Int, shared: Shared) {
        self.loop = loop
        self.shared = shared
        turnLimit = shared.offload == nil ? .max : Worker.turnMaximum
        unsafe cache = unsafe shared.cache.map { unsafe .passUnretained($0) }
        self.number = number
        buffers = loop.buffers
        arena = HTTPArena(buffers: buffers)
        blocks = arena.blocks
        codec = PredictCodec(pool: buffers)
        shard = shared.store.makeShard()
        codes = CodeTable(store: shared.store)
        unmatched = RevisionMetrics(
            store: shared.store,
            codes: codes,
            model: "-",
            revision: "-"
        )
        log = shared.accessLog.map { AccessBuffer(channel: $0) }
        let wall = loop.kernel.wallClock()
        wallOffset = wall - loop.kernel.now().nanoseconds
        random = RandomSource(seed: UInt64(bitPattern: wall) &+ UInt64(number) &* 0x9E37_79B9)
        workerSnapshot = WorkerSnapshot(
            snapshot: Snapshot(generation: 0, models: [], maxRequestBytes: 64 << 20),
            models: []
        )
        if log != nil {
            logTimer = loop.setTimer(after: Worker.logInterval, target: self, tag: Tag.log)
        }
        startRedis()
    }

    /// What a timer was set for; anything above is a request's address.
    enum Tag {
        static let log: UInt = 1
        static let watch: UInt = 2
        static let queues: UInt = 3
        static let arrivals: UInt = 4
    }

    // MARK: - Configuration

    /// Uses `snapshot` for every request that begins from now on.
    ///
    /// Endpoints that stay keep their connections. Requests under way finish on the snapshot
    /// they began with.
    package func publish(_ snapshot: Snapshot) {
        var kept: [String: BackendRoute] = [:]
        revisionNames.begin()
        let models = snapshot.models.map { plan in
            WorkerModel(
                plan: plan,
                revisions: plan.revisions.map { revision in
                    WorkerRevision(
                        plan: revision,
                        model: plan.name,
                        backends: backends(of: revision, model: plan.name, keeping: &kept),
                        balancing: plan.balancing,
                        resilience: plan.resilience,
                        start: number,
                        metrics: revisionNames.metrics(
                            of: revision.name,
                            in: plan.name,
                            store: shared.store,
                            codes: codes
                        ),
                        tag: CacheTag(model: plan.name, revision: revision.name),
                        number: revisionNames.number(of: revision, in: plan.name),
                        answerName: revisionNames.answer(of: revision.name)
                    )
                },
                cacheMetrics: plan.cache == nil
                    ? nil : CacheMetrics(store: shared.store, plan: plan),
                rowMetrics: plan.cache?.rows == true
                    ? RowMetrics(store: shared.store, model: plan.name) : nil,
                hot: plan.cache?.warm.flatMap {
                    shared.cache?.topRequests(of: plan.name, $0, at: loop.now)
                },
                splitMetrics: SplitMetrics(store: shared.store, plan: plan),
                rateLimits: WorkerRateLimits(plan, shared.store),
                mirrorMetrics: plan.mirror.map {
                    MirrorMetrics(
                        store: shared.store,
                        model: plan.name,
                        revision: plan.revisions[$0.revision].name
                    )
                }
            )
        }
        for model in models where model.revisions.count > 1 {
            for revision in model.revisions { revision.metrics.countAnswers() }
        }
        let old = workerSnapshot
        workerSnapshot = WorkerSnapshot(snapshot: snapshot, models: models)
        workerSnapshot.keepRowCachingState(of: old)
        for (key, route) in routes.sorted(by: { $0.key < $1.key }) where kept[key] == nil {
            route.pool.close()
        }
        routes = kept
        revisionNames.end()
        if old.requestCount > 0 { retired.append(old) }
        wallOffset = loop.kernel.wallClock() - loop.kernel.now().nanoseconds
    }

    /// The backends that may take requests; one that drains keeps its connections for its return.
    private func backends(
        of revision: RevisionPlan,
        model: String,
        keeping kept: inout [String: BackendRoute]
    ) -> [WorkerBackend] {
        var taken: [WorkerBackend] = []
        for plan in revision.backends where plan.hasAddress {
            let made = backend(plan, model: model, revision: revision.name, keeping: &kept)
            if plan.takesRequests { taken.append(made) }
        }
        return taken
    }

    private func backend(
        _ plan: BackendPlan,
        model: String,
        revision: String,
        keeping kept: inout [String: BackendRoute]
    ) -> WorkerBackend {
        WorkerBackend(
            plan: plan,
            model: model,
            revision: revision,
            rest: route(to: plan.rest, load: plan.load, keeping: &kept),
            grpc: route(to: plan.grpc, load: plan.load, keeping: &kept),
            metrics: BackendMetrics(
                store: shared.store,
                codes: codes,
                model: model,
                revision: revision,
                backend: plan.label
            ),
            use: revisionNames.use()
        )
    }

    private func route(
        to target: BackendTarget?,
        load: BackendLoad,
        keeping kept: inout [String: BackendRoute]
    ) -> BackendRoute? {
        guard let target else { return nil }
        if let known = kept[target.key] ?? routes[target.key] {
            kept[target.key] = known
            return known
        }
        let pool = ConnectionPool(
            loop: loop,
            arena: arena,
            endpoint: target.endpoint,
            receiver: self
        )
        pool.connectOutcome = { failure in
            // A refusal takes the backend out at once; only its probe brings it back.
            if failure != nil { load.health = .down }
        }
        let backend = target.endpoint.address.description
        let hold = shared.store.hold(backend: backend)
        pool.keepAliveTimedOut = { [shared, shard, hold] in
            _ = hold
            shard.add(shared.store.counter(GatewayMetrics.backendKeepAliveTimeouts, [backend]))
        }
        let made = BackendRoute(target: target, pool: pool)
        kept[target.key] = made
        return made
    }

    // MARK: - What is open

    /// Client connections and requests that are still open; a shadow's don't keep us.
    package var openWork: Int {
        listeners.reduce(requests.liveCount - copies.count) { $0 + $1.connectionCount }
    }

    /// Requests of callers that are under way.
    package var openRequestCount: Int { requests.liveCount - copies.count }

    /// Records that are handed out: requests, HTTP/2 streams, heads; zero when all is quiet.
    package var liveRecordCount: Int {
        requests.liveCount + arena.openStreamCount + arena.blocks.liveCount
    }

    /// Closes everything at once.
    package func closeAll() {
        for listener in listeners { listener.closeAll() }
        // They hold the worker as it holds them.
        listeners.removeAll()
        closeMirrors()
        cacheWarmer?.close()
        for route in routes.sorted(by: { $0.key < $1.key }) { route.value.pool.closeAll() }
        settleQueues()
        loop.endOfTick = nil
        redis?.close()
        log?.flush()
        loop.cancelTimer(&logTimer)
        loop.cancelTimer(&watchTimer)
        loop.cancelTimer(&queues.timer)
    }

    // MARK: - Timers

    package func timerFired(_ tag: UInt, at now: Instant) {
        switch tag {
        case Tag.log:
            log?.flush()
            logTimer = loop.setTimer(after: Worker.logInterval, target: self, tag: Tag.log)
        case Tag.watch:
            watchTimer = .none
            tellWatchers()
            armWatchTimer()
        case Tag.queues:
            queues.timer = .none
            lookAgain()
        case Tag.arrivals: refuseLateArrivals()
        default:
            guard let request = unsafe Request(bitPattern: tag) else { return }
            unsafe requestTimerFired(request)
        }
    }

    /// Sees to it that health watchers hear of changes.
    func armWatchTimer() {
        guard watchTimer == .none, unsafe !watchers.isEmpty else { return }
        watchTimer = loop.setTimer(after: Worker.watchInterval, target: self, tag: Tag.watch)
    }

    /// Sees to it that those who wait in the queue are looked after even if no answer comes.
    func armLineTimer() {
        guard queues.timer == .none, unsafe !queues.queued.isEmpty else { return }
        queues.timer = loop.setTimer(after: Worker.lineInterval, target: self, tag: Tag.queues)
    }

    /// Sees to it that what is put off is done when this tick has written what it has to say.
    ///
    /// The loop has one place for that, which mirrors and limits share and leave free when both are
    /// done.
    func watchTickEnd() {
        guard loop.endOfTick == nil else { return }
        loop.endOfTick = { [unowned self] in
            workOnMirrors()
            // Last: a copy that came to nothing gives a place back as well.
            settleQueues()
            if mirrorWork.isEmpty { loop.endOfTick = nil } else { loop.waker.wake() }
        }
    }
}
