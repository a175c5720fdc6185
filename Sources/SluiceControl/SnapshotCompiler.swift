import SluiceBalancing
import SluiceCache
package import SluiceConfiguration
import SluiceEgress
package import SluiceGateway
import SluiceIO
import SluiceInference
import SluiceRouting
import SluiceTLS

/// Why a valid configuration can't run here: a certificate that doesn't load, a name that doesn't
/// resolve.
package struct CompileFailure: Error, Sendable {
    /// What is wrong and what to do.
    package let sentence: String

    /// A failure.
    package init(sentence: String) { self.sentence = sentence }
}

/// Turns a configuration into the data plane's input.
///
/// Keeps the load board's lines by backend, so that a backend that stays configured keeps its
/// health and counts over a reload.
package struct SnapshotCompiler: Sendable {
    private let board = LoadBoard()
    private var loads: [String: BackendLoad] = [:]
    private var slots: [String: SignatureSlot] = [:]
    private var gates: [String: MirrorGate] = [:]
    private var boards: [String: RevisionBoard] = [:]
    private var limiters = RateLimiterShelf()
    private var hasCompiled = false
    /// What the names of `dns` backends were last found to be, by `host:port`.
    private(set) var addresses: [String: [SocketAddress]] = [:]

    /// A compiler that has seen no configuration.
    package init() {}

    /// Takes what a name was found to be; false when that is what is known.
    mutating func learn(_ addresses: [SocketAddress], of name: String) -> Bool {
        let sorted = addresses.sorted { $0.description < $1.description }
        guard self.addresses[name] != sorted else { return false }
        self.addresses[name] = sorted
        return true
    }

    /// Looks up the names that are not known yet and forgets those that are not in use; returns a
    /// sentence for each that can't be found, which doesn't stop anything: it is looked up again.
    mutating func look(for names: [Configuration.BackendURL]) -> [String] {
        let wanted = names.map(\.authority)
        addresses = addresses.filter { wanted.contains($0.key) }
        var notes: [String] = []
        for name in names where addresses[name.authority] == nil {
            do throws(KernelFailure) {
                let found = try SocketAddress.resolve(host: name.host, port: name.port)
                _ = learn(found, of: name.authority)
            } catch {
                notes.append(
                    "\(name.authority) can't be looked up yet (\(error.text)); its backends come when it can"
                )
            }
        }
        return notes
    }

    /// The snapshot, its generation not counted yet; looks names up and loads certificates, so it may block.
    package mutating func compile(_ configuration: Configuration) throws(CompileFailure) -> Snapshot
    {
        var models: [ModelPlan] = []
        var used: [String: BackendLoad] = [:]
        var slots: [String: SignatureSlot] = [:]
        var boards: [String: RevisionBoard] = [:]
        for model in configuration.models {
            var revisions: [RevisionPlan] = []
            for revision in model.revisions {
                var backends: [BackendPlan] = []
                let key = "\(model.name)\u{0}\(revision.name)\u{0}\(revision.modelName ?? "")"
                let slot = self.slots[key] ?? SignatureSlot()
                slots[key] = slot
                let place = "\(model.name)\u{0}\(revision.name)"
                let board = self.boards[place] ?? RevisionBoard()
                boards[place] = board
                for backend in revision.allBackends {
                    backends += try plans(backend, model, revision, slot, configuration, &used)
                }
                revisions.append(
                    RevisionPlan(
                        name: revision.name,
                        backendModelName: revision.modelName,
                        backends: backends,
                        dialect: revision.dialect,
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
        self.slots = slots
        gates = gates.filter { gate in models.contains { $0.name == gate.key } }
        self.boards = boards
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

    /// Tier 2, looked up; nil when none is configured.
    static func redis(_ configuration: Configuration) throws(CompileFailure) -> RedisTier? {
        guard let redis = configuration.cache.redis else { return nil }
        do throws(KernelFailure) {
            return RedisTier(
                endpoint: try RedisEndpoint.resolve(redis.url),
                timeout: redis.timeout,
                prefix: redis.prefix
            )
        } catch {
            throw CompileFailure(
                sentence:
                    "cache.redis.url \(redis.url): the host can't be looked up (\(error.text))"
            )
        }
    }

    /// One plan for each address a name resolves to.
    private func plans(
        _ backend: Configuration.Backend,
        _ model: Configuration.Model,
        _ revision: Configuration.Revision,
        _ slot: SignatureSlot,
        _ configuration: Configuration,
        _ used: inout [String: BackendLoad]
    ) throws(CompileFailure) -> [BackendPlan] {
        let rest = try targets(backend, backend.rest, isGRPC: false, configuration)
        let grpc = try targets(backend, backend.grpc, isGRPC: true, configuration)
        // REST and gRPC of one replica share its address; pairs are made in resolution order.
        return (0..<max(rest.count, grpc.count)).map { index in
            let restTarget = index < rest.count ? rest[index] : nil
            let grpcTarget = index < grpc.count ? grpc[index] : nil
            let label = (restTarget ?? grpcTarget)?.endpoint.address.description ?? "-"
            let key = "\(model.name)\u{0}\(revision.name)\u{0}\(label)"
            let load = used[key] ?? loads[key] ?? board.add(isNewcomer: hasCompiled)
            used[key] = load
            return BackendPlan(
                label: label,
                rest: restTarget,
                grpc: grpcTarget,
                load: load,
                probePath: model.health.path,
                probeInterval: model.health.interval,
                probeTimeout: model.health.timeout,
                metadata: SnapshotCompiler.metadata(model, revision, slot),
                weight: backend.share.weight,
                maxInFlight: backend.share.maxInFlight
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

    /// Only where a V1 caller meets a V2 backend, or the other way round, is the model's signature
    /// needed.
    private static func metadata(
        _ model: Configuration.Model,
        _ revision: Configuration.Revision,
        _ slot: SignatureSlot
    ) -> MetadataPlan? {
        let speaksV1 =
            revision.allBackends.contains { $0.rest != nil }
            && [.generic, .kserve].contains(revision.dialect)
        guard !speaksV1 else { return nil }
        let name = revision.modelName ?? model.name
        return MetadataPlan(
            path: revision.dialect == .tfserving
                ? "/v1/models/\(name)/metadata" : "/v2/models/\(name)",
            modelName: name,
            slot: slot
        )
    }

    private func targets(
        _ backend: Configuration.Backend,
        _ url: Configuration.BackendURL?,
        isGRPC: Bool,
        _ configuration: Configuration
    ) throws(CompileFailure) -> [BackendTarget] {
        guard let url else { return [] }
        let tls = backend.tls
        let addresses: [SocketAddress]
        if backend.isWatched {
            addresses = self.addresses[url.authority] ?? []
        } else {
            do throws(KernelFailure) {
                addresses = try SocketAddress.resolve(host: url.host, port: url.port)
            } catch {
                throw CompileFailure(
                    sentence: "backend \(url.text): the host can't be looked up (\(error.text))"
                )
            }
        }
        var context: TLSClientContext?
        if url.scheme == .https {
            do throws(TLSFailure) {
                context = try TLSClientContext(
                    caFile: tls?.ca,
                    certificateFile: tls?.certificate,
                    keyFile: tls?.privateKey,
                    skipsVerification: tls?.insecureSkipVerify ?? false,
                    protocols: isGRPC ? [.http2] : [.http2, .http1]
                )
            } catch {
                throw CompileFailure(sentence: "backend \(url.text): \(error)")
            }
        }
        let dialect: Endpoint.Dialect =
            switch url.scheme {
            case .http: isGRPC ? .http2 : .http1
            case .h2c: .http2
            case .https: isGRPC ? .http2 : .negotiated
            }
        return addresses.map { address in
            var endpoint = Endpoint(
                address: address,
                dialect: dialect,
                tls: context,
                serverName: tls?.serverName ?? url.host
            )
            endpoint.maxHeaderBytes = configuration.limits.maxHeaderBytes
            return BackendTarget(
                key: "\(url.text) \(address) \(isGRPC) \(tls.map { "\($0)" } ?? "")",
                endpoint: endpoint,
                authority: url.authority
            )
        }
    }
}
