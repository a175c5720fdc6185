import SluiceBalancing
import SluiceCore
import SluiceIO
import SluiceTelemetry

// Adaptive concurrency: how many requests a revision takes at once is learnt from latency
// (`ConcurrencyLimit`).
extension Worker {
    /// Refuses a request of a revision that has as many as it answers in good time.
    func replyCrowded(
        _ request: Request,
        _ revision: WorkerRevision,
        _ limit: ConcurrencyLimit
    ) {
        shard.add(revision.metrics.rejected(reason: "overload"))
        unsafe replyWithError(request, .crowded(limit.limit ?? limit.inFlight))
    }

    /// Learns from an attempt that is over how many requests the revision takes at once.
    ///
    /// Attempts that failed say nothing of that, and a stream lasts as long as its caller likes.
    func noteConcurrency(_ request: Request, _ limit: ConcurrencyLimit) {
        let outcome = unsafe request.pointee.attempt.outcome
        guard outcome == .served || outcome == .timedOut,
            unsafe request.pointee.attempt.sent != .zero,
            unsafe !isStream(request)
        else { return }
        unsafe limit.note(
            nanoseconds: backendTime(request),
            at: loop.now
        )
    }
}
