package import SluiceTelemetry

// What is counted of warming; looked up when it happens, which is some times a second.
extension GatewayMetrics {
    static let warmRequests = MetricFamily.counter(
        "sluice_warm_requests_total",
        help: "Inputs replayed to fill a revision's cache before it takes weight, by result.",
        labels: ["model", "revision", "result"]
    )
    package static let warmRemaining = MetricFamily.gauge(
        "sluice_warm_remaining",
        help: "Inputs that a revision being warmed still has before it.",
        labels: ["model", "revision"]
    )
}
