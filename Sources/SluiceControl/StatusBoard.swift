import SluiceBalancing
import SluiceCache
import SluiceCore
package import SluiceGateway
import SluiceRouting
package import SluiceWire

/// The gateway's state as the admin API shows it.
package enum StatusBoard {
    /// All models, with what goes on in them now.
    package static func models(_ snapshot: Snapshot, _ live: TrafficHistory.Present) -> JSONValue {
        .object([
            .init("generation", .number("\(snapshot.generation)")),
            .init("models", .array(snapshot.models.map { model($0, live) })),
        ])
    }

    /// One model: its revisions with traffic, live numbers and backends, and its cache.
    package static func model(_ model: ModelPlan, _ live: TrafficHistory.Present) -> JSONValue {
        let revisions = model.revisions.enumerated().map { index, revision in
            let key = RevisionKey(model.name, revision.name)
            return JSONValue.object(
                [
                    .init("name", .string(revision.name)),
                    .init(
                        "traffic",
                        .number(percent(model.split.weights[index]))
                    ),
                ] + (live.revisions[key] ?? LiveNumbers()).members + [
                    .init(
                        "backends",
                        .array(
                            revision.backends.map {
                                backend($0, live.backends[BackendKey(key, $0.label)] ?? 0)
                            }
                        )
                    )
                ]
            )
        }
        return .object([
            .init("name", .string(model.name)),
            .init("loadBalancing", .string(model.balancing.rawValue)),
            .init("cache", cache(model, live)),
            .init("revisions", .array(revisions)),
        ])
    }

    /// What the model's cache does, or null if it keeps nothing.
    private static func cache(_ model: ModelPlan, _ live: TrafficHistory.Present) -> JSONValue {
        guard let policy = model.cache else { return .null }
        return .object(
            [.init("ttlSeconds", .rounded(policy.timeToLive.inSeconds))]
                + (live.caches[model.name] ?? CacheNumbers()).members
        )
    }

    private static func backend(_ backend: BackendPlan, _ perSecond: Double) -> JSONValue {
        let health =
            switch backend.load.health {
            case .unknown: "unknown"
            case .up: "up"
            case .down: "down"
            }
        var protocols: [JSONValue] = []
        if backend.rest != nil { protocols.append(.string("rest")) }
        if backend.grpc != nil { protocols.append(.string("grpc")) }
        return .object([
            .init("address", .string(backend.label)), .init("protocols", .array(protocols)),
            .init("health", .string(health)),
            .init("inFlight", .number("\(backend.load.inFlight)")),
            .init("requestsPerSecond", .rounded(perSecond)),
        ])
    }

    private static func percent(_ points: Int) -> String {
        points % 100 == 0 ? "\(points / 100)" : "\(Double(points) / 100)"
    }
}
