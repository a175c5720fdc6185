import SluiceCore

/// The text of one scrape.
///
/// Label text was escaped when the series was registered, and the length of everything can be
/// bounded beforehand, so the buffer grows once and the rest is copying: 10,000 series of four
/// shards take a millisecond.
///
/// Sources: Prometheus, "Exposition formats", text 0.0.4; OpenMetrics 1.0, "Text format".
struct Exposition {
    /// What a family shows: counted series and looked-up values, sorted by labels.
    private struct Section {
        let family: MetricFamily
        var lines: [Line]
    }

    private struct Line {
        let labelText: [UInt8]
        let value: Value
    }

    private enum Value {
        case slot(UInt32)
        case number(Double)
    }

    private let sections: [Section]
    private let shards: [MetricShard]
    private let format: ExpositionFormat

    init(
        lists: [MetricSeriesList],
        collected: MetricSink,
        shards: [MetricShard],
        format: ExpositionFormat
    ) {
        var byName: [String: Section] = [:]
        for list in lists where !list.series.isEmpty {
            byName[list.family.name] = Section(
                family: list.family,
                lines: list.series.map { Line(labelText: $0.labelText, value: .slot($0.slot)) }
            )
        }
        for (name, collected) in collected.families {
            let lines = collected.values.map { Line(labelText: $0, value: .number($1)) }
            var section = byName[name] ?? Section(family: collected.family, lines: [])
            precondition(
                section.family.kind == collected.family.kind,
                "one name, one kind of metric"
            )
            // Where both know a series, the looked-up value is shown, once.
            section.lines.removeAll { collected.values[$0.labelText] != nil }
            section.lines = (section.lines + lines)
                .sorted { $0.labelText.lexicographicallyPrecedes($1.labelText) }
            byName[name] = section
        }
        sections = byName.values.sorted {
            Array($0.family.name.utf8).lexicographicallyPrecedes(Array($1.family.name.utf8))
        }
        self.shards = shards
        self.format = format
    }

    /// Appends the whole text to `buffer`.
    func write(into buffer: inout ByteBuffer) {
        let bound = sections.reduce(8) { $0 + Exposition.bound($1) }
        // The buffer owns the memory; nothing else touches it before `commit`.
        var writer = unsafe TextWriter(start: buffer.reserve(bound), capacity: bound)
        for section in sections { write(section, into: &writer) }
        if format == .openMetrics { writer.literal("# EOF\n") }
        buffer.commit(writer.count)
    }

    // MARK: - Bounds

    /// The most bytes a section can take.
    private static func bound(_ section: Section) -> Int {
        let family = section.family
        let name = family.name.utf8.count
        // The three headings; each byte of help text may become two. 64 covers the fixed words.
        let headings = 3 * (name + 64) + 2 * family.help.utf8.count
        // `_bucket` and `le="0.00025",` take 20 bytes, a number at most 24, punctuation 4.
        let lines = family.kind == .histogram ? LatencyBuckets.count + 3 : 1
        return section.lines.reduce(headings) { sum, line in
            sum + lines * (name + line.labelText.count + 64)
        }
    }

    // MARK: - Text

    private func write(_ section: Section, into writer: inout TextWriter) {
        let family = section.family
        let name = Array(family.name.utf8)
        writeHeadings(family, into: &writer)
        for line in section.lines {
            switch line.value {
            case .number(let value):
                writer.bytes(name)
                writeLabels(line.labelText, into: &writer)
                writer.number(value)
                writer.byte(ASCII.lineFeed)
            case .slot(let slot):
                if family.kind == .histogram {
                    let reading = HistogramReading(slot: slot, shards: shards)
                    write(reading, name: name, labelText: line.labelText, into: &writer)
                    continue
                }
                var sum: UInt64 = 0
                for shard in shards { sum &+= shard.read(slot) }
                writer.bytes(name)
                writeLabels(line.labelText, into: &writer)
                if family.kind == .gauge {
                    writer.decimal(Int64(bitPattern: sum))
                } else {
                    writer.decimal(sum)
                }
                writer.byte(ASCII.lineFeed)
            }
        }
    }

    private func writeHeadings(_ family: MetricFamily, into writer: inout TextWriter) {
        // 0.0.4 knows a counter by its sample's name, OpenMetrics by the name without `_total`.
        let name = Array((format == .openMetrics ? family.baseName : family.name).utf8)
        var help: [UInt8] = []
        MetricSeries.escape(family.help, quotes: format == .openMetrics, into: &help)
        writer.literal("# HELP ")
        writer.bytes(name)
        writer.byte(ASCII.space)
        writer.bytes(help)
        writer.literal("\n# TYPE ")
        writer.bytes(name)
        switch family.kind {
        case .counter: writer.literal(" counter\n")
        case .gauge: writer.literal(" gauge\n")
        case .histogram: writer.literal(" histogram\n")
        }
        guard format == .openMetrics, let unit = family.unit else { return }
        writer.literal("# UNIT ")
        writer.bytes(name)
        writer.byte(ASCII.space)
        writer.bytes(Array(unit.utf8))
        writer.byte(ASCII.lineFeed)
    }

    private func write(
        _ reading: HistogramReading,
        name: [UInt8],
        labelText: [UInt8],
        into writer: inout TextWriter
    ) {
        var cumulated: UInt64 = 0
        for (bucket, count) in reading.buckets.enumerated() {
            cumulated &+= count
            writer.bytes(name)
            writer.literal("_bucket{")
            writer.bytes(labelText)
            if !labelText.isEmpty { writer.byte(ASCII.comma) }
            writer.literal("le=\"")
            if bucket < LatencyBuckets.count {
                writer.literal(LatencyBuckets.labels[bucket])
            } else {
                writer.literal("+Inf")
            }
            writer.literal("\"} ")
            writer.decimal(cumulated)
            writer.byte(ASCII.lineFeed)
        }
        writer.bytes(name)
        writer.literal("_sum")
        writeLabels(labelText, into: &writer)
        writer.seconds(nanoseconds: reading.nanoseconds)
        writer.byte(ASCII.lineFeed)
        writer.bytes(name)
        writer.literal("_count")
        writeLabels(labelText, into: &writer)
        writer.decimal(cumulated)
        writer.byte(ASCII.lineFeed)
    }

    private func writeLabels(_ labelText: [UInt8], into writer: inout TextWriter) {
        if !labelText.isEmpty {
            writer.byte(0x7B)
            writer.bytes(labelText)
            writer.byte(0x7D)
        }
        writer.byte(ASCII.space)
    }
}
