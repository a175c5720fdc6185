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

    // MARK: - What is gone

    /// A shift that ended because a revision that it gave traffic to isn't configured any more.
    struct Lost: Sendable, Equatable {
        let model: String
        let revision: String

        var sentence: String {
            "model '\(model)' was given weights at run time for revision '\(revision)', which isn't configured any more; the file's weights hold"
        }
    }

    /// Forgets what was said of models, revisions and backends that `plain` doesn't have, so that it
    /// doesn't come back with their names, and weights that are the file's own; returns the shifts
    /// that ended.
    ///
    /// A revision that had no traffic takes no shift with it. `unfound` says of which revisions
    /// some backends aren't known yet, because a name has not been looked up: their states stay.
    mutating func keepOnly(
        whatIsIn plain: Snapshot,
        unfound: (_ model: String, _ revision: String) -> Bool
    ) -> [Lost] {
        var lost: [Lost] = []
        var kept: [String: Model] = [:]
        for plan in plain.models {
            guard var model = models[plan.name] else { continue }
            let names = plan.revisions.map(\.name)
            if let traffic = model.traffic {
                let unknown = traffic.filter { !names.contains($0.key) && $0.value > 0 }
                if let unknownName = unknown.keys.min() {
                    lost.append(Lost(model: plan.name, revision: unknownName))
                    model.traffic = nil
                } else {
                    let isConfigured = names.map { traffic[$0] ?? 0 } == plan.split.weights
                    model.traffic =
                        isConfigured ? nil : traffic.filter { names.contains($0.key) }
                }
            }
            var backends: [String: [String: BackendState]] = [:]
            for revision in plan.revisions {
                guard var states = model.backends[revision.name] else { continue }
                if !unfound(plan.name, revision.name) {
                    let labels = Set(revision.backends.map(\.label))
                    states = states.filter { labels.contains($0.key) }
                }
                if !states.isEmpty { backends[revision.name] = states }
            }
            model.backends = backends
            if !model.isEmpty { kept[plan.name] = model }
        }
        models = kept
        return lost
    }

    // MARK: - On top of a snapshot

    /// `snapshot` with these on top; ``keepOnly(whatIsIn:unfound:)`` has dropped what doesn't fit it.
    func laid(on snapshot: Snapshot) -> Snapshot {
        var result = snapshot
        for index in snapshot.models.indices {
            let plan = snapshot.models[index]
            guard let model = models[plan.name] else { continue }
            if let traffic = model.traffic {
                result.models[index].split = TrafficSplit(
                    weights: plan.revisions.map { traffic[$0.name] ?? 0 }
                )
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
        return result
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
