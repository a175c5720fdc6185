package import SluiceCore
import Synchronization

/// All numbers of the process: what is counted (under a lock) and how much (in the shards).
///
/// Registering takes the lock and some hundred nanoseconds; counting takes neither. A scrape
/// holds the lock only to copy the list of series, so a worker that meets a new status code never
/// waits for a scrape's text. Bounds: 2,000 living series per family and half a million slots
/// over the life of the process; beyond either, registration returns the family's overflow series,
/// whose label values are all `other`, and `sluice_metric_series_dropped_total` counts.
package final class MetricStore: Sendable {
    /// Adds values that nobody counts but somebody knows, once per scrape.
    package typealias Collector = @Sendable (inout MetricSink) -> Void

    private struct State {
        var slots = SlotAllocator()
        var families: [MetricSeriesList] = []
        var familyIndex: [String: Int] = [:]
        // Series that are shown once more; by slot.
        var retiring: Set<UInt32> = []
        var shards: [MetricShard] = []
        var collectors: [Collector] = []
        var dropped: UInt64 = 0
    }

    /// What backends answered, finely enough to compare revisions.
    package let answers = AnswerBoard()

    private let seriesPerFamily: Int
    private let state: Mutex<State>

    /// A store without series that allows each family `seriesPerFamily` of them.
    package init(seriesPerFamily: Int = 2_000) {
        self.seriesPerFamily = seriesPerFamily
        state = Mutex(State())
    }

    /// Makes a shard for one writer; it counts for as long as the store lives.
    package func makeShard() -> MetricShard {
        let shard = MetricShard()
        state.withLock { $0.shards.append(shard) }
        return shard
    }

    // MARK: - Registering

    /// The counter with these label values, registered on first sight.
    ///
    /// - Parameters:
    ///   - family: a family of counters.
    ///   - labels: one value for each of the family's labels, in order.
    /// - Returns: the same handle for the same labels, until they're retired.
    package func counter(_ family: MetricFamily, _ labels: [String] = []) -> CounterID {
        precondition(family.kind == .counter, "a counter belongs to a family of counters")
        return CounterID(slot: register(family, labels))
    }

    /// The gauge with these label values, registered on first sight.
    ///
    /// - Parameters:
    ///   - family: a family of gauges.
    ///   - labels: one value for each of the family's labels, in order.
    /// - Returns: the same handle for the same labels, until they're retired.
    package func gauge(_ family: MetricFamily, _ labels: [String] = []) -> GaugeID {
        precondition(family.kind == .gauge, "a gauge belongs to a family of gauges")
        return GaugeID(slot: register(family, labels))
    }

    /// The histogram with these label values, registered on first sight.
    ///
    /// - Parameters:
    ///   - family: a family of histograms.
    ///   - labels: one value for each of the family's labels, in order.
    /// - Returns: the same handle for the same labels, until they're retired.
    package func histogram(_ family: MetricFamily, _ labels: [String] = []) -> HistogramID {
        precondition(family.kind == .histogram, "a histogram belongs to a family of histograms")
        return HistogramID(slot: register(family, labels))
    }

    /// Calls `collector` at each scrape, on the scraping thread and without a lock held.
    package func collect(_ collector: @escaping Collector) {
        state.withLock { $0.collectors.append(collector) }
    }

    private func register(_ family: MetricFamily, _ labels: [String]) -> UInt32 {
        precondition(
            labels.count == family.labels.count,
            "a series has a value for each label"
        )
        return state.withLock { state in
            let index = MetricStore.familyIndex(family, &state)
            if let known = state.families[index][labels] {
                state.retiring.remove(known.slot)
                return known.slot
            }
            // Who says `other` of his own accord means the overflow series.
            if !labels.isEmpty, labels == state.families[index].overflow.values {
                return state.families[index].overflowNow().slot
            }
            guard state.families[index].count < seriesPerFamily,
                let slot = MetricStore.takeSlot(for: family, &state)
            else {
                state.dropped += 1
                return state.families[index].overflowNow().slot
            }
            state.families[index].insert(
                MetricSeries(slot: slot, family: family, values: labels)
            )
            return slot
        }
    }

    private static func familyIndex(_ family: MetricFamily, _ state: inout State) -> Int {
        if let index = state.familyIndex[family.name] {
            let known = state.families[index].family
            precondition(
                known.kind == family.kind && known.labels == family.labels,
                "one name, one kind and one set of labels"
            )
            return index
        }
        // The overflow series gets its slot now, while there is one.
        let overflow = takeSlot(for: family, &state) ?? SlotLayout.discarded
        state.families.append(MetricSeriesList(family: family, overflowSlot: overflow))
        state.familyIndex[family.name] = state.families.count - 1
        return state.families.count - 1
    }

    private static func takeSlot(for family: MetricFamily, _ state: inout State) -> UInt32? {
        family.kind == .histogram ? state.slots.takeBlock() : state.slots.takeSingle()
    }

    // MARK: - Retiring

    /// Shows a counter once more, then forgets it.
    ///
    /// Registering the same labels before that scrape revives it with its count; afterwards it
    /// starts over in a fresh slot. Late updates through the old handle are allowed and lost.
    package func retire(_ counter: CounterID) {
        retire { $0.slot == counter.slot }
    }

    /// Shows a gauge once more, then forgets it; as for counters.
    package func retire(_ gauge: GaugeID) {
        retire { $0.slot == gauge.slot }
    }

    /// Shows a histogram once more, then forgets it; as for counters.
    package func retire(_ histogram: HistogramID) {
        retire { $0.slot == histogram.slot }
    }

    /// Retires every series, of whatever family, that has all of `labels`.
    ///
    /// `retire(matching: [("model", "iris"), ("revision", "v1")])` is what a removed revision
    /// needs. Call it when no flow runs on the revision any more: a worker that then meets a new
    /// status code would register its series again.
    ///
    /// - Parameter labels: names and values; at least one.
    package func retire(matching labels: [(name: String, value: String)]) {
        precondition(!labels.isEmpty, "nobody retires every series")
        state.withLock { state in
            for list in state.families {
                let places = labels.compactMap { label in
                    list.family.labels.firstIndex(of: label.name)
                }
                guard places.count == labels.count else { continue }
                for series in list.sorted where series !== list.overflow {
                    let matches = zip(places, labels).allSatisfy { place, label in
                        series.values[place] == label.value
                    }
                    if matches { state.retiring.insert(series.slot) }
                }
            }
        }
    }

    private func retire(where isMeant: (MetricSeries) -> Bool) {
        state.withLock { state in
            for list in state.families {
                // The overflow series is shared by many and stays.
                for series in list.sorted where series !== list.overflow && isMeant(series) {
                    state.retiring.insert(series.slot)
                }
            }
        }
    }

    // MARK: - Reading

    /// A counter's count so far, over all shards.
    package func value(of counter: CounterID) -> UInt64 {
        state.withLock { $0.shards }.reduce(0) { $0 &+ $1.read(counter.slot) }
    }

    /// A gauge's value now, over all shards.
    package func value(of gauge: GaugeID) -> Int64 {
        let sum = state.withLock { $0.shards }.reduce(0) { $0 &+ $1.read(gauge.slot) }
        return Int64(bitPattern: sum)
    }

    /// A histogram's buckets and sum so far, over all shards.
    package func value(of histogram: HistogramID) -> HistogramReading {
        HistogramReading(slot: histogram.slot, shards: state.withLock { $0.shards })
    }

    /// What a family's living series hold now, over all shards; none if nobody has registered any.
    package func readings(of family: MetricFamily) -> [SeriesReading] {
        let (series, shards) = state.withLock { state in
            let list = state.familyIndex[family.name].map { state.families[$0].sorted }
            return (list ?? [], state.shards)
        }
        return series.map { SeriesReading($0, of: family.kind, in: shards) }
    }

    /// Writes all series as text; the series that were retired go after this.
    ///
    /// Families are sorted by name and their series by labels. One thread at a time should
    /// scrape; workers count on meanwhile.
    package func write(as format: ExpositionFormat, into buffer: inout ByteBuffer) {
        let (lists, shards, collectors, dropped) = state.withLock { state in
            let copies = (state.families, state.shards, state.collectors, state.dropped)
            if !state.retiring.isEmpty {
                let retiring = state.retiring
                for index in state.families.indices {
                    state.families[index].remove { retiring.contains($0.slot) }
                }
                state.retiring = []
            }
            return copies
        }
        var sink = MetricSink()
        sink.counter(MetricStore.droppedSeries, value: Double(dropped))
        for collector in collectors { collector(&sink) }
        Exposition(lists: lists, collected: sink, shards: shards, format: format)
            .write(into: &buffer)
    }

    private static let droppedSeries = MetricFamily.counter(
        "sluice_metric_series_dropped_total",
        help: "Registrations beyond a bound; they count in series labelled other."
    )
}
