import SluiceTelemetry

/// One model's counters of rows.
final class RowMetrics {
    let hits: CounterID
    let misses: CounterID
    private let fallbacks: [CounterID]

    init(store: MetricStore, model: String) {
        hits = store.counter(GatewayMetrics.cacheRows, [model, "hit"])
        misses = store.counter(GatewayMetrics.cacheRows, [model, "miss"])
        fallbacks = RowFallback.allCases.map {
            store.counter(GatewayMetrics.rowFallbacks, [model, $0.label])
        }
    }

    func counter(_ reason: RowFallback) -> CounterID { fallbacks[reason.rawValue] }
}
