import SluiceBalancing
import SluiceCore
import SluiceInference
import SluiceRouting

// The keys of revisions and backends, and of what is tried on a new revision.
extension ConfigurationSchema {
    static let rollout: SchemaMapping = {
        let plain = RolloutPlan(revision: "")
        let count = SchemaType.integer(1...1_000_000_000)
        return SchemaMapping([
            SchemaKey("revision", .text(), isRequired: true, "The revision to roll out."),
            SchemaKey(
                "baseline",
                .text(),
                "Compared with; without it the one with the most traffic."
            ),
            SchemaKey(
                "steps",
                .list(.percent),
                plain: plain.steps.map(Units.percent).joined(separator: ","),
                "Percent of what both have together; rising, and 100 in the end."
            ),
            SchemaKey(
                "interval",
                .duration(from: RolloutPlan.intervalMinimum),
                "Time between two checks; without it 60s or half the cache's ttl, whichever is longer."
            ),
            SchemaKey(
                "successMargin",
                .percent,
                plain: Units.percent(plain.successMargin),
                "Percentage points by which the share of good answers may be below the baseline's."
            ),
            SchemaKey(
                "successFloor",
                .percent,
                plain: Units.percent(plain.successFloor),
                "The share of good answers asked for where the baseline has it."
            ),
            SchemaKey(
                "p95Ratio",
                .number(from: 1, through: 1_000),
                plain: "\(plain.p95Ratio)",
                "How many times the baseline's p95 the canary's may be."
            ),
            SchemaKey(
                "p99Ratio",
                .number(from: 1, through: 1_000),
                plain: "\(plain.p99Ratio)",
                "How many times the baseline's p99 the canary's may be."
            ),
            SchemaKey(
                "maxP99",
                .duration(from: .milliseconds(1)),
                "The most the canary's p99 may be; without it there is no such gate."
            ),
            SchemaKey(
                "minRequests",
                count,
                plain: "\(plain.minRequests)",
                "Answers of either revision that a check needs."
            ),
            SchemaKey(
                "minRequestsP99",
                count,
                plain: "\(plain.minRequestsP99)",
                "Answers of either revision that the gate of p99 needs; at least minRequests."
            ),
            SchemaKey(
                "failureLimit",
                count,
                plain: "\(plain.failureLimit)",
                "Failed checks in a row that roll back."
            ),
            SchemaKey(
                "stalledAfter",
                count,
                plain: "\(plain.stalledAfter)",
                "Inconclusive checks in a row after which the rollout counts as stalled."
            ),
            SchemaKey(
                "autoStart",
                .flag,
                plain: "\(plain.autoStart)",
                "Whether it begins with the configuration that brings it, once for each revision."
            ),
        ])
    }()

    static let mirror: SchemaMapping = {
        let plain = Configuration.Mirror(revision: "")
        return SchemaMapping([
            SchemaKey("revision", .text(), isRequired: true, "The revision that gets the copies."),
            SchemaKey("percent", .percent, isRequired: true, "The share that is copied."),
            SchemaKey(
                "maxInFlight",
                .integer(1...100_000),
                plain: "\(plain.maxInFlight)",
                "Copies under way, over all workers."
            ),
            SchemaKey(
                "maxBytes",
                .bytes(from: 1),
                plain: Units.text(bytes: plain.maxBytes),
                "The largest request that is copied."
            ),
            SchemaKey(
                "compare",
                .flag,
                plain: "\(plain.compare)",
                "Whether the shadow's answers are compared with those the callers got."
            ),
            SchemaKey(
                "tolerance",
                .number(from: 0, through: nil),
                plain: "\(plain.tolerance)",
                "How far numbers may lie apart to be close."
            ),
        ])
    }()

    // MARK: - Revisions and backends

    static let revision = SchemaMapping(
        [
            SchemaKey("name", .text(), isRequired: true, "The revision's name, not - or other."),
            SchemaKey("traffic", .percent, plain: "100", "Percent of the model's requests."),
            SchemaKey("modelName", .text(), "The model's name at these backends, if it differs."),
            SchemaKey(
                "dialect",
                .choice(RuntimeKind.allCases.map(\.rawValue)),
                "Which runtime the backends are, for what runtimes do differently; without it they are asked."
            ),
            SchemaKey("backends", .list(.mapping(backend)), "The replicas."),
            SchemaKey(
                "backendsFile",
                .text(),
                "File with a list of more of them, read again when it changes."
            ),
        ],
        rules: [needed("backends", "backendsFile")]
    )

    /// Names and values of fields, or the files whose first line is the value.
    private static let headers = SchemaType.map(
        .either([
            .text(),
            .mapping(
                SchemaMapping([
                    SchemaKey("file", .text(), isRequired: true, "File whose first line it is.")
                ])
            ),
        ]),
        names: "^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,256}$",
        count: ConfigurationReader.headersMaximum
    )

    private static let backend: SchemaMapping = {
        let socket = "((http|h2c|https)\\+)?unix:.+"
        let url = SchemaType.text(pattern: "^((http|h2c|https)://[^/]+/?|\(socket))$")
        let rest = SchemaType.text(pattern: "^((http|h2c|https)://[^/]+(/.*)?|\(socket))$")
        let speaks = SchemaType.choice(Configuration.DiscoveredProtocol.allCases.map(\.rawValue))
        return SchemaMapping(
            [
                SchemaKey(
                    "rest",
                    rest,
                    "REST, with a path that stands before ours or without: http:// and unix:///PATH are HTTP/1.1, h2c:// HTTP/2, https:// TLS with ALPN."
                ),
                SchemaKey(
                    "grpc",
                    url,
                    "gRPC: http:// and h2c:// are cleartext HTTP/2, https:// is TLS."
                ),
                SchemaKey(
                    "dns",
                    .text(pattern: "^.+:[0-9]+(/.*)?$"),
                    "HOST:PORT, with a path for REST; every address of the name is a replica."
                ),
                SchemaKey(
                    "protocol",
                    .either([speaks, .list(speaks)]),
                    "What the replicas of `dns` speak: rest (HTTP/1.1), h2c (REST over HTTP/2), grpc, or a list."
                ),
                SchemaKey(
                    "weight",
                    .integer(0...1_000),
                    plain: "\(Configuration.BackendShare().weight)",
                    "Its part beside the others'; 0 takes no new requests."
                ),
                SchemaKey(
                    "maxInFlight",
                    .integer(0...1_000_000),
                    plain: "\(Configuration.BackendShare().maxInFlight)",
                    "Requests it may have at once; 0 is no limit."
                ),
                SchemaKey("tls", .mapping(clientTLS), "How to speak TLS to it."),
                SchemaKey("headers", headers, "Fields of ours that requests to it have; secret."),
            ],
            rules: [needed("rest", "grpc", "dns"), goTogether("dns", "protocol")]
        )
    }()
}
