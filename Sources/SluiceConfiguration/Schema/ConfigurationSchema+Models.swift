import SluiceBalancing
import SluiceCore
import SluiceInference
import SluiceRouting
import SluiceWire

// A model's keys.
extension ConfigurationSchema {
    private static let plainModel = Configuration.Model(name: "", revisions: [])
    private static let plainResilience = Configuration.Resilience()

    static let model = SchemaMapping([
        SchemaKey(
            "name",
            .text(),
            isRequired: true,
            "The model's name in paths and messages: no / or :, at most 256 bytes, not - or other."
        ),
        SchemaKey(
            "timeout",
            .duration(from: .milliseconds(1)),
            plain: Units.text(plainModel.timeout),
            "Of one request; gRPC streams are bound by their grpc-timeout only."
        ),
        SchemaKey(
            "loadBalancing",
            .choice(LoadBalancing.allCases.map(\.rawValue)),
            plain: plainModel.loadBalancing.rawValue,
            "How requests are spread over a revision's backends."
        ),
        SchemaKey(
            "hashOn",
            .mapping(SchemaMapping(source, rules: [needed("header", "cookie", exactly: true)])),
            "What ringHash goes by."
        ),
        SchemaKey(
            "slowStart",
            .duration(from: .zero),
            plain: Units.text(plainResilience.slowStart),
            "A backend that comes up gets its whole share after that time."
        ),
        SchemaKey("outlier", .mapping(outlier), "When backends are ejected for failing."),
        SchemaKey(
            "maxQueue",
            .integer(0...1_000_000),
            plain: "\(plainResilience.maxQueue)",
            "Requests that wait for a backend below its maxInFlight."
        ),
        SchemaKey(
            "queueTimeout",
            .duration(from: .milliseconds(1)),
            "How long they wait; without it the model's timeout, 5s at most."
        ),
        SchemaKey(
            "rateLimit",
            .either([.mapping(rateLimit), .list(.mapping(rateLimit), count: 1...4)]),
            "What callers may ask: one limit, or a list of up to four."
        ),
        SchemaKey(
            "adaptiveConcurrency",
            .mapping(
                SchemaMapping([
                    SchemaKey(
                        "min",
                        .integer(1...1_000_000),
                        plain: "\(ConcurrencyBounds().minimum)",
                        "The least the limit may be, and where it begins."
                    ),
                    SchemaKey(
                        "max",
                        .integer(1...1_000_000),
                        plain: "\(ConcurrencyBounds().maximum)",
                        "The most the limit may be."
                    ),
                ])
            ),
            "Learns how many requests a revision takes at once; without it there is no limit."
        ),
        SchemaKey(
            "idempotent",
            .flag,
            plain: "\(plainResilience.retry.isIdempotent)",
            "Whether the model may be asked the same thing twice."
        ),
        SchemaKey(
            "retries",
            .integer(0...10),
            plain: "\(plainResilience.retry.attempts)",
            "Repetitions of one request on other backends; 0 is none."
        ),
        SchemaKey(
            "retryBufferBytes",
            .bytes(from: 0, through: 1 << 20),
            plain: Units.text(bytes: plainResilience.retry.bufferBytes),
            "Larger bodies are not sent again."
        ),
        SchemaKey(
            "tryTimeout",
            .duration(from: .milliseconds(1)),
            "Time of one attempt, after which another backend is tried; idempotent models only."
        ),
        SchemaKey(
            "hedge",
            .mapping(
                SchemaMapping([
                    SchemaKey(
                        "delay",
                        .duration(from: .milliseconds(1)),
                        isRequired: true,
                        "How long to wait for an answer to begin; about a usual answer's p95."
                    ),
                    SchemaKey(
                        "maxAttempts",
                        .integer(2...5),
                        plain: "\(HedgePolicy(delay: .zero).maxAttempts)",
                        "Attempts in all, the first among them."
                    ),
                ])
            ),
            "A slow request goes to another backend as well; idempotent models only."
        ),
        SchemaKey(
            "backendIdleTimeout",
            .duration(from: .milliseconds(1)),
            "How long a connection to a backend may rest; without it 4s over HTTP/1.1, 60s over HTTP/2."
        ),
        SchemaKey(
            "health",
            .mapping(
                SchemaMapping([
                    SchemaKey(
                        "interval",
                        .duration(from: .milliseconds(50)),
                        plain: Units.text(plainModel.health.interval),
                        "Time between two probes of a backend."
                    ),
                    SchemaKey(
                        "timeout",
                        .duration(from: .milliseconds(10)),
                        plain: Units.text(plainModel.health.timeout),
                        "Time for a probe's answer."
                    ),
                    SchemaKey(
                        "path",
                        .text(pattern: "^/"),
                        "What REST backends are asked for; without it V2's readiness, else V1's status."
                    ),
                ])
            ),
            "How backends are probed."
        ),
        SchemaKey("cache", .mapping(modelCache), "Keeps the model's answers; without it none are."),
        SchemaKey("rollout", .mapping(rollout), "The plan that `sluice canary start` follows."),
        SchemaKey(
            "sticky",
            .mapping(
                SchemaMapping(
                    source + [SchemaKey("salt", .text(), "Another one deals all users anew.")],
                    rules: [needed("header", "cookie", exactly: true)]
                )
            ),
            "Same user, same revision; without it each request is drawn by itself."
        ),
        SchemaKey(
            "routes",
            .list(.mapping(route), count: 1...RouteTable.routesMaximum),
            "Requests that go to one revision whatever its weight; the first match wins."
        ),
        SchemaKey(
            "allowRevisionHeader",
            .flag,
            plain: "\(plainModel.split.allowRevisionHeader)",
            "Whether clients may name a revision in x-sluice-revision."
        ),
        SchemaKey("mirror", .mapping(mirror), "Copies a share of the requests to a shadow."),
        SchemaKey(
            "tensors",
            .mapping(
                SchemaMapping([
                    SchemaKey(
                        "inputs",
                        .list(.mapping(tensor), count: 1...1_000),
                        isRequired: true,
                        "What the model takes."
                    ),
                    SchemaKey(
                        "outputs",
                        .list(.mapping(tensor), count: 1...1_000),
                        "What the model gives."
                    ),
                ])
            ),
            "What the model takes and gives, where its runtime doesn't tell."
        ),
        SchemaKey(
            "revisions",
            .list(.mapping(revision)),
            isRequired: true,
            "The model's revisions; their traffic sums to 100."
        ),
    ])

    // MARK: - What a model has

    /// A header field or a cookie.
    private static let source = [
        SchemaKey("header", .text(), "A header field's name (gRPC: metadata)."),
        SchemaKey("cookie", .text(), "A cookie's name."),
    ]

    private static let tensor = SchemaMapping([
        SchemaKey("name", .text(), isRequired: true, "The tensor's name."),
        SchemaKey(
            "datatype",
            .choice(DataType.allCases.map(\.rawValue)),
            isRequired: true,
            "The type of its elements."
        ),
        SchemaKey(
            "shape",
            .list(.integer(-1...1 << 40), count: 0...32),
            "Its dimensions, such as [-1, 4]; -1 is any size."
        ),
    ])

    private static let outlier = SchemaMapping([
        SchemaKey(
            "consecutiveFailures",
            .integer(0...255),
            plain: "\(OutlierPolicy().consecutiveFailures)",
            "Failures in a row that eject; 0 turns ejection off."
        ),
        SchemaKey(
            "baseEjection",
            .duration(from: .milliseconds(1)),
            plain: Units.text(OutlierPolicy().baseEjection),
            "How long the first ejection lasts; the n-th lasts n times as long."
        ),
        SchemaKey(
            "maxEjectedPercent",
            .integer(0...100),
            plain: "\(OutlierPolicy().maxEjectedPercent)",
            "How much of a revision may be ejected."
        ),
        SchemaKey(
            "panicPercent",
            .integer(0...100),
            plain: "\(OutlierPolicy().panicPercent)",
            "While fewer are usable, all are used."
        ),
    ])

    private static let rateLimit = SchemaMapping([
        SchemaKey(
            "rate",
            .text(pattern: "^[0-9]+/(s|m|h)$"),
            isRequired: true,
            "Requests per second, minute or hour: 100/s, 30/m, 500/h; from 1 to \(RateLimit.maximum)."
        ),
        SchemaKey(
            "burst",
            .integer(1...RateLimit.maximum),
            "Requests at once after a pause; without it as many as `rate`."
        ),
        SchemaKey(
            "per",
            .either([
                .choice(["model", "client"]),
                .mapping(
                    SchemaMapping([
                        SchemaKey("header", .text(), isRequired: true, "A header field's name.")
                    ])
                ),
            ]),
            plain: "model",
            "What shares a limit: the model, each client address, or each value of a header."
        ),
    ])

    private static let modelCache = SchemaMapping([
        SchemaKey(
            "ttl",
            .duration(from: .milliseconds(1)),
            isRequired: true,
            "How long an answer is fresh."
        ),
        SchemaKey(
            "staleWhileRevalidate",
            .duration(from: .zero),
            plain: "0s",
            "How long past that it is served while a new one is fetched."
        ),
        SchemaKey(
            "staleIfError",
            .duration(from: .zero),
            plain: "0s",
            "How long past that it stands in for a failed call."
        ),
        SchemaKey("rows", .flag, plain: "false", "Whether batches are kept row by row."),
        SchemaKey(
            "warm",
            .mapping(
                SchemaMapping([
                    SchemaKey(
                        "top",
                        .integer(1...10_000),
                        plain: "\(Configuration.Warm().top)",
                        "Inputs that are replayed, at most."
                    ),
                    SchemaKey(
                        "rate",
                        .text(pattern: "^[0-9]+/s$"),
                        plain: "\(Configuration.Warm().rate)/s",
                        "Requests a second over the whole gateway, from 1/s to 100000/s."
                    ),
                ])
            ),
            "Fills a revision's cache before it first takes weight; without it that begins cold."
        ),
    ])

    private static let route = SchemaMapping([
        SchemaKey(
            "match",
            .mapping(
                SchemaMapping(
                    source + [
                        SchemaKey("value", .text(), "What the field equals."),
                        SchemaKey("prefix", .text(), "What the field begins with."),
                    ],
                    rules: [
                        needed("header", "cookie", exactly: true),
                        .init(
                            "not",
                            .object([
                                .init("required", .array([.string("value"), .string("prefix")]))
                            ])
                        ),
                    ]
                )
            ),
            isRequired: true,
            "A header or cookie that is there, equals `value` or begins with `prefix`."
        ),
        SchemaKey("revision", .text(), isRequired: true, "The revision that answers."),
    ])
}
