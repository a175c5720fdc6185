import SluiceHTTP
import SluiceTelemetry

/// One listener's counters of connections and streams that were ended as attacks, by reason.
///
/// All reasons are there from the start, so that a rate over them sees the first one.
struct AbuseMetrics {
    private static let family = MetricFamily.counter(
        "sluice_abuse_total",
        help: "Connections, or streams, ended because their client cost more than it asked for.",
        labels: ["listener", "reason"]
    )

    private let counters: [AbuseReason: CounterID]

    init(store: MetricStore, listener: String) {
        var counters: [AbuseReason: CounterID] = [:]
        for reason in AbuseReason.allCases {
            counters[reason] = store.counter(AbuseMetrics.family, [listener, reason.rawValue])
        }
        self.counters = counters
    }

    /// The counter to raise for an attack on this listener; every reason has one.
    subscript(reason: AbuseReason) -> CounterID? { counters[reason] }
}
