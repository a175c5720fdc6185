import SluiceBalancing
import SluiceConfiguration
package import SluiceGateway
import SluiceRouting
package import SluiceWire

/// The gateway's state as the admin API shows it.
package enum StatusBoard {
    /// All models.
    package static func models(_ desk: ChangeDesk) -> JSONValue {
        let snapshot = desk.snapshot
        return .object([
            .init("generation", .number("\(snapshot.generation)")),
            .init("models", .array(snapshot.models.map { model($0, desk) })),
        ])
    }

    /// One model: its revisions with traffic and backends.
    package static func model(_ model: ModelPlan, _ desk: ChangeDesk) -> JSONValue {
        let configured = desk.configuredWeights(of: model.name)
        let revisions = model.revisions.enumerated().map { index, revision in
            let weight = model.split.weights[index]
            return JSONValue.object([
                .init("name", .string(revision.name)),
                .init("traffic", percent(weight)),
                .init("configuredTraffic", percent(configured?[index] ?? weight)),
                .init("ready", .bool(revision.backends.contains { isServing($0) })),
                .init("backends", .array(revision.backends.map(backend))),
            ])
        }
        return .object([
            .init("name", .string(model.name)),
            .init("loadBalancing", .string(model.balancing.rawValue)),
            .init("revisions", .array(revisions)),
        ])
    }

    private static func isServing(_ backend: BackendPlan) -> Bool {
        backend.state == .ready && backend.load.health == .up
    }

    private static func backend(_ backend: BackendPlan) -> JSONValue {
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
            .init("state", .string(backend.state.rawValue)),
            .init("inFlight", .number("\(backend.load.inFlight)")),
        ])
    }

    private static func percent(_ points: Int) -> JSONValue {
        .number(Configuration.percent(points))
    }
}
