import SluiceBalancing
import SluiceGateway
import SluiceTelemetry

// What a scrape shows of rate limits and adaptive concurrency.
extension GatewayRuntime {
    static func collectLimits(_ model: ModelPlan, into sink: inout MetricSink) {
        let limiters = model.resilience.rateLimiters.filter { $0.limit.scope != .model }
        if !limiters.isEmpty {
            sink.gauge(
                GatewayMetrics.rateLimitKeys,
                [model.name],
                value: Double(limiters.reduce(0) { $0 + $1.keyCount })
            )
            sink.counter(
                GatewayMetrics.rateLimitEvictions,
                [model.name],
                value: Double(limiters.reduce(0) { $0 + $1.evictions })
            )
        }
        for revision in model.revisions {
            guard let limit = revision.board.concurrency.limit else { continue }
            sink.gauge(
                GatewayMetrics.concurrencyLimit,
                [model.name, revision.name],
                value: Double(limit)
            )
        }
    }
}
