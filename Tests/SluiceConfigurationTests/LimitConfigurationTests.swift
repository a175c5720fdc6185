import SluiceBalancing
import SluiceConfiguration
import Testing

@Suite("Limits in the configuration")
struct LimitConfigurationTests {
    static func text(_ model: String, limits: String = "") -> String {
        """
        listeners: [{address: "127.0.0.1:0"}]
        limits: {\(limits)}
        models:
          - name: a
            \(model)
            revisions: [{name: v1, backends: [{rest: "http://127.0.0.1:1"}]}]
        """
    }

    static let good: [(text: String, limits: [RateLimit])] = [
        (
            "rateLimit: {rate: 100/s}",
            [RateLimit(rate: 100, per: .second, burst: 100, scope: .model)]
        ),
        (
            "rateLimit: {rate: 30/m, burst: 5, per: client}",
            [RateLimit(rate: 30, per: .minute, burst: 5, scope: .client)]
        ),
        (
            "rateLimit: [{rate: 500/h, per: {header: X-Key}}, {rate: 9/s, burst: 1, per: model}]",
            [
                RateLimit(rate: 500, per: .hour, burst: 500, scope: .header("x-key")),
                RateLimit(rate: 9, per: .second, burst: 1, scope: .model),
            ]
        ),
    ]

    @Test("Rate limits are read, and written back", arguments: 0..<3)
    func rates(row: Int) throws {
        let read = try Configuration.parse(yaml: Self.text(Self.good[row].text), file: "f")
        #expect(read.models[0].rateLimits == Self.good[row].limits)
        #expect(try Configuration.parse(yaml: read.yamlText, file: "f") == read)
    }

    @Test("Adaptive concurrency and the memory's limit are read, and written back")
    func others() throws {
        let text = Self.text(
            "adaptiveConcurrency: {max: 64}",
            limits: "maxMemory: 2GiB, maxConnectionsPerAddress: 40"
        )
        let read = try Configuration.parse(yaml: text, file: "f")
        #expect(read.models[0].adaptiveConcurrency == ConcurrencyBounds(minimum: 4, maximum: 64))
        #expect(read.limits.maxMemory == 2 << 30 && read.limits.maxConnectionsPerAddress == 40)
        #expect(try Configuration.parse(yaml: read.yamlText, file: "f") == read)
        let plain = try Configuration.parse(yaml: Self.text("timeout: 1s"), file: "f")
        #expect(plain.models[0].adaptiveConcurrency == nil && plain.limits.maxMemory == 0)
    }

    @Test("How long a connection to a backend may rest is read, and written back")
    func idleTimeout() throws {
        let read = try Configuration.parse(yaml: Self.text("backendIdleTimeout: 2500ms"), file: "f")
        #expect(read.models[0].backendIdleTimeout == .milliseconds(2_500))
        #expect(try Configuration.parse(yaml: read.yamlText, file: "f") == read)
        let plain = try Configuration.parse(yaml: Self.text("timeout: 1s"), file: "f")
        #expect(plain.models[0].backendIdleTimeout == nil)
        #expect(!plain.yamlText.contains("backendIdleTimeout"))
    }

    static let broken: [(model: String, limits: String, line: Int, message: String)] = [
        ("", "maxConnectionsPerAddress: -1", 2, "must be from 0 to 10000000"),
        ("rateLimit: {burst: 5}", "", 5, "needs the key `rate`"),
        ("backendIdleTimeout: 0s", "", 5, "backendIdleTimeout"),
        ("backendIdleTimeout: soon", "", 5, "backendIdleTimeout"),
        ("rateLimit: {rate: 100}", "", 5, "such as 100/s, 30/m or 500/h"),
        ("rateLimit: {rate: 0/s}", "", 5, "from 1 to 1000000, not '0/s'"),
        ("rateLimit: {rate: -1/s}", "", 5, "not '-1/s'"),
        ("rateLimit: {rate: 1/d}", "", 5, "not '1/d'"),
        ("rateLimit: {rate: 1/s, burst: 0}", "", 5, "must be from 1 to 1000000"),
        ("rateLimit: {rate: 1/s, per: user}", "", 5, "must be model, client or {header: NAME}"),
        ("rateLimit: {rate: 1/s, per: {cookie: a}}", "", 5, "needs the key `header`"),
        ("rateLimit: {rate: 1/s, per: {header: 'a b'}}", "", 5, "must be a header's name"),
        ("rateLimit: {rate: 1/s, brust: 3}", "", 5, "did you mean `burst`?"),
        ("rateLimit: [{rate: 1/s}, {rate: 2/s}]", "", 5, "another limit is `per` the same"),
        ("rateLimit: []", "", 5, "a list of up to 4"),
        ("rateLimit: fast", "", 5, "must be a mapping"),
        ("adaptiveConcurrency: {min: 10, max: 9}", "", 5, "must not be above `max`: 10, 9"),
        ("adaptiveConcurrency: {min: 0}", "", 5, "must be from 1"),
        ("adaptiveConcurrency: true", "", 5, "must be a mapping"),
        ("timeout: 1s", "maxMemory: 1MiB", 2, "must be at least 64MiB"),
        ("cache: {ttl: 1s}", "maxMemory: 300MiB", 2, "must leave a quarter beside"),
    ]

    @Test("A broken limit is told its line and what to write instead", arguments: broken.indices)
    func diagnostics(row: Int) {
        let row = Self.broken[row]
        let found = DiagnosticTests.failures(Self.text(row.model, limits: row.limits))
        #expect(
            found.contains { $0.line == row.line && $0.message.contains(row.message) },
            "\(row.message): \(found)"
        )
    }
}
