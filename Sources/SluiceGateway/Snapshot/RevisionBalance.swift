import SluiceBalancing
import SluiceCore
import SluiceHTTP
import SluiceRouting

/// How one worker balances, ejects, queues and retries for one revision.
final class RevisionBalance {
    let outlier: OutlierPolicy
    let retry: RetryPolicy
    let hedge: HedgePolicy?
    let board: RevisionSharedState
    /// What requests wait for; nil while no backend has a limit.
    let candidates: RevisionQueue.Candidates?
    /// Limits all backends together; nil where that isn't configured.
    let concurrency: ConcurrencyLimit?
    let maxQueue: Int
    /// In nanoseconds.
    let queueTimeout: Int64
    let tryTimeout: Int64
    let policy: LoadBalancing
    /// What `ringHash` goes by.
    let hashKey: FieldKey?

    /// `backends` are those that take requests, in the worker's order; `picker` chooses for those who
    /// have waited in the queue.
    init(
        _ plan: ResiliencePlan,
        _ board: RevisionSharedState,
        _ backends: [BackendPlan],
        _ balancing: LoadBalancing,
        _ picker: BackendPicker
    ) {
        self.board = board
        outlier = plan.outlier
        retry = plan.retry
        hedge = plan.retry.isIdempotent ? plan.hedge : nil
        maxQueue = plan.maxQueue
        queueTimeout = plan.queueTimeout.nanoseconds
        tryTimeout = plan.retry.tryTimeout.nanoseconds
        policy = balancing
        hashKey = balancing == .ringHash ? plan.hashOn.map { FieldKey($0) } : nil
        board.concurrency.use(plan.concurrency)
        concurrency = plan.concurrency == nil ? nil : board.concurrency
        for backend in backends { backend.load.limit = backend.maxInFlight }
        candidates =
            backends.contains { $0.maxInFlight > 0 }
            ? RevisionQueue.Candidates(
                loads: backends.map(\.load),
                picker: picker,
                concurrency: concurrency
            ) : nil
    }

    var measuresLatency: Bool {
        if case .peakEwma = policy { true } else { false }
    }

    private static func options(_ plan: ResiliencePlan) -> BalancingOptions {
        var options = BalancingOptions()
        options.slowStart = plan.slowStart
        options.panicPercent = plan.outlier.panicPercent
        return options
    }

    static func picker(
        _ plan: ResiliencePlan,
        _ board: RevisionSharedState,
        _ backends: [BackendPlan],
        _ balancing: LoadBalancing,
        start: Int
    ) -> BackendPicker {
        BackendPicker(
            balancing,
            weights: backends.map(\.weight),
            ring: balancing == .ringHash
                ? board.rings.ring(of: backends.map { ($0.label, $0.weight) }) : nil,
            options: options(plan),
            start: start
        )
    }
}
