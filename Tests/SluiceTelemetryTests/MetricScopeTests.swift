import SluiceCore
import SluiceTelemetry
import Testing

private let requests = MetricFamily.counter(
    "sluice_requests_total",
    help: "Requests.",
    labels: ["model", "revision"]
)
private let inFlight = MetricFamily.gauge(
    "sluice_requests_in_flight",
    help: "Requests under way.",
    labels: ["model", "revision"]
)
private let attempts = MetricFamily.counter(
    "sluice_backend_requests_total",
    help: "Attempts.",
    labels: ["model", "revision", "backend", "code"]
)
private let duration = MetricFamily.histogram(
    "sluice_request_duration_seconds",
    help: "Durations.",
    labels: ["model", "revision"]
)
private let hits = MetricFamily.counter("sluice_hits_total", help: "Hits.", labels: ["model"])

@Suite("Series of what is gone")
struct MetricScopeTests {
    @Test("A gauge goes at once, a counter and a histogram after one more scrape", .tags(.unit))
    func kinds() {
        let store = MetricStore()
        let shard = store.makeShard()
        var hold: MetricHold? = store.hold(model: "iris", revision: "v1")
        shard.add(store.counter(requests, ["iris", "v1"]), 3)
        shard.add(store.gauge(inFlight, ["iris", "v1"]), 1)
        shard.observe(store.histogram(duration, ["iris", "v1"]), nanoseconds: 1)
        _ = store.scrape()
        #expect(store.samples(of: "sluice_request").contains { $0.contains("in_flight") })
        hold = nil
        let last = store.samples(of: "sluice_request")
        #expect(!last.contains { $0.contains("in_flight") })
        #expect(last.contains(#"sluice_requests_total{model="iris",revision="v1"} 3"#))
        #expect(last.contains { $0.contains("duration_seconds_count") })
        #expect(store.samples(of: "sluice_request").isEmpty)
        _ = hold
    }

    @Test("What comes back before the last scrape goes on; afterwards it starts over", .tags(.unit))
    func revival() {
        let store = MetricStore()
        let shard = store.makeShard()
        var hold: MetricHold? = store.hold(model: "iris", revision: "v1")
        shard.add(store.counter(requests, ["iris", "v1"]), 3)
        hold = nil
        hold = store.hold(model: "iris", revision: "v1")
        shard.add(store.counter(requests, ["iris", "v1"]), 1)
        _ = store.scrape()
        let line = #"sluice_requests_total{model="iris",revision="v1"} "#
        #expect(store.samples(of: "sluice_requests_total") == [line + "4"])
        hold = nil
        _ = store.scrape()
        hold = store.hold(model: "iris", revision: "v1")
        shard.add(store.counter(requests, ["iris", "v1"]), 1)
        #expect(store.samples(of: "sluice_requests_total") == [line + "1"])
        _ = hold
    }

    @Test("A backend or a revision that goes leaves what it was part of", .tags(.unit))
    func parts() {
        let store = MetricStore()
        let revision = store.hold(model: "iris", revision: "v1")
        var other: MetricHold? = store.hold(model: "iris", revision: "v2")
        var backend: MetricHold? = store.hold(model: "iris", revision: "v1", backend: "b")
        _ = store.counter(attempts, ["iris", "v1", "b", "200"])
        _ = store.counter(requests, ["iris", "v1"])
        _ = store.counter(requests, ["iris", "v2"])
        _ = store.counter(requests, ["-", "-"])
        _ = store.counter(hits, ["iris"])
        backend = nil
        other = nil
        _ = store.scrape()
        let left = store.samples(of: "sluice_").filter { !$0.hasPrefix("sluice_metric") }
        #expect(
            left == [
                #"sluice_hits_total{model="iris"} 0"#,
                #"sluice_requests_total{model="-",revision="-"} 0"#,
                #"sluice_requests_total{model="iris",revision="v1"} 0"#,
            ]
        )
        _ = (revision, other, backend)
    }

    @Test("Without a scrape they go at the second look", .tags(.unit))
    func aging() {
        let store = MetricStore()
        var hold: MetricHold? = store.hold(model: "iris", revision: "v1")
        _ = store.counter(requests, ["iris", "v1"])
        store.age()
        hold = nil
        store.age()
        #expect(store.readings(of: requests).isEmpty)
        store.age()
        #expect(store.samples(of: "sluice_requests_total").isEmpty)
        _ = hold
    }

    @Test("The dead make way for the living where a family is full", .tags(.unit))
    func makesWay() {
        let store = MetricStore(seriesPerFamily: 2)
        var holds = (0..<2).map { store.hold(model: "m", revision: "r\($0)") }
        for number in 0..<2 { _ = store.counter(requests, ["m", "r\(number)"]) }
        for number in 2..<500 {
            holds.removeFirst()
            holds.append(store.hold(model: "m", revision: "r\(number)"))
            _ = store.counter(requests, ["m", "r\(number)"])
        }
        #expect(
            store.samples(of: "sluice_requests_total") == [
                #"sluice_requests_total{model="m",revision="r498"} 0"#,
                #"sluice_requests_total{model="m",revision="r499"} 0"#,
            ]
        )
        #expect(store.samples(of: "sluice_metric_series_dropped_total")[0].hasSuffix(" 0"))
    }

    @Test("Slots serve many lives", .tags(.unit), .timeLimit(.minutes(2)))
    func manyLives() {
        let store = MetricStore()
        let shard = store.makeShard()
        // Twice as many histograms as there are slots for.
        for round in 0..<400 {
            let holds = (0..<500).map { store.hold(model: "m", revision: "\(round)-\($0)") }
            for number in 0..<500 {
                let labels = ["m", "\(round)-\(number)"]
                shard.observe(store.histogram(duration, labels), nanoseconds: 1)
            }
            if round % 100 == 0 {
                #expect(
                    store.readings(of: duration).allSatisfy {
                        guard case .histogram(let reading) = $0.value else { return false }
                        return reading.count == 1
                    }
                )
            }
            _ = holds
            store.age()
        }
        #expect(store.samples(of: "sluice_metric_series_dropped_total")[0].hasSuffix(" 0"))
    }

    @Test("Publishing, retiring and adding in any order agree with a model", .tags(.property))
    func property() {
        for seed in UInt64(0)..<40 { check(seed: seed) }
    }

    /// Each life of a revision: who holds it, and what each of its holders has counted.
    private struct Life {
        var holders: [Int: MetricHold] = [:]
        var count: UInt64 = 0
        var level: Int64 = 0
        var buckets: UInt64 = 0
    }

    private func check(seed: UInt64) {
        var random = RandomSource(seed: seed)
        let store = MetricStore(seriesPerFamily: 40)
        let shards = (0..<3).map { _ in store.makeShard() }
        var lives: [String: Life] = [:]
        for _ in 0..<600 {
            let name = "r\(random.next() % 24)"
            let worker = Int(random.next() % 3)
            switch random.next() % 8 {
            case 0...1:
                var life = lives[name] ?? Life()
                if life.holders[worker] == nil {
                    life.holders[worker] = store.hold(model: "m", revision: name)
                }
                lives[name] = life
            case 2:
                lives[name]?.holders[worker] = nil
            case 3...6:
                guard lives[name]?.holders[worker] != nil else { continue }
                let count = random.next() % 100
                shards[worker].add(store.counter(requests, ["m", name]), count)
                shards[worker].add(store.gauge(inFlight, ["m", name]), Int64(count) - 50)
                shards[worker].observe(store.histogram(duration, ["m", name]), nanoseconds: 1)
                lives[name]?.count += count
                lives[name]?.level += Int64(count) - 50
                lives[name]?.buckets += 1
            default:
                let lines = Set(store.samples(of: "sluice_requests_"))
                for (name, life) in lives where life.buckets > 0 {
                    let labels = #"{model="m",revision="\#(name)"} "#
                    let isAlive = !life.holders.isEmpty
                    #expect(lines.contains("sluice_requests_total\(labels)\(life.count)"))
                    let gauge = "sluice_requests_in_flight\(labels)\(life.level)"
                    #expect(lines.contains(gauge) == isAlive)
                }
                let shown = lines.count { $0.hasPrefix("sluice_requests_total") }
                #expect(shown == lives.values.count { $0.buckets > 0 })
                lives = lives.filter { !$0.value.holders.isEmpty }
                let readings = store.readings(of: duration)
                #expect(readings.count == lives.values.count { $0.buckets > 0 })
                for reading in readings {
                    guard case .histogram(let value) = reading.value else { continue }
                    #expect(value.count == lives[reading.labels[1]]?.buckets)
                }
            }
        }
    }
}
