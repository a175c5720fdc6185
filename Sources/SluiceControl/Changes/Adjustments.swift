package import SluiceGateway
import SluiceRouting
package import SluiceWire

/// What was set at run time and lies on top of the configuration.
///
/// It wins over the file until it is taken back: who shifted traffic at night would not want an
/// unrelated edit of the file to undo it.
package struct Adjustments: Sendable, Equatable {
    /// One model's.
    package struct Model: Sendable, Equatable {
        /// Basis points by revision; nil where the file's weights hold.
        package var traffic: [String: Int]?
        /// Backends that aren't ready, by revision and address.
        package var backends: [String: [String: BackendState]] = [:]
        /// Where its rollout stands.
        package var rollout: JSONValue?

        var isEmpty: Bool { traffic == nil && rollout == nil && backends.isEmpty }
    }

    /// By name; models without any are absent.
    package private(set) var models: [String: Model] = [:]

    /// None.
    package init() {}

    /// Changes one model's, and forgets it when nothing is left.
    package mutating func change(_ name: String, _ body: (inout Model) -> Void) {
        var model = models[name] ?? Model()
        body(&model)
        models[name] = model.isEmpty ? nil : model
    }

    // MARK: - On top of a snapshot

    /// `snapshot` with these on top, and a sentence for each that no longer fits it.
    func laid(on snapshot: Snapshot) -> (Snapshot, [String]) {
        var result = snapshot
        var notes: [String] = []
        for index in snapshot.models.indices {
            let plan = snapshot.models[index]
            guard let model = models[plan.name] else { continue }
            if let traffic = model.traffic {
                let names = plan.revisions.map(\.name)
                if let stranger = traffic.keys.sorted().first(where: { !names.contains($0) }) {
                    notes.append(
                        "model '\(plan.name)' was given weights at run time for revision '\(stranger)', which isn't configured any more; the file's weights hold"
                    )
                } else {
                    result.models[index].split = TrafficSplit(
                        weights: names.map { traffic[$0] ?? 0 }
                    )
                }
            }
            for (place, revision) in plan.revisions.enumerated() {
                guard let states = model.backends[revision.name] else { continue }
                for (number, backend) in revision.backends.enumerated() {
                    if let state = states[backend.label] {
                        result.models[index].revisions[place].backends[number].state = state
                    }
                }
            }
        }
        return (result, notes)
    }

    // MARK: - As JSON

    /// As the state file holds it; `version` counts its formats.
    var json: JSONValue {
        let entries = models.sorted { $0.key < $1.key }.map { name, model in
            var members: [JSONValue.Member] = []
            if let traffic = model.traffic {
                members.append(
                    .init(
                        "traffic",
                        .object(
                            traffic.sorted { $0.key < $1.key }.map {
                                .init($0.key, .number("\($0.value)"))
                            }
                        )
                    )
                )
            }
            if !model.backends.isEmpty {
                members.append(
                    .init(
                        "backends",
                        .object(
                            model.backends.sorted { $0.key < $1.key }.map { revision, states in
                                .init(
                                    revision,
                                    .object(
                                        states.sorted { $0.key < $1.key }.map {
                                            .init($0.key, .string($0.value.rawValue))
                                        }
                                    )
                                )
                            }
                        )
                    )
                )
            }
            if let rollout = model.rollout { members.append(.init("rollout", rollout)) }
            return JSONValue.Member(name, .object(members))
        }
        return .object([.init("version", .number("1")), .init("models", .object(entries))])
    }

    /// Reads what ``json`` has written; nil when it is something else.
    init?(json: JSONValue) {
        guard json["version"]?.integer == 1, case .object(let entries) = json["models"] else {
            return nil
        }
        for entry in entries {
            var model = Model()
            if case .object(let weights) = entry.value["traffic"] {
                var traffic: [String: Int] = [:]
                for weight in weights { traffic[weight.name] = weight.value.integer }
                guard traffic.count == weights.count,
                    traffic.values.allSatisfy({ (0...10_000).contains($0) }),
                    traffic.values.reduce(0, +) == 10_000
                else { return nil }
                model.traffic = traffic
            }
            if case .object(let revisions) = entry.value["backends"] {
                for revision in revisions {
                    guard case .object(let states) = revision.value else { return nil }
                    for state in states {
                        guard let known = state.value.text.flatMap(BackendState.init(rawValue:))
                        else { return nil }
                        model.backends[revision.name, default: [:]][state.name] = known
                    }
                }
            }
            model.rollout = entry.value["rollout"]
            if !model.isEmpty { models[entry.name] = model }
        }
    }
}
