import SluiceGateway
import SluiceTelemetry
import Synchronization

// Which backends are asked: what people say of them.
extension ChangeCoordinator {
    func set(
        backend address: String,
        of revision: String,
        _ model: String,
        to wanted: BackendState,
        by who: String
    ) throws(ChangeError) -> Applied {
        let state = state.withLock { $0 }
        let (index, plan) = try find(model, in: state)
        guard let place = plan.revisions.firstIndex(where: { $0.name == revision }) else {
            throw ChangeError(.unknown, "model '\(model)' has no revision '\(revision)'")
        }
        let backends = plan.revisions[place].backends
        guard let number = backends.firstIndex(where: { $0.label == address }) else {
            let known = backends.map(\.label).joined(separator: ", ")
            throw ChangeError(
                .unknown,
                "revision '\(revision)' of model '\(model)' has no backend '\(address)'; it has \(known)"
            )
        }
        let before = backends[number].state
        guard before != wanted else {
            return Applied(
                snapshot: state.snapshot,
                notes: ["nothing changed: the backend is in this state"]
            )
        }
        var snapshot = state.snapshot
        snapshot.models[index].revisions[place].backends[number].state = wanted
        var adjustments = state.adjustments
        adjustments.change(model) {
            $0.backends[revision, default: [:]][address] = wanted == .ready ? nil : wanted
            if $0.backends[revision]?.isEmpty == true { $0.backends[revision] = nil }
        }
        var notes = take(snapshot, adjustments, changed: [])
        if wanted != .ready,
            snapshot.models[index].revisions[place].backends.allSatisfy({ $0.state != .ready })
        {
            notes.append("revision '\(revision)' has no backend in rotation now")
        }
        announce(
            ChangeEvent(
                time: loop.wallTime,
                who: who,
                kind: .backend,
                model: model,
                from: before.rawValue,
                to: wanted.rawValue,
                message: "backend \(address) of \(model) \(revision) is set to \(wanted.rawValue)"
            )
        )
        return Applied(snapshot: self.snapshot, notes: notes)
    }
}
