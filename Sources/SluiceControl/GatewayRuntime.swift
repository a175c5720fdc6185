import SluiceBalancing
package import SluiceConfiguration
import SluiceCore
package import SluiceGateway
import SluiceIO
import SluiceIngress
import SluiceRouting
import SluiceTLS
package import SluiceTelemetry
import Synchronization

/// The running gateway: workers, control loop, access log writer; and the one place where its
/// configuration changes.
package final class GatewayRuntime: Sendable {
    private struct State: Sendable {
        var configuration: Configuration
        var snapshot: Snapshot
        var compiler: SnapshotCompiler
    }

    /// All numbers.
    package let store: MetricStore
    /// Whether the gateway wants traffic.
    package let readiness: GatewayReadiness
    /// What is kept of answers.
    private let cache: ResultCache
    /// The version in `sluice_build_info` and `GET /v2`.
    package let version: String
    /// The loop that admin server and probes share.
    package let control: ControlLoop
    private let state: Mutex<State>
    private let workers: WorkerGroup
    private let log: EventLog
    private let writer: AccessLogWriter?
    private let probe: Confined<HealthProbe>
    private let file: String?
    private let boundNames: [String]

    /// Starts everything and returns when all listeners accept.
    package init(
        configuration: Configuration,
        file: String?,
        version: String,
        log: EventLog
    ) throws(CompileFailure) {
        self.file = file
        self.version = version
        self.log = log
        let store = MetricStore()
        let readiness = GatewayReadiness()
        self.store = store
        self.readiness = readiness
        let cache = ResultCache(
            maxBytes: configuration.cache.maxBytes,
            maxEntryBytes: configuration.cache.maxEntryBytes,
            redis: try SnapshotCompiler.redis(configuration),
            seed: .random(in: .min ... .max)
        ) { notice in
            switch notice {
            case .up: log.write(.info, "redis is in use", [])
            case .down(let reason):
                log.write(.warning, "redis is not in use", [("reason", reason)])
            case .purgeFailed(let reason):
                log.write(.warning, "redis was not purged", [("reason", reason)])
            }
        }
        self.cache = cache
        var compiler = SnapshotCompiler()
        let snapshot = try compiler.compile(configuration)
        let descriptors = Machine.raiseDescriptorLimit()
        if descriptors < configuration.limits.maxConnections * 2 {
            log.write(
                .warning,
                "few file descriptors for limits.maxConnections; raise `ulimit -n`",
                [("descriptors", "\(descriptors)")]
            )
        }
        do throws(KernelFailure) {
            writer = try AccessLogWriter.make(for: configuration.accessLog)
            let count = ConnectionCount(maximum: configuration.limits.maxConnections)
            workers = try WorkerGroup(
                count: configuration.workers > 0 ? configuration.workers : Machine.coreCount,
                shared: Worker.Shared(
                    store: store,
                    accessLog: writer?.channel,
                    connectionCount: count,
                    readiness: readiness,
                    cache: cache,
                    version: version
                )
            )
            control = try ControlLoop.start()
        } catch {
            throw CompileFailure(sentence: error.description)
        }
        state = Mutex(
            State(configuration: configuration, snapshot: snapshot, compiler: compiler)
        )
        workers.publish(snapshot)
        probe = control.run { loop in
            let probe = HealthProbe(loop: loop, readiness: readiness)
            probe.watch(snapshot)
            return Confined(probe)
        }
        var names: [String] = []
        for listener in configuration.listeners {
            names.append(listener.address.text)
            let context = try GatewayRuntime.certificates(of: listener)
            let limits = GatewayRuntime.limits(configuration)
            do throws(KernelFailure) {
                let address = try SocketAddress.resolve(
                    host: listener.address.host,
                    port: listener.address.port
                )
                guard let first = address.first else { continue }
                let bound = try workers.listen(
                    on: first,
                    name: listener.address.text,
                    tls: context,
                    limits: limits
                )
                log.write(
                    .info,
                    "listening",
                    [("address", bound.description), ("tls", context == nil ? "off" : "on")]
                )
            } catch {
                throw CompileFailure(
                    sentence: "listener \(listener.address.text): \(error.description)"
                )
            }
        }
        boundNames = names
        store.collect { [unowned self] sink in
            GatewayRuntime.collect(self.snapshot, into: &sink)
            sink.gauge(GatewayMetrics.buildInfo, [version], value: 1)
            if let isUp = cache.isRedisUp {
                sink.gauge(GatewayMetrics.redisUp, [], value: isUp ? 1 : 0)
            }
            sink.gauge(GatewayMetrics.cacheBytes, ["memory"], value: Double(cache.memoryBytes))
            ProcessReading.now()?.report(to: &sink)
        }
        if let writer {
            let channel = writer.channel
            store.collect { sink in
                sink.counter(
                    GatewayMetrics.accessLogDropped,
                    [],
                    value: Double(channel.droppedLines)
                )
            }
        }
    }

    // MARK: - Looking

    /// The configuration in force.
    package var configuration: Configuration { state.withLock { $0.configuration } }

    /// The snapshot in force.
    package var snapshot: Snapshot { state.withLock { $0.snapshot } }

    /// Whether every model has a backend that answers, and the gateway isn't leaving.
    package var isReady: Bool {
        guard !readiness.isDraining, readiness.isProbed else { return false }
        return snapshot.models.allSatisfy { model in
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
            for (index, revision) in model.revisions.enumerated() {
                sink.gauge(
                    GatewayMetrics.trafficPercent,
                    [model.name, revision.name],
                    value: Double(model.split.weights[index]) / 100
                )
                let isPanic = BackendPicker.isPanic(
                    revision.backends.map(\.load),
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
    package func purge(model: String, revision: String?) -> Int? {
        guard let plan = snapshot.models.first(where: { $0.name == model }),
            revision == nil || plan.revisions.contains(where: { $0.name == revision })
        else { return nil }
        let count = cache.purge(model: model, revision: revision)
        log.write(
            .info,
            "cache purged",
            [("model", model), ("revision", revision ?? "all"), ("answers", "\(count)")]
        )
        return count
    }

    /// Reads the file again; what doesn't validate changes nothing and is reported.
    ///
    /// Models, backends, limits on bodies and certificates follow the file; a change of listeners'
    /// addresses, of `workers`, `admin` or `accessLog` needs a restart and is named.
    package func reload() -> Result<[String], ConfigurationFailure> {
        guard let file else { return .success(["there is no file to reload"]) }
        let result: Result<[String], ConfigurationFailure>
        do throws(ConfigurationFailure) {
            result = .success(try apply(try Configuration.load(path: file), file))
        } catch {
            result = .failure(error)
        }
        let outcome: String
        switch result {
        case .success(let notes):
            outcome = "success"
            log.write(.info, "configuration reloaded", [("file", file)])
            for note in notes { log.write(.warning, note, []) }
        case .failure(let failure):
            outcome = "failure"
            for diagnostic in failure.diagnostics {
                log.write(.error, "configuration refused: \(diagnostic)", [])
            }
        }
        let counter = store.counter(GatewayMetrics.reloads, [outcome])
        control.count(counter, in: store)
        return result
    }

    private func apply(
        _ configuration: Configuration,
        _ file: String
    ) throws(ConfigurationFailure) -> [String] {
        let before = self.configuration
        let result: Result<(Snapshot, [(String, TLSServerContext)]), CompileFailure> =
            state.withLock { state in
                do throws(CompileFailure) {
                    var contexts: [(String, TLSServerContext)] = []
                    for listener in configuration.listeners {
                        if let context = try GatewayRuntime.certificates(of: listener) {
                            contexts.append((listener.address.text, context))
                        }
                    }
                    var compiler = state.compiler
                    let snapshot = try compiler.compile(configuration)
                    state = State(
                        configuration: configuration,
                        snapshot: snapshot,
                        compiler: compiler
                    )
                    return .success((snapshot, contexts))
                } catch {
                    return .failure(error)
                }
            }
        let (snapshot, contexts): (Snapshot, [(String, TLSServerContext)])
        do throws(CompileFailure) {
            (snapshot, contexts) = try result.get()
        } catch {
            throw ConfigurationFailure(diagnostics: [
                Diagnostic(file: file, line: 1, column: 1, message: error.sentence)
            ])
        }
        workers.publish(snapshot)
        for (name, context) in contexts {
            _ = workers.onEach { $0.replaceCertificates(of: name, with: context) }
        }
        let probe = probe
        control.run { _ in probe.value.watch(snapshot) }
        var notes: [String] = []
        if before.listeners.map(\.address) != configuration.listeners.map(\.address) {
            notes.append("a change of `listeners` takes a restart")
        }
        if before.workers != configuration.workers || before.admin != configuration.admin
            || before.accessLog != configuration.accessLog || before.cache != configuration.cache
        {
            notes.append(
                "a change of `workers`, `admin`, `accessLog` or `cache` takes a restart"
            )
        }
        return notes
    }

    private static func certificates(
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

    private static func limits(_ configuration: Configuration) -> IngressLimits {
        var limits = IngressLimits()
        limits.maxHeaderBytes = configuration.limits.maxHeaderBytes
        limits.maxConcurrentStreams = configuration.limits.maxConcurrentStreams
        limits.headerTimeout = configuration.limits.headerTimeout
        limits.idleTimeout = configuration.limits.idleTimeout
        limits.bodyTimeout = configuration.limits.bodyTimeout
        return limits
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

    /// Closes everything at once.
    package func stop() {
        workers.stop()
        let probe = probe
        control.run { _ in probe.value.close() }
        control.stop()
        writer?.stop()
    }
}
