/// One line of a family (for a histogram: one group of lines), as the store remembers it.
final class MetricSeries: Sendable {
    /// The first slot of the series.
    let slot: UInt32
    /// The label values, in the family's order.
    let values: [String]
    /// `name="value",…` without braces, escaped, ready for the scrape.
    let labelText: [UInt8]
    /// What the series is about, if that comes and goes.
    let scope: MetricScopeName?

    init(slot: UInt32, family: MetricFamily, values: [String]) {
        self.slot = slot
        self.values = values
        labelText = MetricSeries.labelText(names: family.labels, values: values)
        scope = MetricScopeName(names: family.labels, values: values)
    }

    /// Label pairs as exposition text, where `\`, `"` and line feeds in values are escaped.
    static func labelText(names: [String], values: [String]) -> [UInt8] {
        precondition(names.count == values.count, "a series has a value for each label")
        var text: [UInt8] = []
        for (name, value) in zip(names, values) {
            if !text.isEmpty { text.append(0x2C) }
            text.append(contentsOf: name.utf8)
            text.append(contentsOf: [0x3D, 0x22])
            escape(value, quotes: true, into: &text)
            text.append(0x22)
        }
        return text
    }

    /// Appends `value` with `\` and line feeds escaped, and quotes where asked for.
    static func escape(_ value: String, quotes: Bool, into text: inout [UInt8]) {
        for byte in value.utf8 {
            switch byte {
            case 0x5C: text.append(contentsOf: [0x5C, 0x5C])
            case 0x0A: text.append(contentsOf: [0x5C, 0x6E])
            case 0x22 where quotes: text.append(contentsOf: [0x5C, 0x22])
            default: text.append(byte)
            }
        }
    }
}

/// The series of one family.
struct MetricSeriesList {
    let family: MetricFamily
    /// All that are shown; in the order of their label text if ``isSorted``.
    private(set) var series: [MetricSeries] = []
    private(set) var isSorted = true
    /// Counts what came and went, so that an order found meanwhile can be told from an old one.
    private(set) var version = 0
    private var byValues: [[String]: MetricSeries] = [:]
    /// Where series above the limit are counted; present in `series` once there was one.
    let overflow: MetricSeries
    private(set) var overflowed = false
    /// Registrations that the limit sent to the overflow series.
    var dropped: UInt64 = 0
    /// How many scopes had died when this was last searched for their series to make room.
    var deathsSeen: UInt64 = 0

    init(family: MetricFamily, overflowSlot: UInt32) {
        self.family = family
        overflow = MetricSeries(
            slot: overflowSlot,
            family: family,
            values: family.labels.map { _ in "other" }
        )
    }

    /// How many series live, the overflow series not counted.
    var count: Int { byValues.count }

    /// The series with these label values.
    subscript(values: [String]) -> MetricSeries? { byValues[values] }

    mutating func insert(_ series: MetricSeries) {
        byValues[series.values] = series
        place(series)
    }

    /// Removes the series that `isGone` says; returns their slots.
    mutating func remove(where isGone: (MetricSeries) -> Bool) -> [UInt32] {
        var slots: [UInt32] = []
        series.removeAll { series in
            guard series !== overflow, isGone(series) else { return false }
            byValues[series.values] = nil
            slots.append(series.slot)
            return true
        }
        if !slots.isEmpty { version += 1 }
        return slots
    }

    /// Shows the overflow series from now on and returns it.
    ///
    /// Once the process ran out of slots a new family's overflow series has none either; its
    /// updates are discarded, and it isn't shown.
    mutating func overflowNow() -> MetricSeries {
        if !overflowed, overflow.slot != SlotLayout.discarded {
            overflowed = true
            place(overflow)
        }
        return overflow
    }

    /// The list in order, which is sorted at most once for each series that came.
    func inOrder() -> MetricSeriesList {
        guard !isSorted else { return self }
        var copy = self
        copy.series.sort { $0.labelText.lexicographicallyPrecedes($1.labelText) }
        copy.isSorted = true
        return copy
    }

    /// Takes over the order that `other` found, if nothing came or went meanwhile.
    mutating func adopt(_ other: MetricSeriesList) {
        guard version == other.version else { return }
        series = other.series
        isSorted = true
    }

    private mutating func place(_ series: MetricSeries) {
        self.series.append(series)
        isSorted = self.series.count == 1
        version += 1
    }
}
