import Foundation
import SluiceConfiguration
import SluiceCore
import SluiceWire
import Testing

/// The schema says what the reader does: no key more, no key less, with its bounds and defaults.
@Suite("Configuration schema")
struct SchemaTests {
    /// Every section there is, every key in it.
    static let everything = """
        listeners:
          - address: 127.0.0.1:8080
            tls: {certificate: c.pem, privateKey: k.pem, clientCA: ca.pem}
            cors: {origins: ["https://app.example"], headers: [authorization], maxAge: 5m}
        admin: {address: 127.0.0.1:9901, tokenFile: t, stateFile: s}
        watch: false
        dnsInterval: 6s
        workers: 2
        drainTimeout: 5s
        drainDelay: 1s
        accessLog: off
        limits:
          maxRequestBytes: 1MiB
          maxHeaderBytes: 32KiB
          maxConnections: 10
          maxConnectionsPerAddress: 5
          maxConcurrentStreams: 8
          headerTimeout: 1s
          bodyTimeout: 1s
          idleTimeout: 1s
          maxMemory: 8GiB
        cache:
          memory: {maxBytes: 2MiB, maxEntryBytes: 2KiB}
          redis:
            url: rediss://redis:6380/0
            timeout: 5ms
            prefix: "p:"
            passwordFile: p
            sentinel: {user: u, passwordFile: p}
            tls: {ca: a, certificate: c, privateKey: k, serverName: n, insecureSkipVerify: true}
        models:
          - name: iris
            timeout: 2s
            loadBalancing: ringHash
            hashOn: {header: x-session, cookie: c}
            slowStart: 1s
            outlier: {consecutiveFailures: 1, baseEjection: 1s, maxEjectedPercent: 1, panicPercent: 1}
            maxQueue: 1
            queueTimeout: 1s
            rateLimit: [{rate: 1/s, burst: 1, per: {header: x-key}}]
            adaptiveConcurrency: {min: 1, max: 2}
            idempotent: true
            retries: 2
            retryBufferBytes: 1KiB
            tryTimeout: 1s
            hedge: {delay: 50ms, maxAttempts: 3}
            backendIdleTimeout: 1s
            health: {interval: 1s, timeout: 1s, path: /ready}
            cache:
              ttl: 60s
              staleWhileRevalidate: 1s
              staleIfError: 1s
              rows: true
              warm: {top: 10, rate: 10/s}
            rollout:
              revision: v2
              baseline: v1
              steps: [1, 100]
              interval: 2s
              successMargin: 2
              successFloor: 98
              p95Ratio: 2
              p99Ratio: 2
              maxP99: 1s
              minRequests: 10
              minRequestsP99: 10
              failureLimit: 1
              stalledAfter: 1
              autoStart: true
            sticky: {header: x-user, cookie: c, salt: s}
            routes:
              - {match: {header: x-canary, cookie: c, value: v, prefix: p}, revision: v2}
            allowRevisionHeader: true
            mirror: {revision: v2, percent: 5, maxInFlight: 1, maxBytes: 1KiB, compare: false, tolerance: 0.1}
            tensors:
              inputs: [{name: in, datatype: FP32, shape: [-1, 4]}]
              outputs: [{name: out, datatype: INT64, shape: [-1]}]
            revisions:
              - name: v1
                traffic: 90
                modelName: m
                dialect: triton
                backendsFile: f
                backends:
                  - rest: http://127.0.0.1:8001
                    grpc: http://127.0.0.1:9001
                    weight: 2
                    maxInFlight: 1
                    headers: {x-key: v}
                    tls: {ca: a, certificate: c, privateKey: k, serverName: n, insecureSkipVerify: true}
                  - {dns: "models.example:9000", protocol: [rest, grpc]}
              - {name: v2, traffic: 10, backends: [{rest: "http://127.0.0.1:8002"}]}
        """

    /// Every section there is, and in it what it can't do without.
    static let leastOfEach = """
        listeners: [{address: "127.0.0.1:8080", cors: {origins: ["*"]}}]
        admin: {}
        limits: {}
        cache: {memory: {}, redis: {url: "redis://redis", tls: {}}}
        models:
          - name: iris
            outlier: {}
            rateLimit: {rate: 1/s}
            adaptiveConcurrency: {}
            hedge: {delay: 50ms}
            health: {}
            cache: {ttl: 60s, warm: {}}
            rollout: {revision: v2}
            mirror: {revision: v2, percent: 5}
            revisions:
              - {name: v1, backends: [{rest: "http://127.0.0.1:8001", tls: {}}]}
        """

    /// Keys whose default depends on others, or that are asked for with a value in place.
    static let dependent = [
        "models.rateLimit.burst", "models.cache.ttl", "models.hedge.delay",
    ]

    /// The schema's keys by path, and the paths of its mappings.
    static let schema: (keys: [String: SchemaKey], mappings: [String: SchemaMapping]) = {
        var keys: [String: SchemaKey] = [:]
        var mappings: [String: SchemaMapping] = [:]
        func add(_ type: SchemaType, at path: String) {
            switch type {
            case .mapping(let mapping):
                mappings[path] = mapping
                for key in mapping.keys {
                    let inner = path.isEmpty ? key.name : "\(path).\(key.name)"
                    keys[inner] = key
                    add(key.type, at: inner)
                }
            case .list(let element, _): add(element, at: path)
            case .either(let types): for type in types { add(type, at: path) }
            default: break
            }
        }
        add(.mapping(ConfigurationSchema.root), at: "")
        return (keys, mappings)
    }()

    static func read(_ yaml: String) -> [(path: String, read: KeyRead)] {
        Configuration.keysRead(yaml: yaml, file: "sluice.yaml").map {
            ($0.section.isEmpty ? $0.key : "\($0.section).\($0.key)", $0)
        }
    }

    @Test("The schema has the keys that the reader asks for, and no others")
    func keys() {
        let asked = Set(Self.read(Self.everything).map(\.path))
        let known = Set(Self.schema.keys.keys)
        #expect(asked.subtracting(known).sorted() == [], "the reader asks for keys without a row")
        #expect(known.subtracting(asked).sorted() == [], "no reader asks for these keys")
        // A key that this document lacks would be seen as a node only, whatever it takes.
        let present = Set(Self.read(Self.everything).filter(\.read.isPresent).map(\.path))
        #expect(known.subtracting(present).sorted() == [], "`everything` lacks keys")
    }

    @Test("Each key takes what its reader takes, within its bounds")
    func types() throws {
        for (path, read) in Self.read(Self.everything) {
            let key = try #require(Self.schema.keys[path])
            switch (read.form, key.type) {
            case (.node, _), (.flag, .flag), (.list, .list): break
            case (.text, .text), (.text, .either): break
            case (.number(let range, _), .integer(let said)): #expect(said == range, "\(path)")
            case (.duration(let minimum, _), .duration(let said)):
                #expect(said == minimum, "\(path)")
            case (.bytes(let minimum, _), .bytes(let said, _)): #expect(said == minimum, "\(path)")
            default: Issue.record("\(path) is read as \(read.form), the schema says \(key.type)")
            }
        }
    }

    @Test("Defaults are those the reader begins with")
    func defaults() throws {
        for (path, read) in Self.read(Self.leastOfEach)
        where !read.isPresent && !Self.dependent.contains(path) {
            let key = try #require(Self.schema.keys[path])
            switch read.form {
            case .flag(let plain): #expect(key.plain == "\(plain)", "\(path)")
            // What lies outside of its own bounds stands for "off".
            case .number(let range, let plain) where range.contains(plain):
                #expect(key.plain == "\(plain)", "\(path)")
            case .duration(let minimum, let plain) where plain >= minimum:
                #expect(key.plain == Configuration.text(plain), "\(path)")
            case .bytes(let minimum, let plain) where plain >= minimum:
                let said = try #require(key.plain, "\(path)")
                #expect(Configuration.bytes(said) == plain, "\(path)")
            case .number, .duration, .bytes: #expect(key.plain == nil, "\(path)")
            case .node, .text, .list: break
            }
        }
    }

    @Test("What the reader needs is required, alone or with another key")
    func required() {
        var asked: Set<String> = []
        for (path, read) in Self.read(Self.everything) where read.isRequired { asked.insert(path) }
        for (path, key) in Self.schema.keys where key.isRequired {
            #expect(asked.contains(path), "\(path) is required, and the reader does without")
        }
        // `list` requires, and is asked for lists that may be absent only where they are there.
        let conditional: Set = [
            "models.routes", "models.revisions.backends", "models.revisions.backends.protocol",
            "listeners.cors.headers", "models.tensors.outputs",
        ]
        for path in asked.subtracting(conditional) {
            #expect(Self.schema.keys[path]?.isRequired == true, "\(path) is needed")
        }
    }

    @Test("Every key says what it is for, in a sentence")
    func sentences() {
        for (path, key) in Self.schema.keys {
            #expect(key.summary.count > 10 && key.summary.count < 160, "\(path)")
            #expect(".…".contains(key.summary.last ?? " "), "\(path): \(key.summary)")
        }
    }

    @Test("The printed schema is JSON, closed at every level, and has a type for every key")
    func text() throws {
        let tree = try #require(
            try JSONSerialization.jsonObject(with: Data(ConfigurationSchema.text.utf8))
                as? [String: Any]
        )
        #expect(tree["$schema"] as? String == "https://json-schema.org/draft/2020-12/schema")
        #expect(tree["additionalProperties"] as? Bool == false)
        let properties = try #require(tree["properties"] as? [String: [String: Any]])
        #expect(Set(properties.keys) == Set(ConfigurationSchema.root.keys.map(\.name)))
        for (name, property) in properties {
            #expect(property["description"] is String, "\(name)")
            #expect(property["anyOf"] != nil || property["type"] != nil, "\(name)")
        }
        #expect(properties["dnsInterval"]?["default"] as? String == "5s")
        #expect(properties["watch"]?["default"] as? Bool == true)
        #expect(tree["required"] as? [String] == ["listeners", "models"])
    }
}
