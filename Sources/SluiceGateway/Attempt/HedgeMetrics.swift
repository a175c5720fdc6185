package import SluiceTelemetry

/// What becomes of a copy that was, or should have been, sent because the first backend was slow.
enum HedgeResult: String, CaseIterable {
    /// It took the original's place: it answered first, or the original failed beside it.
    case won
    /// Another attempt answered first.
    case lost
    /// Its backend couldn't be reached, broke off or couldn't serve; the original went on.
    case failed
    /// The request ended otherwise: its caller left, or its time was over.
    case cancelled
    /// It wasn't sent: no other backend, no room there, or too many repetitions under way.
    case skipped
}

extension GatewayMetrics {
    package static let hedges = MetricFamily.counter(
        "sluice_hedges_total",
        help: "Second copies of requests that were slow to be answered, by what became of them.",
        labels: ["model", "revision", "result"]
    )
}

extension RevisionMetrics {
    func hedges(_ result: HedgeResult) -> CounterID {
        store.counter(GatewayMetrics.hedges, labels + [result.rawValue])
    }
}
