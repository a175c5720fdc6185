import SluiceBalancing
import SluiceCore

/// How one worker balances, ejects, queues and retries for one revision.
final class RevisionBalance {
    let outlier: OutlierPolicy
    let retry: RetryPolicy
    let board: RevisionBoard
    /// What requests wait for; nil while no backend has a limit.
    let candidates: RevisionQueue.Candidates?
    let maxQueue: Int
    /// In nanoseconds.
    let queueTimeout: Int64
    let tryTimeout: Int64
    let measuresLatency: Bool
    let hashOn: HashSource?

    init(_ plan: ResiliencePlan, _ revision: RevisionPlan, _ balancing: LoadBalancing) {
        outlier = plan.outlier
        retry = plan.retry
        board = revision.board
        maxQueue = plan.maxQueue
        queueTimeout = plan.queueTimeout.nanoseconds
        tryTimeout = plan.retry.tryTimeout.nanoseconds
        measuresLatency = balancing == .peakEwma
        hashOn = balancing == .ringHash ? plan.hashOn : nil
        for backend in revision.backends { backend.load.limit = backend.maxInFlight }
        candidates =
            revision.backends.contains { $0.maxInFlight > 0 }
            ? RevisionQueue.Candidates(
                loads: revision.backends.map(\.load),
                weights: revision.backends.map(\.weight),
                options: RevisionBalance.options(plan)
            ) : nil
    }

    static func options(_ plan: ResiliencePlan) -> BalancingOptions {
        var options = BalancingOptions()
        options.slowStart = plan.slowStart
        options.panicPercent = plan.outlier.panicPercent
        return options
    }

    static func picker(
        _ plan: ResiliencePlan,
        _ revision: RevisionPlan,
        _ balancing: LoadBalancing,
        start: Int
    ) -> BackendPicker {
        BackendPicker(
            balancing,
            weights: revision.backends.map(\.weight),
            ring: balancing == .ringHash
                ? HashRing(revision.backends.map { ($0.label, $0.weight) }) : nil,
            options: options(plan),
            start: start
        )
    }
}
