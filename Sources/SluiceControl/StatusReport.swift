import SluiceBalancing
import SluiceCache
import SluiceConfiguration
import SluiceCore
package import SluiceGateway
import SluiceInference
import SluiceRouting
package import SluiceWire

/// The gateway's state as the admin API shows it.
package enum StatusReport {
    /// All models, with what goes on in them now.
    package static func models(_ coordinator: ChangeCoordinator, _ live: LivePresent) -> JSONValue {
        let snapshot = coordinator.snapshot
        // Asked for once: a look-up for each model would cost the square of their number.
        let configured = coordinator.configuredWeights
        let models = snapshot.models.map { model($0, coordinator, live, configured[$0.name]) }
        return .object([
            .init("generation", .number("\(snapshot.generation)")), .init("models", .array(models)),
        ])
    }

    /// One model: its revisions with traffic, live numbers and backends, and its cache.
    package static func model(
        _ model: ModelPlan,
        _ coordinator: ChangeCoordinator,
        _ live: LivePresent
    ) -> JSONValue {
        self.model(model, coordinator, live, coordinator.configuredWeights(of: model.name))
    }

    private static func model(
        _ model: ModelPlan,
        _ coordinator: ChangeCoordinator,
        _ live: LivePresent,
        _ configured: [Int]?
    ) -> JSONValue {
        let revisions = model.revisions.enumerated().map { index, revision in
            let weight = model.split.weights[index]
            let key = RevisionKey(model.name, revision.name)
            let backends = revision.backends.map {
                backend($0, live.backends[BackendKey(key, $0.label)], coordinator)
            }
            return JSONValue.object(
                [
                    .init("name", .string(revision.name)),
                    .init("traffic", percent(weight)),
                    .init("configuredTraffic", percent(configured?[index] ?? weight)),
                    .init("dialect", .string(revision.runtime.runtimeKind.rawValue)),
                    .init("ready", .bool(revision.backends.contains { isServing($0) })),
                    .init("queued", .number("\(revision.board.queue.depth)")),
                    .init("concurrency", concurrency(of: revision)),
                ] + (live.revisions[key] ?? LiveNumbers()).members
                    + [.init("backends", .array(backends))]
            )
        }
        return .object(
            [
                .init("name", .string(model.name)),
                .init("loadBalancing", .string(model.balancing.rawValue)),
                .init("cache", cache(of: model, live.caches[model.name])),
            ] + limits(of: model, live) + [
                .init("revisions", .array(revisions)),
                .init("rollout", coordinator.rollouts[model.name]?.json ?? .null),
            ]
        )
    }

    /// What the model's cache does, or null if it keeps nothing.
    private static func cache(of model: ModelPlan, _ numbers: CacheNumbers?) -> JSONValue {
        guard let policy = model.cache else { return .null }
        return .object(
            [.init("ttlSeconds", .rounded(policy.timeToLive.inSeconds))]
                + (numbers ?? CacheNumbers()).members
        )
    }

    static func isServing(_ backend: BackendPlan) -> Bool {
        backend.state == .ready && backend.load.health == .up
    }

    /// What is wrong with a backend; null while nothing is known to be.
    private static func reason(
        _ backend: BackendPlan,
        _ coordinator: ChangeCoordinator
    ) -> JSONValue {
        if let reason = backend.note.reason { return .string(reason) }
        for name in backend.names {
            if let failure = coordinator.nameFailure(of: name) {
                return .string("\(name.text) can't be looked up: \(failure)")
            }
        }
        return backend.hasAddress ? .null : .string("\(backend.label) has no address")
    }

    private static func backend(
        _ backend: BackendPlan,
        _ perSecond: Double?,
        _ coordinator: ChangeCoordinator
    ) -> JSONValue {
        let health =
            switch backend.load.health {
            case .unknown: "unknown"
            case .up: "up"
            case .down: "down"
            case .ejected: "ejected"
            }
        var protocols: [JSONValue] = []
        if backend.rest != nil { protocols.append(.string("rest")) }
        if backend.grpc != nil { protocols.append(.string("grpc")) }
        return .object([
            .init("address", .string(backend.label)), .init("protocols", .array(protocols)),
            .init("health", .string(health)),
            .init("reason", reason(backend, coordinator)),
            .init("state", .string(backend.state.rawValue)),
            .init("inFlight", .number("\(backend.load.inFlight)")),
            .init("requestsPerSecond", .rounded(perSecond ?? 0)),
            .init("weight", .number("\(backend.weight)")),
            .init("maxInFlight", .number("\(backend.maxInFlight)")),
        ])
    }

    private static func percent(_ points: Int) -> JSONValue {
        .number(Configuration.percent(points))
    }
}
