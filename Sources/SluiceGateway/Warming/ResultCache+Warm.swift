import SluiceCache
import SluiceCore
import Synchronization

extension ResultCache {
    /// What a model is asked most; the same for all workers, and over reloads while its policy stays.
    func topRequests(of model: String, _ policy: WarmPolicy, at now: Instant) -> TopRequests {
        hot.withLock { tables in
            tables = tables.filter { $0.value.inputs != nil }
            if let known = tables[model]?.inputs, known.policy == policy { return known }
            let made = TopRequests(policy, at: now)
            tables[model] = WeakTopRequests(inputs: made)
            return made
        }
    }

    /// Replays what the model is asked most to one of its revisions, and says when that is over, on any
    /// thread; nil for a model that isn't warmed.
    package func warm(
        model: String,
        revision: String,
        then: @escaping @Sendable (WarmupRun.Progress) -> Void
    ) -> WarmupRun? {
        guard let inputs = hot.withLock({ $0[model]?.inputs }) else { return nil }
        let run = WarmupRun(
            model: model,
            revision: revision,
            rate: inputs.policy.rate,
            inputs.mostFrequent,
            then: then
        )
        if run.progress.inputs == 0 {
            run.stop(.done)
        } else {
            mailboxes.postToAll { $0.warm(run) }
        }
        return run
    }

    /// The workers' snapshots hold it; here it is only found.
    struct WeakTopRequests: Sendable {
        weak let inputs: TopRequests?
    }
}
