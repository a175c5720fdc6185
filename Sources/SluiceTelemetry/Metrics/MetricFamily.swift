/// All series that share one name: what is counted, for which labels.
///
/// A family is a constant of the room that counts; registering a series hands it along. Families
/// are the same when their names are, and a name must always come with the same kind and labels.
/// Names follow the Prometheus data model: `[a-zA-Z_][a-zA-Z0-9_]*`, base units (seconds, bytes) at
/// the end, `_total` after that on counters and only there.
package struct MetricFamily: Hashable, Sendable {
    /// How a family's series behave.
    package enum Kind: Hashable, Sendable {
        /// A count that only grows.
        case counter
        /// A value that goes up and down.
        case gauge
        /// Observed durations, counted by bucket.
        case histogram
    }

    /// How the series behave.
    package let kind: Kind
    /// The full name, with `_total` on a counter.
    package let name: String
    /// One sentence for whoever reads the scrape.
    package let help: String
    /// The label names, in the order in which values are given.
    package let labels: [String]

    /// A family of counts that only grow; `name` ends in `_total`.
    package static func counter(
        _ name: String,
        help: String,
        labels: [String] = []
    ) -> MetricFamily {
        precondition(name.hasSuffix("_total"), "a counter's name ends in _total")
        return MetricFamily(kind: .counter, name: name, help: help, labels: labels)
    }

    /// A family of values that go up and down.
    package static func gauge(
        _ name: String,
        help: String,
        labels: [String] = []
    ) -> MetricFamily {
        MetricFamily(kind: .gauge, name: name, help: help, labels: labels)
    }

    /// A family of duration histograms; `name` ends in `_seconds`.
    package static func histogram(
        _ name: String,
        help: String,
        labels: [String] = []
    ) -> MetricFamily {
        precondition(name.hasSuffix("_seconds"), "a histogram observes seconds")
        precondition(!labels.contains("le"), "the label le belongs to the buckets")
        return MetricFamily(kind: .histogram, name: name, help: help, labels: labels)
    }

    private init(kind: Kind, name: String, help: String, labels: [String]) {
        precondition(
            kind == .counter || !name.hasSuffix("_total"),
            "_total is the suffix of counters"
        )
        precondition(!help.isEmpty, "a family says what it counts")
        precondition(
            MetricFamily.isName(name) && labels.allSatisfy(MetricFamily.isName),
            "metric and label names are made of letters, digits and underscores"
        )
        self.kind = kind
        self.name = name
        self.help = help
        self.labels = labels
    }

    /// The name without `_total`, which is what OpenMetrics calls the family.
    var baseName: String {
        kind == .counter ? String(name.dropLast("_total".count)) : name
    }

    /// The unit that the base name ends in, where OpenMetrics wants to hear it.
    var unit: String? {
        ["seconds", "bytes"].first { baseName.hasSuffix("_" + $0) }
    }

    private static func isName(_ text: String) -> Bool {
        guard let first = text.utf8.first, !(0x30...0x39).contains(first) else { return false }
        return text.utf8.allSatisfy { byte in
            switch byte {
            case 0x30...0x39, 0x41...0x5A, 0x5F, 0x61...0x7A: true
            default: false
            }
        }
    }
}
