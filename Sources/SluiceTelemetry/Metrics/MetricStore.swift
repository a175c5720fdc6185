package import SluiceCore
import Synchronization

/// All numbers of the process: what is counted (under a lock) and how much (in the shards).
///
/// Registering takes the lock and some hundred nanoseconds; counting takes neither. A scrape
/// holds the lock only to copy the list of series, so a worker that meets a new status code never
/// waits for a scrape's text. Series of what is gone go too (`MetricScope.swift`), and make way at once
/// where a family is full. Bounds: 65,536 living series in each family and 4 million slots for all;
/// beyond either, registration returns the family's overflow series, whose label values are all
/// `other`, and `sluice_metric_series_dropped_total` counts.
package final class MetricStore: Sendable {
    /// Adds values that nobody counts but somebody knows, once per scrape.
    package typealias Collector = @Sendable (inout MetricSink) -> Void

    private struct State {
        var slots = SlotAllocator()
        var families: [MetricSeriesList] = []
        var familyIndex: [String: Int] = [:]
        /// What is held how often; 0 is dead, and absent was never held.
        var holds: [MetricScopeName: Int] = [:]
        /// Scopes that died since the last `age()`, and those that did before.
        var young: Set<MetricScopeName> = []
        var old: Set<MetricScopeName> = []
        /// Counts the scopes that died.
        var deaths: UInt64 = 0
        var isScraping = false
        /// Slots that a scrape under way may still read.
        var cooling: [(slot: UInt32, isBlock: Bool)] = []
        var shards: [MetricShard] = []
        var collectors: [Collector] = []
        var dropped: UInt64 = 0
    }

    /// What backends answered, finely enough to compare revisions.
    package let answers = AnswerTallies()

    private let seriesPerFamily: Int
    private let scrapes = Mutex(())
    private let state: Mutex<State>

    /// A store without series that allows each family `seriesPerFamily` of them.
    package init(seriesPerFamily: Int = 65_536) {
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
                return known.slot
            }
            // Who says `other` of his own accord means the overflow series.
            if !labels.isEmpty, labels == state.families[index].overflow.values {
                return state.families[index].overflowNow().slot
            }
            if state.families[index].count >= seriesPerFamily,
                state.families[index].deathsSeen != state.deaths
            {
                state.families[index].deathsSeen = state.deaths
                MetricStore.removeDead(from: index, &state) { _ in true }
            }
            guard state.families[index].count < seriesPerFamily,
                let slot = MetricStore.takeSlot(for: family, &state)
            else {
                state.dropped += 1
                state.families[index].dropped += 1
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
        let isBlock = family.kind == .histogram
        guard let slot = isBlock ? state.slots.takeBlock() : state.slots.takeSingle() else {
            return nil
        }
        // What the slot's last series has left in the shards.
        for shard in state.shards {
            shard.clear(from: slot, count: isBlock ? SlotLayout.blockSlots : 1)
        }
        return slot
    }

    // MARK: - Coming and going

    /// Holds the series of a model, of one of its revisions, or of one of that one's backends.
    ///
    /// A backend without model is an address by itself. Whoever keeps handles of such series keeps
    /// what this returns as long.
    package func hold(model: String = "", revision: String = "", backend: String = "") -> MetricHold
    {
        let name = MetricScopeName(model: model, revision: revision, backend: backend)
        state.withLock { state in
            for name in [name] + name.parents {
                let count = state.holds[name] ?? 0
                if count == 0 {
                    state.young.remove(name)
                    state.old.remove(name)
                }
                state.holds[name] = count + 1
            }
        }
        return MetricHold(self, name)
    }

    func release(_ name: MetricScopeName) {
        state.withLock { state in
            for name in [name] + name.parents {
                guard let count = state.holds[name], count > 0 else {
                    preconditionFailure("a hold is released once")
                }
                state.holds[name] = count - 1
                guard count == 1 else { continue }
                state.deaths += 1
                state.young.insert(name)
            }
        }
    }

    /// Forgets the series that were dead already when this was last called, whether a scrape saw
    /// them or not; for a timer.
    package func age() {
        state.withLock { state in
            let old = state.old
            MetricStore.removeDead(&state) { old.contains($0) }
            state.old.formUnion(state.young)
            state.young = []
        }
    }

    /// Removes the series of dead scopes that `isMeant` says, from all families.
    private static func removeDead(
        _ state: inout State,
        _ isMeant: (MetricScopeName) -> Bool
    ) {
        guard !state.young.isEmpty || !state.old.isEmpty else { return }
        for index in state.families.indices { removeDead(from: index, &state, isMeant) }
        for name in [MetricScopeName](state.old) + state.young where isMeant(name) {
            state.holds[name] = nil
            state.old.remove(name)
            state.young.remove(name)
        }
    }

    /// Removes the dead series of one family and frees their slots.
    private static func removeDead(
        from index: Int,
        _ state: inout State,
        _ isMeant: (MetricScopeName) -> Bool
    ) {
        guard !state.young.isEmpty || !state.old.isEmpty else { return }
        let isBlock = state.families[index].family.kind == .histogram
        let holds = state.holds
        let slots = state.families[index].remove { series in
            guard let scope = series.scope else { return false }
            return holds[scope] == 0 && isMeant(scope)
        }
        for slot in slots {
            if state.isScraping {
                state.cooling.append((slot, isBlock))
            } else {
                free(slot, isBlock, &state)
            }
        }
    }

    private static func free(_ slot: UInt32, _ isBlock: Bool, _ state: inout State) {
        if isBlock {
            state.slots.giveBack(block: slot)
        } else {
            state.slots.giveBack(single: slot)
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

    /// What a family's living series hold now, over all shards; none where none was registered.
    ///
    /// Under the lock, as a slot may have another series afterwards.
    package func readings(of family: MetricFamily) -> [SeriesReading] {
        state.withLock { state in
            guard let index = state.familyIndex[family.name] else { return [] }
            let list = state.families[index].inOrder()
            state.families[index].adopt(list)
            return list.series.compactMap { series in
                if let scope = series.scope, state.holds[scope] == 0 { return nil }
                return SeriesReading(series, of: family.kind, in: state.shards)
            }
        }
    }

    /// Writes all series as text; those of what is gone go after this.
    ///
    /// Families are sorted by name and their series by labels. Scrapes come one after the other;
    /// workers count on meanwhile.
    package func write(as format: ExpositionFormat, into buffer: inout ByteBuffer) {
        scrapes.withLock { _ in
            let (copies, shards, collectors, dropped, seen) = state.withLock { state in
                // A gauge says what is, so one of what is gone goes at once.
                for index in state.families.indices
                where state.families[index].family.kind == .gauge {
                    MetricStore.removeDead(from: index, &state) { _ in true }
                }
                state.isScraping = true
                // What is dead by now has its last numbers in the shards.
                let seen = state.young.union(state.old)
                return (state.families, state.shards, state.collectors, state.dropped, seen)
            }
            let lists = copies.map { $0.inOrder() }
            var sink = MetricSink()
            sink.counter(MetricStore.droppedSeries, value: Double(dropped))
            report(lists, to: &sink)
            for collector in collectors { collector(&sink) }
            Exposition(lists: lists, collected: sink, shards: shards, format: format)
                .write(into: &buffer)
            state.withLock { state in
                state.isScraping = false
                for (slot, isBlock) in state.cooling { MetricStore.free(slot, isBlock, &state) }
                state.cooling = []
                for (index, list) in lists.enumerated() { state.families[index].adopt(list) }
                MetricStore.removeDead(&state) { seen.contains($0) }
            }
        }
    }

    private func report(_ lists: [MetricSeriesList], to sink: inout MetricSink) {
        sink.gauge(MetricStore.seriesLimit, value: Double(seriesPerFamily))
        for list in lists where !list.family.labels.isEmpty {
            sink.gauge(MetricStore.familySeries, [list.family.name], value: Double(list.count))
            guard list.dropped > 0 else { continue }
            sink.counter(
                MetricStore.familyDropped,
                [list.family.name],
                value: Double(list.dropped)
            )
        }
    }

    private static let droppedSeries = MetricFamily.counter(
        "sluice_metric_series_dropped_total",
        help: "Registrations beyond a bound; they count in series labelled other."
    )
    private static let familySeries = MetricFamily.gauge(
        "sluice_metric_family_series",
        help: "Series in use, by family of metrics.",
        labels: ["family"]
    )
    private static let seriesLimit = MetricFamily.gauge(
        "sluice_metric_family_series_limit",
        help: "Series that a family of metrics may have."
    )
    private static let familyDropped = MetricFamily.counter(
        "sluice_metric_family_series_dropped_total",
        help: "Registrations beyond the family's bound; they count in its series labelled other.",
        labels: ["family"]
    )
}
