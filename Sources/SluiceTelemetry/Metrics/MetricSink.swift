/// Takes the values that are looked up at scrape time instead of being counted.
package struct MetricSink {
    /// The values of one family by label text; the last one given for the same labels counts.
    struct Family {
        let family: MetricFamily
        var values: [[UInt8]: Double] = [:]
    }

    private(set) var families: [String: Family] = [:]

    init() {}

    /// Says what a gauge shows now.
    package mutating func gauge(
        _ family: MetricFamily,
        _ labels: [String] = [],
        value: Double
    ) {
        precondition(family.kind == .gauge, "a gauge belongs to a family of gauges")
        set(family, labels, value)
    }

    /// Says what a counter kept elsewhere (by the operating system, say) has reached.
    package mutating func counter(
        _ family: MetricFamily,
        _ labels: [String] = [],
        value: Double
    ) {
        precondition(family.kind == .counter, "a counter belongs to a family of counters")
        set(family, labels, value)
    }

    private mutating func set(_ family: MetricFamily, _ labels: [String], _ value: Double) {
        let text = MetricSeries.labelText(names: family.labels, values: labels)
        families[family.name, default: Family(family: family)].values[text] = value
    }
}
