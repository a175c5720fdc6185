import SluiceCache
import SluiceCore
import Synchronization

extension ResultCache {
    /// What a model is asked most; the same for all workers, and over reloads while its policy stays.
    func hotInputs(of model: String, _ policy: WarmPolicy, at now: Instant) -> HotInputs {
        hot.withLock { tables in
            tables = tables.filter { $0.value.inputs != nil }
            if let known = tables[model]?.inputs, known.policy == policy { return known }
            let made = HotInputs(policy, at: now)
            tables[model] = HeldElsewhere(inputs: made)
            return made
        }
    }

    /// Replays what the model is asked most to one of its revisions, and says when that is over, on any
    /// thread; nil for a model that isn't warmed.
    package func warm(
        model: String,
        revision: String,
        then: @escaping @Sendable (WarmRun.Progress) -> Void
    ) -> WarmRun? {
        guard let inputs = hot.withLock({ $0[model]?.inputs }) else { return nil }
        let run = WarmRun(
            model: model,
            revision: revision,
            rate: inputs.policy.rate,
            inputs.hottest,
            then: then
        )
        if run.progress.inputs == 0 {
            run.stop(.done)
        } else {
            tellAll { $0.warm(run) }
        }
        return run
    }

    /// The workers' replicas hold it; here it is only found.
    struct HeldElsewhere: Sendable {
        weak let inputs: HotInputs?
    }
}
