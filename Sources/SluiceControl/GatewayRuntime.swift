import SluiceBalancing
package import SluiceConfiguration
package import SluiceCore
package import SluiceGateway
import SluiceIO
import SluiceInference
import SluiceIngress
import SluiceRouting
import SluiceTLS
package import SluiceTelemetry
import Synchronization

/// The running gateway: workers, control loop, change coordinator, access log writer.
package final class GatewayRuntime: Sendable {
    /// All numbers.
    package let store: MetricStore
    /// Whether the gateway wants traffic.
    package let readiness: GatewayReadiness
    /// What is kept of answers.
    let cache: ResultCache
    /// The version in `sluice_build_info` and `GET /v2`.
    package let version: String
    /// The loop that admin server and probes share.
    package let control: ControlLoop
    /// Where the running state changes.
    package let coordinator: ChangeCoordinator
    private let workers: WorkerGroup
    private let log: EventLog
    private let writer: AccessLogWriter?
    private let probe: Confined<HealthProbe>
    /// The rollouts, on the control loop.
    package let rollouts: Confined<RolloutDriver>
    private let offload: OffloadPool
    private let redisWatch: RedisWatch?
    private let endings = Mutex<[@Sendable () -> Void]>([])

    /// Starts everything and returns when all listeners accept.
    package init(
        configuration: Configuration,
        file: String?,
        version: String,
        log: EventLog
    ) throws(CompileFailure) {
        self.version = version
        self.log = log
        let store = MetricStore()
        let readiness = GatewayReadiness()
        self.store = store
        self.readiness = readiness
        let redisWatch = try configuration.cache.redis.map {
            redis throws(CompileFailure) in try RedisWatch(redis)
        }
        self.redisWatch = redisWatch
        let mailboxes = WorkerMailboxes()
        let cache = ResultCache(
            maxBytes: configuration.cache.maxBytes,
            maxEntryBytes: configuration.cache.maxEntryBytes,
            redis: redisWatch?.tier,
            mailboxes: mailboxes,
            seed: .random(in: .min ... .max)
        ) { notice in
            switch notice {
            case .health(let notice): log.write(notice)
            case .purgeFailed(let reason):
                log.write(.warning, "redis was not purged", [("reason", reason)])
            }
        }
        self.cache = cache
        let workerCount =
            configuration.workers > 0 ? configuration.workers : Machine.coreCount
        // A quarter of the loops: enough that long bodies don't wait for each other for ever, few enough that
        // short requests keep most of the machine.
        let offload = OffloadPool(threadCount: max(1, workerCount / 4))
        self.offload = offload
        let budget = DescriptorBudget(
            descriptors: Machine.raiseDescriptorLimit(),
            wanted: configuration.limits.maxConnections,
            workers: workerCount
        )
        if budget.connectionsMaximum < configuration.limits.maxConnections {
            log.write(
                .warning,
                "few file descriptors: fewer connections than limits.maxConnections; raise `ulimit -n`",
                [("maxConnections", "\(budget.connectionsMaximum)")]
            )
        }
        do throws(KernelFailure) {
            writer = try AccessLogWriter.make(for: configuration.accessLog, log: log)
            let count = ConnectionCount(
                maximum: budget.connectionsMaximum,
                descriptorCeiling: budget.ceiling,
                perAddress: configuration.limits.maxConnectionsPerAddress
            )
            workers = try WorkerGroup(
                count: workerCount,
                shared: Worker.Shared(
                    store: store,
                    accessLog: writer?.channel,
                    connectionCount: count,
                    readiness: readiness,
                    mailboxes: mailboxes,
                    cache: cache,
                    offload: offload,
                    version: version
                )
            )
            control = try ControlLoop.start(name: "control")
        } catch {
            throw CompileFailure(sentence: error.description)
        }
        let (workers, control) = (workers, control)
        let moved = ProbeNews()
        let learned = ProbeNews()
        let probe = control.run { loop in
            Confined(
                HealthProbe(loop: loop, readiness: readiness) {
                    log.write($0)
                } complain: { complaint in
                    log.write(complaint)
                    // It may be somewhere else by now.
                    if complaint.reason != nil, !complaint.backend.names.isEmpty { moved.notify() }
                } learned: {
                    learned.notify()
                }
            )
        }
        self.probe = probe
        coordinator = try ChangeCoordinator(
            configuration: configuration,
            file: file,
            store: store,
            log: log
        ) {
            snapshot,
            certificates in
            workers.publish(snapshot)
            for certificate in certificates {
                _ = workers.onEach {
                    $0.replaceCertificates(of: certificate.listener, with: certificate.context)
                }
            }
            control.run { _ in probe.value.watch(snapshot) }
        }
        coordinator.use(cache)
        moved.use { [weak coordinator] in coordinator?.lookNamesUpSoon() }
        learned.use { [weak coordinator] in
            coordinator?.submit(.runtimes, by: "probe") { result in
                var isBusy = false
                if case .failure(let refusal) = result { isBusy = refusal.kind == .busy }
                control.submit { [isBusy] in probe.value.takenOver(isToRetry: isBusy) }
            }
        }
        let snapshot = coordinator.snapshot
        workers.publish(snapshot)
        control.run { _ in probe.value.watch(snapshot) }
        try GatewayRuntime.open(configuration, on: workers, coordinator, control, readiness, log)
        rollouts = GatewayRuntime.rollouts(of: coordinator, on: control, store)
        GatewayRuntime.watchMemory(of: workers, coordinator, on: control, store, log)
        // Without a scrape, series of what is gone go at the second call: after five minutes at most.
        control.repeatedly(every: .seconds(150)) { store.age() }
        let coordinator = coordinator
        store.collect { sink in
            GatewayRuntime.collect(coordinator.snapshot, into: &sink)
            coordinator.report(to: &sink)
            sink.gauge(GatewayMetrics.buildInfo, [version], value: 1)
            GatewayRuntime.collectRedis(cache, into: &sink)
            sink.gauge(GatewayMetrics.cacheBytes, ["memory"], value: Double(cache.memoryBytes))
            for run in coordinator.warmed {
                sink.gauge(
                    GatewayMetrics.warmRemaining,
                    [run.model, run.revision],
                    value: Double(run.progress.inputs - run.progress.done)
                )
            }
            ProcessReading.now()?.report(to: &sink)
        }
        collectLosses()
    }

    // MARK: - Looking

    /// The configuration in force.
    package var configuration: Configuration { coordinator.configuration }

    /// The snapshot in force.
    package var snapshot: Snapshot { coordinator.snapshot }

    /// Whether some model has a backend that answers, and the gateway isn't leaving.
    ///
    /// One model without backends must not take the gateway from all others; whether a model is
    /// ready is asked of the model.
    package var isReady: Bool {
        guard !readiness.isDraining, readiness.isProbed else { return false }
        return snapshot.models.contains { model in
            model.revisions.contains { revision in
                revision.backends.contains { $0.load.health == .up }
            }
        }
    }

    /// Looks until ``isReady``, for at most `timeout`; for commands that start a gateway.
    package func waitUntilReady(_ timeout: Duration) -> Bool {
        let deadline = ContinuousClock.now + timeout
        while !isReady {
            guard ContinuousClock.now < deadline else { return false }
            control.pause(.milliseconds(20))
        }
        return true
    }

    private static func collect(_ snapshot: Snapshot, into sink: inout MetricSink) {
        for model in snapshot.models {
            collectLimits(model, into: &sink)
            for (index, revision) in model.revisions.enumerated() {
                sink.gauge(
                    GatewayMetrics.trafficPercent,
                    [model.name, revision.name],
                    value: Double(model.split.weights[index]) / 100
                )
                sink.gauge(
                    GatewayMetrics.runtimeInfo,
                    [model.name, revision.name, revision.runtime.runtimeKind.rawValue],
                    value: 1
                )
                let isPanic = BackendPicker.isPanic(
                    revision.backends.filter(\.hasAddress).map(\.load),
                    percent: model.resilience.outlier.panicPercent,
                    at: .zero
                )
                sink.gauge(
                    GatewayMetrics.panic,
                    [model.name, revision.name],
                    value: isPanic ? 1 : 0
                )
                sink.gauge(
                    GatewayMetrics.queueDepth,
                    [model.name, revision.name],
                    value: Double(revision.board.queue.depth)
                )
                for backend in revision.backends {
                    let labels = [model.name, revision.name, backend.label]
                    sink.gauge(
                        GatewayMetrics.backendInFlight,
                        labels,
                        value: Double(backend.load.inFlight)
                    )
                    sink.gauge(
                        GatewayMetrics.backendHealthy,
                        labels,
                        value: backend.load.health == .up ? 1 : 0
                    )
                }
            }
        }
    }

    // MARK: - Changing

    /// Forgets a model's cached answers, or one revision's; returns how many, nil for an unknown name.
    package func purge(model: String, revision: String?, by who: String) -> Int? {
        guard let plan = snapshot.models.first(where: { $0.name == model }),
            revision == nil || plan.revisions.contains(where: { $0.name == revision })
        else { return nil }
        let count = cache.purge(model: model, revision: revision)
        let name = [model, revision].compactMap { $0 }.joined(separator: " ")
        coordinator.note(
            .cache,
            model: model,
            by: who,
            "cache of \(name) purged: \(count) answers in memory"
        )
        return count
    }

    static func limits(_ configuration: Configuration) -> IngressLimits {
        var limits = IngressLimits()
        limits.maxHeaderBytes = configuration.limits.maxHeaderBytes
        limits.maxConcurrentStreams = configuration.limits.maxConcurrentStreams
        limits.headerTimeout = configuration.limits.headerTimeout
        limits.idleTimeout = configuration.limits.idleTimeout
        limits.bodyTimeout = configuration.limits.bodyTimeout
        return limits
    }

    // MARK: - Logs

    /// Opens the access log's file anew, soon; for whoever has renamed it.
    package func reopenLogs() { writer?.reopen() }

    private func collectLosses() {
        let (channel, log) = (writer?.channel, log)
        store.collect { sink in
            let family = GatewayMetrics.logLinesDropped
            sink.counter(family, ["events"], value: Double(log.droppedLines))
            guard let channel else { return }
            let count = Double(channel.droppedLines)
            sink.counter(family, ["access"], value: count)
            sink.counter(GatewayMetrics.accessLogDropped, [], value: count)
        }
    }

    // MARK: - Ending

    /// Winds down: readiness false, GOAWAY and `Connection: close`, wait, close.
    ///
    /// Returns how many connections and requests were still open when the time was over.
    package func drain() -> Int {
        let configuration = configuration
        readiness.beginDraining()
        log.write(.info, "draining", [("timeout", "\(configuration.drainTimeout)")])
        let deadline = ContinuousClock.now + configuration.drainTimeout
        // Load balancers need time to see that we aren't ready; new requests are still served.
        control.pause(configuration.drainDelay)
        _ = workers.onEach { $0.drain(isFinal: false) }
        // One round trip, generously: whoever heard the notice opens nothing more.
        control.pause(.milliseconds(100))
        _ = workers.onEach { $0.drain(isFinal: true) }
        var open = workers.openWork
        while open > 0, ContinuousClock.now < deadline {
            control.pause(.milliseconds(20))
            open = workers.openWork
        }
        stop()
        log.write(.info, "stopped", [("cutOff", "\(open)")])
        return open
    }

    /// Runs `task` on the control loop before that ends.
    package func atEnd(_ task: @escaping @Sendable () -> Void) {
        endings.withLock { $0.append(task) }
    }

    /// Closes everything at once.
    package func stop() {
        readiness.beginDraining()
        coordinator.stop()
        // A listener that the control loop is opening is open after this, and it opens no other.
        control.run { _ in }
        // What helper threads are at comes back before the loops end.
        offload.stop()
        redisWatch?.stop()
        workers.stop()
        let probe = probe
        let endings = endings.withLock { $0 }
        control.run { _ in
            for ending in endings { ending() }
            probe.value.close()
        }
        control.stop()
        writer?.stop()
    }
}
