import SluiceCore
import SluiceTelemetry
import Testing

@Suite("Metric store")
struct MetricStoreTests {
    private let requests = MetricFamily.counter(
        "sluice_requests_total",
        help: "Requests.",
        labels: ["model", "revision"]
    )
    private let inFlight = MetricFamily.gauge(
        "sluice_requests_in_flight",
        help: "Requests in flight.",
        labels: ["model", "revision"]
    )
    private let duration = MetricFamily.histogram(
        "sluice_request_duration_seconds",
        help: "Durations.",
        labels: ["model"]
    )

    @Test("The same family and labels give the same handle", .tags(.unit))
    func sameHandle() {
        let store = MetricStore()
        let first = store.counter(requests, ["iris", "v1"])
        #expect(store.counter(requests, ["iris", "v1"]) == first)
        #expect(store.counter(requests, ["iris", "v2"]) != first)
        #expect(store.histogram(duration, ["iris"]) == store.histogram(duration, ["iris"]))
    }

    @Test("A counter is the sum of all shards", .tags(.unit))
    func sums() {
        let store = MetricStore()
        let shards = (0..<3).map { _ in store.makeShard() }
        let counter = store.counter(requests, ["iris", "v1"])
        for (index, shard) in shards.enumerated() { shard.add(counter, UInt64(index) + 1) }
        shards[0].add(counter)
        #expect(store.value(of: counter) == 7)
        #expect(
            store.samples(of: "sluice_requests_total")
                == [#"sluice_requests_total{model="iris",revision="v1"} 7"#]
        )
    }

    @Test("What begins on one worker may end on another", .tags(.unit))
    func gaugeAcrossShards() {
        let store = MetricStore()
        let (first, second) = (store.makeShard(), store.makeShard())
        let gauge = store.gauge(inFlight, ["iris", "v1"])
        first.add(gauge, 1)
        first.add(gauge, 1)
        second.add(gauge, -1)
        #expect(store.value(of: gauge) == 1)
        second.add(gauge, -3)
        #expect(
            store.samples(of: "sluice_requests_in_flight")
                == [#"sluice_requests_in_flight{model="iris",revision="v1"} -2"#]
        )
    }

    @Test("Series registered after a shard was made are counted in it", .tags(.unit))
    func lateSeries() {
        let store = MetricStore()
        let shard = store.makeShard()
        // Enough series for several chunks of memory, some counted and some never touched.
        let counters = (0..<1_900).map { store.counter(requests, ["m\($0)", "v1"]) }
        for (index, counter) in counters.enumerated() where index % 700 == 0 {
            shard.add(counter, UInt64(index) + 1)
        }
        for (index, counter) in counters.enumerated() {
            #expect(store.value(of: counter) == (index % 700 == 0 ? UInt64(index) + 1 : 0))
        }
    }

    @Test("A discarded handle takes updates and shows nothing", .tags(.unit))
    func discarded() {
        let store = MetricStore()
        let shard = store.makeShard()
        shard.add(CounterID.discarded, 5)
        shard.add(GaugeID.discarded, -5)
        shard.observe(.discarded, nanoseconds: 5)
        let counter = store.counter(requests, ["iris", "v1"])
        let histogram = store.histogram(duration, ["iris"])
        #expect(store.value(of: counter) == 0)
        #expect(store.value(of: histogram).count == 0)
    }

    // MARK: - Bounds

    @Test("Above its limit a family counts in the series of others", .tags(.unit))
    func overflow() {
        let store = MetricStore(seriesPerFamily: 2)
        let shard = store.makeShard()
        let handles = (0..<4).map { store.counter(requests, ["m\($0)", "v1"]) }
        for handle in handles { shard.add(handle) }
        #expect(handles[2] == handles[3])
        #expect(
            store.samples(of: "sluice_") == [
                #"sluice_metric_family_series{family="sluice_requests_total"} 2"#,
                #"sluice_metric_family_series_dropped_total{family="sluice_requests_total"} 2"#,
                "sluice_metric_family_series_limit 2",
                "sluice_metric_series_dropped_total 2",
                #"sluice_requests_total{model="m0",revision="v1"} 1"#,
                #"sluice_requests_total{model="m1",revision="v1"} 1"#,
                #"sluice_requests_total{model="other",revision="other"} 2"#,
            ]
        )
        // Another family has a limit of its own, and one without labels always has its place.
        #expect(store.gauge(inFlight, ["m9", "v1"]) != .discarded)
        let plain = MetricFamily.counter("sluice_retries_total", help: "Retries.")
        #expect(store.counter(plain) == store.counter(plain))
        #expect(store.samples(of: "sluice_metric_series")[0].hasSuffix(" 2"))
    }

    @Test("Asking for the series of others is no overflow and makes no second line", .tags(.unit))
    func otherByName() {
        let store = MetricStore(seriesPerFamily: 1)
        let family = MetricFamily.counter("sluice_x_total", help: "X.", labels: ["code"])
        let other = store.counter(family, ["other"])
        #expect(store.counter(family, ["200"]) != other)
        #expect(store.counter(family, ["404"]) == other)
        #expect(store.samples(of: "sluice_x_total").count == 2)
    }

    @Test("When all slots are taken, families that exist count in the series of others")
    func exhausted() {
        let store = MetricStore(seriesPerFamily: 30_000)
        let shard = store.makeShard()
        let families = (0..<8).map {
            MetricFamily.histogram("sluice_h\($0)_seconds", help: "H.", labels: ["n"])
        }
        for family in families { _ = store.histogram(family, ["first"]) }
        // 2,048 chunks of 85 blocks each; the first block is nobody's, eight are for others.
        let free = 2_048 * 85 - 1 - 16
        for index in 0..<free { _ = store.histogram(families[index / 22_000], ["\(index)"]) }
        #expect(store.samples(of: "sluice_metric_series")[0].hasSuffix(" 0"))
        let late = store.histogram(families[7], ["late"])
        #expect(late == store.histogram(families[7], ["other"]))
        shard.observe(late, nanoseconds: 1)
        #expect(store.value(of: late).count == 1)
        #expect(store.samples(of: "sluice_metric_series")[0].hasSuffix(" 1"))
        // A family that comes now has no slot at all: it's counted as dropped, and not shown.
        let newcomer = store.counter(requests, ["iris", "v1"])
        #expect(newcomer == .discarded)
        shard.add(newcomer)
        #expect(store.samples(of: "sluice_requests").isEmpty)
        #expect(store.samples(of: "sluice_metric_series")[0].hasSuffix(" 2"))
    }

    // MARK: - Rules

    @Test("A name that breaks the rules stops the process")
    func names() async {
        await #expect(processExitsWith: .failure) {
            _ = MetricFamily.counter("sluice_requests", help: "No suffix.")
        }
        await #expect(processExitsWith: .failure) {
            _ = MetricFamily.gauge("sluice-dash", help: "Not a name.")
        }
        await #expect(processExitsWith: .failure) {
            _ = MetricStore().counter(
                .counter("sluice_x_total", help: "X.", labels: ["a"]),
                ["1", "2"]
            )
        }
    }
}
