import SluiceRouting
import SluiceTelemetry

extension GatewayMetrics {
    static let trafficSpillover = MetricFamily.counter(
        "sluice_traffic_lent_total",
        help: "Requests of a revision's share that others took because it had no healthy backend.",
        labels: ["model", "revision"]
    )
    static let routeMatches = MetricFamily.counter(
        "sluice_route_matches_total",
        help: "Requests that a header or cookie routed to a revision, whatever its weight.",
        labels: ["model", "revision"]
    )
}

/// How one model's requests were dealt; counters by the revision's number.
final class SplitMetrics {
    /// Empty where no other revision can take it.
    private let spillover: [CounterID]
    /// Empty where nothing routes.
    private let matches: [CounterID]

    init(store: MetricStore, plan: ModelPlan) {
        let labels = plan.revisions.map { [plan.name, $0.name] }
        spillover =
            labels.count > 1
            ? labels.map { store.counter(GatewayMetrics.trafficSpillover, $0) } : []
        let routes = plan.rules.map { $0.allowsRevisionHeader || !$0.table.routes.isEmpty } == true
        matches = routes ? labels.map { store.counter(GatewayMetrics.routeMatches, $0) } : []
    }

    /// Counts requests that `revision` couldn't take.
    func spillover(_ revision: Int) -> CounterID { spillover[revision] }

    /// Counts requests that were routed to `revision`.
    func matches(_ revision: Int) -> CounterID { matches[revision] }
}
