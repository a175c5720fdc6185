import SluiceBalancing
package import SluiceCore
import SluiceRouting

/// Finds out when a revision begins to lend its share, and when it takes it back.
///
/// `sluice_traffic_lent_total` tells how many requests went elsewhere; this is for the line in the
/// log that says why, whether or not there were any.
package struct SpilloverWatch {
    /// What has changed for a revision.
    package struct Notice: Sendable, Equatable {
        package let model: String
        package let revision: String
        /// Whether others take its requests from now on.
        package let isSpillingOver: Bool
    }

    private static let interval = Duration.seconds(1)

    private var models: [ModelPlan] = []
    private var spillingOver: Set<[String]> = []
    private var nextLook = Instant.zero

    /// A watch over nothing.
    package init() {}

    /// Watches the models of `snapshot` from now on.
    package mutating func watch(_ snapshot: Snapshot) { models = snapshot.models }

    /// What has changed since it was asked before; looks at most once a second.
    package mutating func changes(at now: Instant) -> [Notice] {
        guard now >= nextLook else { return [] }
        nextLook = now.advanced(byNanoseconds: SpilloverWatch.interval.nanoseconds)
        var notices: [Notice] = []
        var before = spillingOver
        for model in models where model.revisions.count > 1 {
            let canTake = model.revisions.indices.map {
                model.split.weights[$0] > 0 && model.revisions[$0].canServe
            }
            // With no revision to take it there is no spillover: requests fail, and say so.
            guard canTake.contains(true) else { continue }
            for (index, revision) in model.revisions.enumerated() {
                let key = [model.name, revision.name]
                let isSpillingOver = model.split.weights[index] > 0 && !canTake[index]
                guard (before.remove(key) != nil) != isSpillingOver else { continue }
                if isSpillingOver { spillingOver.insert(key) } else { spillingOver.remove(key) }
                notices.append(
                    Notice(
                        model: model.name,
                        revision: revision.name,
                        isSpillingOver: isSpillingOver
                    )
                )
            }
        }
        return notices
    }
}

extension RevisionPlan {
    /// Whether a backend is in rotation and not known to be down.
    package var canServe: Bool {
        backends.contains { $0.state == .ready && $0.load.health != .down }
    }
}
