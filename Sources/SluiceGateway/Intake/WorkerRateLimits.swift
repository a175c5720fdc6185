import SluiceBalancing
import SluiceHTTP
import SluiceTelemetry

/// One worker's view of a model's rate limits; what they count is shared.
final class WorkerRateLimits {
    struct Entry {
        let limiter: RateLimiter
        /// Where the caller's key stands; nil unless the limit goes by a header.
        let header: FieldKey?
    }

    let entries: [Entry]
    let rejected: CounterID

    /// Nil where the model has none, which is all that other requests look at.
    init?(_ plan: ModelPlan, _ store: MetricStore) {
        guard !plan.resilience.rateLimiters.isEmpty else { return nil }
        entries = plan.resilience.rateLimiters.map { limiter in
            guard case .header(let name) = limiter.limit.scope else {
                return Entry(limiter: limiter, header: nil)
            }
            return Entry(limiter: limiter, header: FieldKey(header: name))
        }
        rejected = store.counter(GatewayMetrics.rejected, [plan.name, "-", "rate_limit"])
    }
}
