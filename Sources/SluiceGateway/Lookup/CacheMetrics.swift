import SluiceTelemetry

/// What came of asking the cache, as metrics say it.
enum CacheResult: Int, CaseIterable {
    case memoryHit, memoryMiss, bypass, collapsed, refetched, redisHit, redisMiss, redisError

    var labels: (tier: String, result: String) {
        switch self {
        case .memoryHit: ("memory", "hit")
        case .memoryMiss: ("memory", "miss")
        case .bypass: ("memory", "bypass")
        case .collapsed: ("memory", "collapsed")
        case .refetched: ("memory", "overtaken")
        case .redisHit: ("redis", "hit")
        case .redisMiss: ("redis", "miss")
        case .redisError: ("redis", "error")
        }
    }
}

/// One model's counters of ``GatewayMetrics/cacheRequests``.
struct CacheMetrics: BitwiseCopyable {
    let counters: InlineArray<8, CounterID>

    init(store: MetricStore, plan: ModelPlan) {
        let model = plan.name
        precondition(CacheResult.allCases.count == 8, "each result has its counter")
        counters = InlineArray { index in
            let labels = CacheResult.allCases[index].labels
            return store.counter(GatewayMetrics.cacheRequests, [model, labels.tier, labels.result])
        }
    }
}
