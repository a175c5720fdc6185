package import SluiceTelemetry

// What is counted of failing and full backends. These are looked up when they happen, which is
// rarely, and waiting in the queue is slow already.
extension GatewayMetrics {
    static let backendEjections = MetricFamily.counter(
        "sluice_backend_ejections_total",
        help: "Times a backend was taken out for failing, by the kind of its last failure.",
        labels: ["model", "revision", "backend", "reason"]
    )
    static let backendResets = MetricFamily.counter(
        "sluice_backend_resets_total",
        help: "Calls to backends that were broken off, by who did it and why.",
        labels: ["model", "revision", "by", "reason"]
    )
    static let backendKeepAliveTimeouts = MetricFamily.counter(
        "sluice_backend_keepalive_timeouts_total",
        help: "HTTP/2 connections given up because the backend left a PING unanswered.",
        labels: ["backend"]
    )
    static let retryBudgetExhausted = MetricFamily.counter(
        "sluice_retry_budget_exhausted_total",
        help: "Requests that were not sent again because too many retries were under way.",
        labels: ["model", "revision"]
    )
    static let queueSeconds = MetricFamily.histogram(
        "sluice_queue_seconds",
        help: "Waits for a backend below its maxInFlight, granted or given up.",
        labels: ["model", "revision"]
    )
    package static let rejected = MetricFamily.counter(
        "sluice_rejected_total",
        help: "Requests the gateway turned away, by reason.",
        labels: ["model", "revision", "reason"]
    )
    package static let panic = MetricFamily.gauge(
        "sluice_panic",
        help: "1 while so few backends are healthy that all are used, else 0.",
        labels: ["model", "revision"]
    )
    package static let concurrencyLimit = MetricFamily.gauge(
        "sluice_concurrency_limit",
        help: "Requests a revision may have at its backends, as learnt from how long they take.",
        labels: ["model", "revision"]
    )
    package static let rateLimitKeys = MetricFamily.gauge(
        "sluice_rate_limit_keys",
        help: "Callers that a model's rate limits tell apart now.",
        labels: ["model"]
    )
    package static let rateLimitEvictions = MetricFamily.counter(
        "sluice_rate_limit_evictions_total",
        help: "Callers forgotten for others before their rate limit had recovered.",
        labels: ["model"]
    )
    package static let memoryPressure = MetricFamily.gauge(
        "sluice_memory_pressure",
        help: "0, 1 from 92 % of limits.maxMemory, 2 from 95 %, where requests are refused."
    )
    package static let queueDepth = MetricFamily.gauge(
        "sluice_queue_depth",
        help: "Requests that wait for a backend below its maxInFlight.",
        labels: ["model", "revision"]
    )
}

extension RevisionMetrics {
    func ejections(backend: String, reason: String) -> CounterID {
        store.counter(GatewayMetrics.backendEjections, labels + [backend, reason])
    }

    func resets(by side: String, reason: String) -> CounterID {
        store.counter(GatewayMetrics.backendResets, labels + [side, reason])
    }

    var retryBudgetExhausted: CounterID {
        store.counter(GatewayMetrics.retryBudgetExhausted, labels)
    }

    var queueSeconds: HistogramID { store.histogram(GatewayMetrics.queueSeconds, labels) }

    func rejected(reason: String) -> CounterID {
        store.counter(GatewayMetrics.rejected, labels + [reason])
    }
}
