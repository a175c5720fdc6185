import SluiceControl
import SluiceCore
import SluiceGateway
import SluiceTelemetry
import SluiceWire
import Testing

@Suite("Live numbers and their history")
struct TrafficHistoryTests {
    private static let key = RevisionKey("iris", "v1")
    private static let names: TrafficHistory.Names = [("iris", ["v1"])]

    /// A reading of one revision `second` seconds after the start.
    private static func reading(
        _ second: Int,
        requests: UInt64,
        errors: UInt64 = 0,
        bucket: Int = 5
    ) -> TrafficTotals {
        var totals = TrafficTotals(taken: Instant(nanoseconds: Int64(second) * 1_000_000_000))
        var revision = TrafficTotals.Revision()
        revision.requests = requests
        revision.errors = errors
        revision.buckets[bucket] = requests
        totals.revisions[key] = revision
        return totals
    }

    private static func time(_ second: Int) -> WallTime {
        WallTime(nanoseconds: Int64(second) * 1_000_000_000)
    }

    @Test("Before the second reading nothing is known, and nothing is invented")
    func first() throws {
        var history = TrafficHistory()
        history.record(Self.reading(0, requests: 1000), at: Self.time(0), of: Self.names)
        #expect(history.present.revisions[Self.key] == LiveNumbers())
        let past = history.past(of: "iris", revisions: ["v1"])
        #expect(past.times.count == 1)
        #expect(try #require(past.revisions.first).points[0].p99Seconds.isNaN)
    }

    @Test("A rate is the growth over the time that really passed")
    func rate() throws {
        var history = TrafficHistory()
        history.record(Self.reading(0, requests: 100), at: Self.time(0), of: Self.names)
        // The loop was late: four seconds, not one.
        history.record(
            Self.reading(4, requests: 140, errors: 10),
            at: Self.time(4),
            of: Self.names
        )
        let numbers = try #require(history.present.revisions[Self.key])
        #expect(numbers.requestsPerSecond == 10)
        #expect(numbers.errorRatio == 0.25)
    }

    @Test("What happened more than the window ago is no part of now")
    func window() throws {
        var history = TrafficHistory(capacity: 10, windowLength: 5)
        history.record(Self.reading(0, requests: 0), at: Self.time(0), of: Self.names)
        for second in 1...5 {
            history.record(
                Self.reading(second, requests: 500),
                at: Self.time(second),
                of: Self.names
            )
            #expect(
                history.present.revisions[Self.key]?.requestsPerSecond == 500 / Double(second)
            )
        }
        history.record(Self.reading(6, requests: 500), at: Self.time(6), of: Self.names)
        let numbers = try #require(history.present.revisions[Self.key])
        #expect(numbers.requestsPerSecond == 0)
        #expect(numbers.errorRatio == nil && numbers.p50Seconds == nil)
    }

    @Test("A count that fell has started over, and is no huge rate")
    func restart() {
        var history = TrafficHistory()
        history.record(Self.reading(0, requests: 1_000), at: Self.time(0), of: Self.names)
        history.record(Self.reading(1, requests: 30), at: Self.time(1), of: Self.names)
        #expect(history.present.revisions[Self.key]?.requestsPerSecond == 30)
    }

    /// Buckets by place, the share asked for, and the answer, as `histogram_quantile` gives it:
    /// linear within the bucket (Prometheus, "histogram_quantile").
    @Test(
        "Quantiles interpolate within a bucket and stop at the last bound",
        arguments: [
            ([5: 100], 0.005 - 0.0025 * 0.5, 0.005 - 0.0025 * 0.01),
            ([0: 10], 0.00005, 0.000099),
            ([3: 98, 8: 2], 0.0005 + 0.0005 * 50 / 98, 0.025 + 0.025 * 0.5),
            ([17: 4], 30, 30),
        ] as [([Int: UInt64], Double, Double)]
    )
    func quantiles(buckets: [Int: UInt64], p50: Double, p99: Double) throws {
        var history = TrafficHistory()
        history.record(Self.reading(0, requests: 0), at: Self.time(0), of: Self.names)
        var totals = Self.reading(1, requests: 0)
        for (place, count) in buckets { totals.revisions[Self.key]?.buckets[place] = count }
        history.record(totals, at: Self.time(1), of: Self.names)
        let numbers = try #require(history.present.revisions[Self.key])
        #expect(abs(try #require(numbers.p50Seconds) - p50) < 1e-9)
        #expect(abs(try #require(numbers.p99Seconds) - p99) < 1e-9)
    }

    @Test("The past is bounded, in order, and forgets names that the configuration forgot")
    func past() throws {
        var history = TrafficHistory(capacity: 4, windowLength: 1)
        for second in 0..<10 {
            history.record(
                Self.reading(second, requests: UInt64(second * second)),
                at: Self.time(second),
                of: Self.names
            )
        }
        let past = history.past(of: "iris", revisions: ["v1"])
        #expect(past.times == [6, 7, 8, 9].map(Self.time))
        // n² - (n - 1)² = 2n - 1
        #expect(past.revisions[0].points.map(\.requestsPerSecond) == [11, 13, 15, 17])
        history.record(Self.reading(10, requests: 100), at: Self.time(10), of: [])
        #expect(history.present.revisions.isEmpty)
        let gone = history.past(of: "iris", revisions: ["v1"])
        #expect(gone.revisions[0].points.allSatisfy { $0.requestsPerSecond.isNaN })
    }

    @Test("A revision that joins later has gaps where it wasn't")
    func joining() {
        var history = TrafficHistory(capacity: 8, windowLength: 1)
        for second in 0..<3 {
            history.record(Self.reading(second, requests: 0), at: Self.time(second), of: Self.names)
        }
        history.record(
            Self.reading(3, requests: 0),
            at: Self.time(3),
            of: [("iris", ["v1", "v2"])]
        )
        let past = history.past(of: "iris", revisions: ["v1", "v2"])
        #expect(
            past.revisions[1].points.map { $0.requestsPerSecond.isNaN } == [
                true, true, true, false,
            ]
        )
        let json = String(decoding: past.json.serialized, as: UTF8.self)
        #expect(
            json.contains("\"name\":\"v2\",\"requestsPerSecond\":[null,null,null,0]"),
            "\(json)"
        )
    }

    @Test("Both tiers together make the hit ratio; Redis alone is judged by what it was asked")
    func cache() throws {
        var history = TrafficHistory()
        var totals = TrafficTotals(taken: .zero)
        totals.caches["iris"] = TrafficTotals.Cache()
        history.record(totals, at: Self.time(0), of: Self.names)
        totals.taken = Instant(nanoseconds: 2_000_000_000)
        var cache = TrafficTotals.Cache()
        (cache.memoryHits, cache.memoryMisses, cache.collapsed) = (60, 40, 10)
        (cache.redisHits, cache.redisMisses, cache.redisErrors) = (15, 10, 5)
        totals.caches["iris"] = cache
        history.record(totals, at: Self.time(2), of: Self.names)
        let numbers = try #require(history.present.caches["iris"])
        #expect(numbers.lookupsPerSecond == 50)
        #expect(numbers.hitRatio == 0.75)
        #expect(numbers.memoryHitRatio == 0.6)
        #expect(numbers.redisHitRatio == 0.5)
        #expect(numbers.collapsedRatio == 0.1)
    }

    @Test("A reading adds up protocols, codes and workers")
    func reading() throws {
        let store = MetricStore()
        let shards = [store.makeShard(), store.makeShard()]
        for (shard, codes) in zip(shards, [["200", "503"], ["OK", "UNAVAILABLE", "NOT_FOUND"]]) {
            let wire = codes.contains("OK") ? "grpc" : "v2"
            for code in codes {
                shard.add(store.counter(GatewayMetrics.requests, ["iris", "v1", wire, code]), 10)
            }
            let duration = store.histogram(GatewayMetrics.requestDuration, ["iris", "v1", wire])
            shard.observe(duration, nanoseconds: 3_000_000)
            shard.add(store.gauge(GatewayMetrics.requestsInFlight, ["iris", "v1"]), 2)
            shard.add(
                store.counter(GatewayMetrics.backendRequests, ["iris", "v1", "b:1", codes[0]]),
                7
            )
            shard.add(store.counter(GatewayMetrics.cacheRequests, ["iris", "memory", "hit"]), 4)
        }
        let totals = TrafficTotals(of: store, taken: .zero)
        let revision = try #require(totals.revisions[Self.key])
        #expect(revision.requests == 50)
        #expect(revision.errors == 20)
        #expect(revision.inFlight == 4)
        #expect(revision.buckets.enumerated().map { $0.element > 0 ? $0.offset : -1 }.max() == 5)
        #expect(revision.buckets[5] == 2)
        #expect(revision.backendRequests == 14)
        #expect(totals.backends[BackendKey(Self.key, "b:1")] == 14)
        #expect(totals.caches["iris"]?.memoryHits == 8)
    }

    @Test(
        "Only our side's and the backend's failures are errors",
        arguments: [
            ("200", false), ("404", false), ("429", false), ("499", false), ("500", true),
            ("504", true), ("OK", false), ("CANCELLED", false), ("INVALID_ARGUMENT", false),
            ("UNAVAILABLE", true), ("DEADLINE_EXCEEDED", true), ("INTERNAL", true), ("5", false),
        ]
    )
    func errors(code: String, isError: Bool) {
        #expect(TrafficTotals.isServerError(code: code) == isError)
    }

    @Test(
        "Numbers are written as JSON can read them",
        arguments: [
            (nil, "null"), (Double.nan, "null"), (Double.infinity, "null"), (0.1234567, "0.123457"),
            (3, "3"), (-0.5, "-0.5"), (1e18, "1e+18"), (0.0000001, "0"),
        ] as [(Double?, String)]
    )
    func rounding(value: Double?, text: String) {
        #expect(String(decoding: JSONValue.rounded(value).serialized, as: UTF8.self) == text)
    }
}
