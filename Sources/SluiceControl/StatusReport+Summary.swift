package import SluiceGateway
import SluiceRouting

// Models in one line each: what lists of many show. A line costs a look-up for each revision and a
// load for each backend, and no JSON.
extension StatusReport {
    /// All models in the file's order.
    package static func summaries(
        _ snapshot: Snapshot,
        _ coordinator: ChangeCoordinator,
        _ live: LivePresent
    ) -> [ModelSummary] {
        let rollouts = coordinator.rollouts.all
        var statuses: [String: String] = [:]
        for (model, view) in rollouts { statuses[model] = view.record.status.rawValue }
        return snapshot.models.map { summary(of: $0, rollout: statuses[$0.name], live) }
    }

    private static func summary(
        of model: ModelPlan,
        rollout: String?,
        _ live: LivePresent
    ) -> ModelSummary {
        var summary = ModelSummary(name: model.name)
        var failed = 0.0
        var slowest: Double?
        summary.revisionCount = model.revisions.count
        for (index, revision) in model.revisions.enumerated() {
            if index < ModelSummary.shareMaximum {
                summary.shares.append(.init(revision.name, model.split.weights[index]))
            }
            for backend in revision.backends {
                summary.backends += 1
                if isServing(backend) { summary.backendsUp += 1 }
            }
            guard let numbers = live.revisions[RevisionKey(model.name, revision.name)] else {
                continue
            }
            summary.requestsPerSecond += numbers.requestsPerSecond
            failed += numbers.requestsPerSecond * (numbers.errorRatio ?? 0)
            summary.inFlight += numbers.inFlight
            if let p99 = numbers.p99Seconds { slowest = max(slowest ?? 0, p99) }
        }
        if summary.requestsPerSecond > 0 {
            summary.errorRatio = ModelSummary.legible(failed / summary.requestsPerSecond)
        }
        summary.requestsPerSecond = ModelSummary.legible(summary.requestsPerSecond)
        summary.p99Seconds = slowest.map(ModelSummary.legible)
        summary.isCached = model.cache != nil
        summary.cacheHitRatio = live.caches[model.name]?.hitRatio.map(ModelSummary.legible)
        summary.rollout = rollout
        return summary
    }

    /// What a search looks into, by model, in the file's order and in lower case: the model's name,
    /// its revisions' and its backends', a line each.
    package static func searchTexts(_ snapshot: Snapshot) -> [[UInt8]] {
        snapshot.models.map { model in
            var text = model.name
            for revision in model.revisions {
                text += "\n\(revision.name)"
                for backend in revision.backends { text += "\n\(backend.label)" }
            }
            return Array(text.lowercased().utf8)
        }
    }
}
