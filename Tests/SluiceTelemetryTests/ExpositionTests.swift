import Foundation
import SluiceCore
import SluiceTelemetry
import Testing

@Suite("Exposition")
struct ExpositionTests {
    /// A store with one of everything.
    private func example() -> MetricStore {
        let store = MetricStore()
        let shard = store.makeShard()
        let requests = MetricFamily.counter(
            "sluice_requests_total",
            help: "Requests, \"all\" of \\ them.\nReally.",
            labels: ["model", "code"]
        )
        shard.add(store.counter(requests, ["iris", "404"]), 2)
        shard.add(store.counter(requests, ["iris", "200"]), 40)
        shard.add(store.counter(requests, ["a\"b\\c\nd", "200"]))
        shard.add(
            store.counter(.counter("sluice_request_bytes_total", help: "Bytes.")),
            UInt64.max
        )
        let duration = store.histogram(
            .histogram("sluice_request_duration_seconds", help: "Durations.", labels: ["model"]),
            ["iris"]
        )
        shard.observe(duration, nanoseconds: 100_000)
        shard.observe(duration, nanoseconds: 3_000_001)
        shard.observe(duration, nanoseconds: 60_000_000_000)
        store.collect { sink in
            sink.gauge(
                .gauge("sluice_build_info", help: "The build.", labels: ["version"]),
                ["0.1.0"],
                value: 1
            )
            sink.gauge(.gauge("sluice_half", help: "A fraction."), value: 0.1)
        }
        return store
    }

    @Test("Prometheus text 0.0.4", .tags(.conformance))
    func prometheus() {
        #expect(
            example().scrape() == #"""
                # HELP sluice_build_info The build.
                # TYPE sluice_build_info gauge
                sluice_build_info{version="0.1.0"} 1
                # HELP sluice_half A fraction.
                # TYPE sluice_half gauge
                sluice_half 0.1
                # HELP sluice_metric_family_series Series in use, by family of metrics.
                # TYPE sluice_metric_family_series gauge
                sluice_metric_family_series{family="sluice_request_duration_seconds"} 1
                sluice_metric_family_series{family="sluice_requests_total"} 3
                # HELP sluice_metric_family_series_limit Series that a family of metrics may have.
                # TYPE sluice_metric_family_series_limit gauge
                sluice_metric_family_series_limit 65536
                # HELP sluice_metric_series_dropped_total Registrations beyond a bound; they count in series labelled other.
                # TYPE sluice_metric_series_dropped_total counter
                sluice_metric_series_dropped_total 0
                # HELP sluice_request_bytes_total Bytes.
                # TYPE sluice_request_bytes_total counter
                sluice_request_bytes_total 18446744073709551615
                # HELP sluice_request_duration_seconds Durations.
                # TYPE sluice_request_duration_seconds histogram
                sluice_request_duration_seconds_bucket{model="iris",le="0.0001"} 1
                sluice_request_duration_seconds_bucket{model="iris",le="0.00025"} 1
                sluice_request_duration_seconds_bucket{model="iris",le="0.0005"} 1
                sluice_request_duration_seconds_bucket{model="iris",le="0.001"} 1
                sluice_request_duration_seconds_bucket{model="iris",le="0.0025"} 1
                sluice_request_duration_seconds_bucket{model="iris",le="0.005"} 2
                sluice_request_duration_seconds_bucket{model="iris",le="0.01"} 2
                sluice_request_duration_seconds_bucket{model="iris",le="0.025"} 2
                sluice_request_duration_seconds_bucket{model="iris",le="0.05"} 2
                sluice_request_duration_seconds_bucket{model="iris",le="0.1"} 2
                sluice_request_duration_seconds_bucket{model="iris",le="0.25"} 2
                sluice_request_duration_seconds_bucket{model="iris",le="0.5"} 2
                sluice_request_duration_seconds_bucket{model="iris",le="1.0"} 2
                sluice_request_duration_seconds_bucket{model="iris",le="2.5"} 2
                sluice_request_duration_seconds_bucket{model="iris",le="5.0"} 2
                sluice_request_duration_seconds_bucket{model="iris",le="10.0"} 2
                sluice_request_duration_seconds_bucket{model="iris",le="30.0"} 2
                sluice_request_duration_seconds_bucket{model="iris",le="+Inf"} 3
                sluice_request_duration_seconds_sum{model="iris"} 60.003100001
                sluice_request_duration_seconds_count{model="iris"} 3
                # HELP sluice_requests_total Requests, "all" of \\ them.\nReally.
                # TYPE sluice_requests_total counter
                sluice_requests_total{model="a\"b\\c\nd",code="200"} 1
                sluice_requests_total{model="iris",code="200"} 40
                sluice_requests_total{model="iris",code="404"} 2

                """#
        )
    }

    @Test("OpenMetrics 1.0: base names, units, escapes and the end", .tags(.conformance))
    func openMetrics() {
        let lines = example().scrape(as: .openMetrics).split(separator: "\n").map(String.init)
        #expect(lines.last == "# EOF")
        #expect(
            lines.filter { $0.contains("sluice_requests") && !$0.contains("family=") } == [
                #"# HELP sluice_requests Requests, \"all\" of \\ them.\nReally."#,
                "# TYPE sluice_requests counter",
                #"sluice_requests_total{model="a\"b\\c\nd",code="200"} 1"#,
                #"sluice_requests_total{model="iris",code="200"} 40"#,
                #"sluice_requests_total{model="iris",code="404"} 2"#,
            ]
        )
        #expect(
            lines.filter { $0.hasPrefix("# UNIT") } == [
                "# UNIT sluice_request_bytes bytes",
                "# UNIT sluice_request_duration_seconds seconds",
            ]
        )
    }

    @Test("A scrape is the same whatever the order of registration", .tags(.property))
    func stable() {
        let family = MetricFamily.counter("sluice_x_total", help: "X.", labels: ["n"])
        func scrape(_ order: [Int]) -> String {
            let store = MetricStore()
            for number in order { _ = store.counter(family, [String(number)]) }
            return store.scrape()
        }
        var random = RandomSource(seed: 7)
        #expect(
            scrape(Array(0..<300)) == scrape((0..<300).shuffled(using: &random))
        )
    }

    @Test("A counted and a looked-up series share their family's heading", .tags(.unit))
    func merged() {
        let store = MetricStore()
        let family = MetricFamily.gauge("sluice_x", help: "X.", labels: ["n"])
        store.makeShard().add(store.gauge(family, ["b"]), 5)
        store.makeShard().add(store.gauge(family, ["c"]), 6)
        store.collect { sink in
            sink.gauge(family, ["c"], value: 1)
            sink.gauge(family, ["c"], value: .infinity)
            sink.gauge(family, ["a"], value: .nan)
        }
        #expect(
            store.samples(of: "sluice_x")
                == [#"sluice_x{n="a"} NaN"#, #"sluice_x{n="b"} 5"#, #"sluice_x{n="c"} +Inf"#]
        )
        #expect(store.scrape().components(separatedBy: "# TYPE sluice_x ").count == 2)
    }

    @Test(
        "Numbers read back as they were",
        .tags(.unit),
        arguments: [
            (0, "0"), (-3, "-3"), (1_795_234_500.25, "1795234500.25"), (1e300, "1e+300"),
            (-Double.infinity, "-Inf"), (9_007_199_254_740_991, "9007199254740991"),
            (Double.greatestFiniteMagnitude, "1.7976931348623157e+308"),
            (-Double.leastNonzeroMagnitude, "-5e-324"),
        ]
    )
    func numbers(value: Double, text: String) {
        let store = MetricStore()
        store.collect { $0.gauge(.gauge("sluice_x", help: "X."), value: value) }
        #expect(store.samples(of: "sluice_x") == ["sluice_x \(text)"])
    }

    @Test("The bound holds for the longest numbers", .tags(.unit))
    func boundHolds() {
        let store = MetricStore()
        let family = MetricFamily.histogram("s_seconds", help: "S.")
        let histogram = store.histogram(family)
        let shard = store.makeShard()
        for _ in 0..<2 { shard.observe(histogram, nanoseconds: .max) }
        let gauge = store.gauge(.gauge("g", help: "G."))
        shard.add(gauge, .min)
        #expect(store.samples(of: "s_seconds_sum") == ["s_seconds_sum 18446744073.709551614"])
        #expect(store.samples(of: "g") == ["g -9223372036854775808"])
    }

    @Test(
        "The text form follows the accept field (RFC 9110 §12.5.1)",
        .tags(.conformance),
        arguments: [
            ("", ExpositionFormat.prometheus),
            ("*/*", .prometheus),
            ("text/plain", .prometheus),
            ("application/openmetrics-text", .openMetrics),
            ("application/openmetrics-text; version=1.0.0; charset=utf-8", .openMetrics),
            ("Application/OpenMetrics-Text;Version=\"1.0.0\" ; q=0.2 , */*;q=0.1", .openMetrics),
            ("application/openmetrics-text;version=0.0.1", .prometheus),
            ("application/openmetrics-text;q=0, */*;q=0", .prometheus),
            ("application/openmetrics-text;q=0.3,text/plain;q=0.5", .prometheus),
            ("application/openmetrics-text,text/plain", .prometheus),
            ("application/openmetrics-text;q=0.2,text/*", .prometheus),
            ("application/openmetrics-text;q=nonsense", .prometheus),
            ("application/openmetrics-text;q=1.000;version=1.0.0,text/plain;q=0.999", .openMetrics),
            // Prometheus 2.45 and 3.0, as sent.
            (
                "application/openmetrics-text;version=1.0.0,application/openmetrics-text;"
                    + "version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1", .openMetrics
            ),
            (
                "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,"
                    + "application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=1.0.0;"
                    + "escaping=allow-utf-8;q=0.3,text/plain;version=0.0.4;q=0.2,*/*;q=0.1",
                .openMetrics
            ),
            (",;,=;q", .prometheus),
        ]
    )
    func negotiation(accept: String, expected: ExpositionFormat) {
        #expect(ExpositionFormat.preferred(byAccept: accept) == expected)
    }

    private static let promtool = "/usr/bin/promtool"

    @Test(
        "promtool finds nothing to say about a scrape",
        .tags(.integration),
        .enabled(if: FileManager.default.isExecutableFile(atPath: promtool)),
        .timeLimit(.minutes(1))
    )
    func promtoolAccepts() throws {
        let store = example()
        let stat = "1 (x) S 0 0 0 0 0 0 0 0 0 0 1 2 0 0 0 0 3 0 4 5 6 7\n"
        let process = try #require(
            ProcessMetrics(
                stat: stat,
                limits: "",
                openDescriptors: 3,
                system: .init(ticksPerSecond: 100, pageBytes: 4_096, bootSecond: 1_700_000_000)
            )
        )
        store.collect { process.report(to: &$0) }
        let checker = Process()
        checker.executableURL = URL(fileURLWithPath: Self.promtool)
        checker.arguments = ["check", "metrics"]
        let (input, output) = (Pipe(), Pipe())
        checker.standardInput = input
        checker.standardOutput = output
        checker.standardError = output
        try checker.run()
        try input.fileHandleForWriting.write(contentsOf: Data(store.scrape().utf8))
        try input.fileHandleForWriting.close()
        let said = try output.fileHandleForReading.readToEnd() ?? Data()
        checker.waitUntilExit()
        #expect(String(decoding: said, as: UTF8.self) == "")
        #expect(checker.terminationStatus == 0)
    }
}
