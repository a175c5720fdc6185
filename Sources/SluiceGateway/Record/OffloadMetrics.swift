package import SluiceTelemetry

/// What becomes of work that is too long for a loop.
package enum OffloadMetrics {
    package static let tasks = MetricFamily.counter(
        "sluice_offload_tasks_total",
        help:
            "Pieces of work on bodies above 1 MiB that helper threads were given, or had no room for.",
        labels: ["work", "result"]
    )
    package static let active = MetricFamily.gauge(
        "sluice_offload_tasks",
        help: "Pieces of such work that wait for a helper thread or are being done.",
        labels: []
    )
}
