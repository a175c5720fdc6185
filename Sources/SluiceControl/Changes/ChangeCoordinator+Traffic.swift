import SluiceConfiguration
import SluiceGateway
import SluiceRouting
import Synchronization

// How traffic is divided between a model's revisions.
extension ChangeCoordinator {
    func shift(_ shift: TrafficShift, by who: String) throws(ChangeError) -> Applied {
        let state = state.withLock { $0 }
        let (index, plan) = try find(shift.model, in: state)
        let names = plan.revisions.map(\.name)
        if let unknownName = shift.weights.keys.sorted().first(where: { !names.contains($0) }) {
            throw ChangeError(
                .invalid,
                "model '\(plan.name)' has no revision '\(unknownName)'; it has \(names.joined(separator: ", "))"
            )
        }
        let weights = names.map { shift.weights[$0] ?? 0 }
        let sum = weights.reduce(0, +)
        guard sum == 10_000, weights.allSatisfy({ $0 >= 0 }) else {
            throw ChangeError(
                .invalid,
                "the traffic of model '\(plan.name)' must sum to 100, not \(Configuration.percent(sum))"
            )
        }
        if let seen = shift.seenGeneration {
            let last = state.changed[plan.name] ?? 1
            guard seen >= last, seen <= state.snapshot.generation else {
                throw ChangeError(
                    .conflict,
                    "model '\(plan.name)' was changed meanwhile, in generation \(last); you have seen generation \(seen); look again and repeat"
                )
            }
        }
        var notes: [String] = []
        for (place, revision) in plan.revisions.enumerated()
        where weights[place] > 0 && !revision.canServe {
            notes.append(
                "revision '\(revision.name)' has no backend that answers: its share goes to the others until it has"
            )
        }
        var snapshot = state.snapshot
        guard weights != plan.split.weights else {
            return Applied(
                snapshot: snapshot,
                notes: notes + ["nothing changed: these weights are in force"]
            )
        }
        snapshot.models[index].split = TrafficSplit(weights: weights)
        if shift.isDryRun {
            return Applied(snapshot: snapshot, notes: notes + ["a dry run: nothing changed"])
        }
        var adjustments = state.adjustments
        let isConfigured = weights == state.plain.models[index].split.weights
        adjustments.change(plan.name) {
            $0.traffic =
                isConfigured ? nil : Dictionary(uniqueKeysWithValues: zip(names, weights))
        }
        notes += take(snapshot, adjustments, changed: [plan.name])
        announceShift(plan, to: weights, by: who)
        return Applied(snapshot: self.snapshot, notes: notes)
    }

    /// Back to the weights of the file.
    func configuredShift(of model: String) throws(ChangeError) -> TrafficShift {
        let weights = configuredWeights(of: model) ?? []
        let names = try find(model, in: state.withLock { $0 }).plan.revisions.map(\.name)
        return TrafficShift(
            model: model,
            weights: Dictionary(uniqueKeysWithValues: zip(names, weights))
        )
    }

    private func announceShift(_ plan: ModelPlan, to weights: [Int], by who: String) {
        func text(_ weights: [Int]) -> String {
            zip(plan.revisions, weights).map { "\($0.name)=\(Configuration.percent($1))" }
                .joined(separator: " ")
        }
        let (from, to) = (text(plan.split.weights), text(weights))
        announce(
            ChangeEvent(
                time: loop.wallTime,
                who: who,
                kind: .traffic,
                model: plan.name,
                from: from,
                to: to,
                message: "traffic of \(plan.name) moved from \(from) to \(to)"
            )
        )
    }
}
