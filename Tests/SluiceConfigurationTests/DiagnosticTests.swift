import SluiceBalancing
import SluiceConfiguration
import SluiceRouting
import Testing

@Suite("Configuration")
struct DiagnosticTests {
    static let good = """
        listeners:
          - address: 127.0.0.1:8080
        admin:
          address: 127.0.0.1:9901
        workers: 2
        drainTimeout: 5s
        limits:
          maxRequestBytes: 1MiB
          idleTimeout: 5m
        models:
          - name: iris
            timeout: 250ms
            loadBalancing: roundRobin
            health: {interval: 1s, path: /ready}
            revisions:
              - name: v1
                traffic: 99.99
                backends: [{rest: "http://127.0.0.1:8001", grpc: "http://[::1]:9001"}]
              - name: v2
                traffic: 0.01
                modelName: iris-2
                backends: [{rest: "h2c://host.example"}]
        """

    static func failures(_ yaml: String) -> [Diagnostic] {
        do throws(ConfigurationFailure) {
            _ = try Configuration.parse(yaml: yaml, file: "f")
            return []
        } catch {
            return error.diagnostics
        }
    }

    @Test("A good file becomes the value it spells")
    func values() throws {
        let read = try Configuration.parse(yaml: Self.good, file: "f")
        #expect(read.listeners.map(\.address.text) == ["127.0.0.1:8080"])
        #expect(read.workers == 2 && read.drainTimeout == .seconds(5))
        #expect(read.limits.maxRequestBytes == 1 << 20 && read.limits.idleTimeout == .seconds(300))
        let model = try #require(read.models.first)
        #expect(model.timeout == .milliseconds(250) && model.loadBalancing == .roundRobin)
        #expect(model.revisions.map(\.traffic) == [9_999, 1])
        #expect(model.revisions[0].backends[0].grpc?.host == "::1")
        #expect(model.revisions[1].modelName == "iris-2")
        #expect(model.revisions[1].backends[0].rest?.text == "h2c://host.example:80")
    }

    @Test("What is written reads back as the same value")
    func roundTrip() throws {
        let read = try Configuration.parse(yaml: Self.good, file: "f")
        #expect(try Configuration.parse(yaml: read.yamlText, file: "f") == read)
        let quick = try Configuration.quick(
            models: ["a=http://127.0.0.1:1,h2c://127.0.0.1:2", "b=grpc://h:3"],
            listen: "0.0.0.0:8080",
            admin: "127.0.0.1:9901",
            cache: "60s",
            redis: "unix:///run/redis.sock"
        )
        #expect(try Configuration.parse(yaml: quick.yamlText, file: "f") == quick)
        #expect(quick.models.map { $0.cache?.ttl } == [.seconds(60), .seconds(60)])
        #expect(throws: QuickFailure.self) {
            try Configuration.quick(
                models: ["a=http://127.0.0.1:1"],
                listen: "0.0.0.0:8080",
                admin: "127.0.0.1:9901",
                redis: "unix:///run/redis.sock"
            )
        }
        #expect(quick.models[1].revisions[0].backends[0].rest == nil)
    }

    @Test("Keys for failing and full backends are read, and written back")
    func resilience() throws {
        let text = """
            listeners: [{address: "127.0.0.1:0"}]
            models:
              - name: a
                loadBalancing: ringHash
                hashOn: {header: X-Session}
                outlier: {consecutiveFailures: 3, baseEjection: 10s, maxEjectedPercent: 20, panicPercent: 0}
                slowStart: 30s
                maxQueue: 10
                queueTimeout: 250ms
                retries: 2
                idempotent: true
                retryBufferBytes: 1MiB
                tryTimeout: 500ms
                revisions:
                  - name: v1
                    backends: [{rest: "http://127.0.0.1:1", weight: 2, maxInFlight: 8}]
            """
        let read = try Configuration.parse(yaml: text, file: "f")
        let model = try #require(read.models.first)
        let resilience = model.resilience
        #expect(resilience.hashOn == .header("x-session") && model.loadBalancing == .ringHash)
        #expect(resilience.outlier.consecutiveFailures == 3 && resilience.outlier.panicPercent == 0)
        #expect(resilience.outlier.baseEjection == .seconds(10))
        #expect(resilience.slowStart == .seconds(30) && resilience.maxQueue == 10)
        #expect(resilience.queueTimeout == .milliseconds(250))
        #expect(resilience.retry.attempts == 2 && resilience.retry.isIdempotent)
        #expect(resilience.retry.bufferBytes == 1 << 20)
        #expect(resilience.retry.tryTimeout == .milliseconds(500))
        let share = model.revisions[0].backends[0].share
        #expect(share.weight == 2 && share.maxInFlight == 8)
        #expect(try Configuration.parse(yaml: read.yamlText, file: "f") == read)
    }

    @Test("Warming is read with its numbers or without, and written back")
    func warm() throws {
        let text = { (warm: String) in
            "listeners: [{address: \"127.0.0.1:0\"}]\nmodels: [{name: a, cache: {ttl: 60s, warm: \(warm)}, revisions: [{name: v1, backends: [{rest: \"http://h:1\"}]}]}]\n"
        }
        for (warm, top, rate) in [("{}", 1000, 50), ("{top: 20, rate: 7/s}", 20, 7)] {
            let read = try Configuration.parse(yaml: text(warm), file: "f")
            #expect(read.models[0].cache?.warm?.top == top)
            #expect(read.models[0].cache?.warm?.rate == rate)
            #expect(try Configuration.parse(yaml: read.yamlText, file: "f") == read)
        }
    }

    struct Broken: CustomTestStringConvertible, Sendable {
        let change: (String, String)
        let line: Int
        let message: String
        var testDescription: String { message }
        init(_ from: String, _ to: String, _ line: Int, _ message: String) {
            (change, self.line, self.message) = ((from, to), line, message)
        }
    }

    static let broken = [
        Broken("listeners:", "lissteners:", 1, "did you mean `listeners`?"),
        Broken("workers: 2", "wrokers: 2", 5, "did you mean `workers`?"),
        Broken("workers: 2", "workers: two", 5, "must be a whole number, not 'two'"),
        Broken("workers: 2", "workers: -1", 5, "must be from 0 to 1024"),
        Broken("drainTimeout: 5s", "drainTimeout: 5 seconds", 6, "such as 250ms, 30s or 5m"),
        Broken("maxRequestBytes: 1MiB", "maxRequestBytes: 1MB/s", 8, "such as 64KiB"),
        Broken(
            "maxRequestBytes: 1MiB",
            "maxRequestByte: 1MiB",
            8,
            "did you mean `maxRequestBytes`?"
        ),
        Broken("idleTimeout: 5m", "idleTimeout: 0s", 9, "must be at least 10ms"),
        Broken("address: 127.0.0.1:8080", "address: 8080", 2, "must be HOST:PORT"),
        Broken("address: 127.0.0.1:9901", "address: 127.0.0.1:99010", 4, "must be HOST:PORT"),
        Broken("timeout: 250ms", "timeout: 0s", 12, "must be at least 1ms"),
        Broken("roundRobin", "roundrobin", 13, "must be one of leastRequest, roundRobin, random"),
        Broken(
            "loadBalancing: roundRobin",
            "hashOn: {header: x-user}",
            13,
            "is for `loadBalancing: ringHash`"
        ),
        Broken(
            "loadBalancing: roundRobin",
            "loadBalancing: ringHash",
            11,
            "needs `hashOn: {header: NAME}`"
        ),
        Broken("timeout: 250ms", "tryTimeout: 20ms", 12, "it needs `idempotent: true`"),
        Broken("timeout: 250ms", "retryBufferBytes: 2MiB", 12, "must be at most 1MiB"),
        Broken("timeout: 250ms", "retries: 11", 12, "must be from 0 to 10"),
        Broken(
            "timeout: 250ms",
            "outlier: {consecutiveFailure: 5}",
            12,
            "did you mean `consecutiveFailures`?"
        ),
        Broken("timeout: 250ms", "outlier: {maxEjectedPercent: 101}", 12, "must be from 0 to 100"),
        Broken("timeout: 250ms", "slowStart: soon", 12, "must be a time such as"),
        Broken(
            "http://127.0.0.1:8001\"",
            "http://127.0.0.1:8001\", weight: -1",
            18,
            "must be from 0 to 1000"
        ),
        Broken(
            "http://127.0.0.1:8001\"",
            "http://127.0.0.1:8001\", maxInFlight: many",
            18,
            "must be a whole number"
        ),
        Broken(
            "health: {interval: 1s, path: /ready}",
            "health: {interval: 1s, path: ready}",
            14,
            "must begin with /"
        ),
        Broken("traffic: 99.99", "traffic: 99.9", 16, "sums to 99.91, not 100"),
        Broken("traffic: 99.99", "traffic: 101", 17, "must be a percentage from 0 to 100"),
        Broken("traffic: 99.99", "traffic: 99.999", 17, "up to two decimals"),
        Broken("- name: v2", "- name: v1", 19, "revision 'v1' stands twice"),
        Broken("- name: v2", "- name: other", 19, "a revision can't be called 'other'"),
        Broken("- name: v2", "- name: \"-\"", 19, "a revision can't be called '-'"),
        Broken("http://127.0.0.1:8001", "ftp://127.0.0.1:8001", 18, "must be http://HOST:PORT"),
        Broken("http://127.0.0.1:8001", "http://127.0.0.1:8001/a/../b", 18, "must be http://"),
        Broken(
            "backends: [{rest: \"h2c://host.example\"}]",
            "backends: []",
            22,
            "must not be empty"
        ),
        Broken(
            "backends: [{rest: \"h2c://host.example\"}]",
            "backends: [{}]",
            22,
            "needs `rest:` or `grpc:`"
        ),
        Broken("- name: iris\n", "- nam: iris\n", 11, "needs the key `name`"),
        Broken("modelName: iris-2", "sticky: {header: x}", 21, "unknown key"),
        Broken("timeout: 250ms", "cache: {}", 12, "needs the key `ttl`"),
        Broken("timeout: 250ms", "cache: {ttl: 1h, rows: often}", 12, "true or false"),
        Broken(
            "timeout: 250ms",
            "cache: {ttl: 1h, warm: {rate: 50}}",
            12,
            "such as 50/s, not '50'"
        ),
        Broken("timeout: 250ms", "cache: {ttl: 1h, warm: {rate: 0/s}}", 12, "from 1/s"),
        Broken("timeout: 250ms", "cache: {ttl: 1h, warm: {top: 0}}", 12, "1"),
        Broken("timeout: 250ms", "cache: {ttl: 1h, warm: {topp: 5}}", 12, "top"),
        Broken("timeout: 250ms", "cache: {ttl: 10s, warm: {}}", 12, "takes up to 20s"),
        Broken("timeout: 250ms", "cache: {ttl: soon}", 12, "must be a time such as"),
        Broken("timeout: 250ms", "cache: {ttl: 1h, staleIfErr: 1h}", 12, "staleIfError"),
        Broken("limits:", "cache: {memory: {maxBytes: 5}}\nlimits:", 7, "must be"),
        Broken("limits:", "cache: {redis: {}}\nlimits:", 7, "needs the key `url`"),
        Broken(
            "limits:",
            "cache: {redis: {url: 127.0.0.1:6379}}\nlimits:",
            7,
            "must be unix:///PATH"
        ),
        Broken("workers: 2", "workers: 2\nworkers: 3", 5, "stands twice"),
        Broken("workers: 2", "workers: [", 7, "this is not YAML"),
        Broken("limits:", "limits: 5\nxx:", 7, "must be a mapping"),
        Broken("models:", "models: 5\nyy:", 10, "must be a list"),
        Broken(
            "- address: 127.0.0.1:8080",
            "- address: 127.0.0.1:8080\n    tls: {certificate: /nowhere.pem, privateKey: /nowhere.key}",
            3,
            "no readable file at /nowhere.pem"
        ),
    ]

    @Test("A broken file is told its line and what to write instead", arguments: broken)
    func diagnostics(row: Broken) {
        let yaml = Self.good.replacing(row.change.0, with: row.change.1, maxReplacements: 1)
        #expect(yaml != Self.good)
        let found = Self.failures(yaml)
        #expect(
            found.contains { $0.line == row.line && $0.message.contains(row.message) },
            "found: \(found)"
        )
    }

    @Test("All mistakes are told in one go, in order")
    func all() {
        let yaml = Self.good.replacing("workers: 2", with: "workers: x")
            .replacing("drainTimeout: 5s", with: "drainTimeout: y")
        #expect(Self.failures(yaml).map(\.line) == [5, 6])
    }

    @Test("Nonsense ends in diagnostics, never in a crash", arguments: 0..<300)
    func noise(seed: Int) {
        var bytes = Array(Self.good.utf8)
        var state = UInt64(seed) &* 0x9E37_79B9_7F4A_7C15 | 1
        for _ in 0..<(1 + seed % 7) {
            state = state &* 6_364_136_223_846_793_005 &+ 1
            bytes[Int(state >> 33) % bytes.count] = UInt8(truncatingIfNeeded: state >> 20) & 0x7F
        }
        _ = Self.failures(String(decoding: bytes, as: UTF8.self))
    }
}
