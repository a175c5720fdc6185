package import SluiceTelemetry

// What automatic rollouts show.
extension GatewayMetrics {
    /// Percent, as in `sluice_traffic_percent`.
    package static let canaryWeight = MetricFamily.gauge(
        "sluice_canary_weight",
        help: "The share in percent of a revision that is or was rolled out.",
        labels: ["model", "revision"]
    )
    /// A number for each status, so that one series tells a rollout's story.
    package static let canaryStatus = MetricFamily.gauge(
        "sluice_canary_status",
        help: "Where a rollout stands: 0 running, 1 promoted, 2 rolled back, 3 paused.",
        labels: ["model", "revision"]
    )
    /// Once an interval while a rollout is running, and once for an emergency.
    package static let canaryChecks = MetricFamily.counter(
        "sluice_canary_checks_total",
        help: "Looks at a rollout's gates, by what came of them.",
        labels: ["model", "revision", "result"]
    )
}
