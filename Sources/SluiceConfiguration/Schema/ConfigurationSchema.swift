import SluiceCore
import SluiceWire

/// The configuration's keys: what each takes, its default and what it is for.
///
/// `sluice check --schema` prints it as JSON Schema, by which editors complete and check a configuration as it is
/// written. The reader is the judge all the same: rules over several keys, files that must exist and bounds of times
/// are checked by `sluice check` alone. `SchemaTests` holds these tables to the reader, key by key.
package enum ConfigurationSchema {
    /// The JSON Schema (draft 2020-12), a member a line.
    package static var text: String {
        let head: [JSONValue.Member] = [
            .init("$schema", .string("https://json-schema.org/draft/2020-12/schema")),
            .init("title", .string("Sluice configuration")),
            .init(
                "description",
                .string("What `sluice serve --config FILE` reads; `sluice check` says more.")
            ),
        ]
        return JSONValue.object(head + root.members).lines() + "\n"
    }

    /// The document.
    package static let root = SchemaMapping([
        SchemaKey(
            "listeners",
            .list(.mapping(listener)),
            isRequired: true,
            "Addresses of the data plane: REST over HTTP/1.1 and HTTP/2, and gRPC, all on each."
        ),
        SchemaKey("admin", .mapping(admin), "The admin port: metrics, API and dashboard."),
        SchemaKey(
            "watch",
            .flag,
            plain: "\(plain.watch)",
            "Whether a changed file or certificate is read again by itself."
        ),
        SchemaKey(
            "dnsInterval",
            .duration(from: .seconds(1)),
            plain: Units.text(plain.dnsInterval),
            "How often names of backends are looked up."
        ),
        SchemaKey(
            "workers",
            .integer(0...1024),
            plain: "\(plain.workers)",
            "Event loops; 0 is one for each core that affinity and the cgroup leave."
        ),
        SchemaKey(
            "drainTimeout",
            .duration(from: .zero),
            plain: Units.text(plain.drainTimeout),
            "How long requests under way may take after SIGTERM."
        ),
        SchemaKey(
            "drainDelay",
            .duration(from: .zero),
            plain: Units.text(plain.drainDelay),
            "Time between readiness going false and telling clients to leave."
        ),
        SchemaKey(
            "accessLog",
            .either([.choice(["stdout", "stderr", "off"]), .off, .text(pattern: "[./]")]),
            plain: plain.accessLog.text,
            "Where the access log goes: stdout, stderr, off, or a file with a / or . in its name."
        ),
        SchemaKey("limits", .mapping(limits), "What clients may do."),
        SchemaKey("cache", .mapping(cache), "The result cache that models with `cache` share."),
        SchemaKey("models", .list(.mapping(model)), isRequired: true, "The models served."),
    ])

    static let plain = Configuration()
    /// `HOST:PORT`.
    static let host = SchemaType.text(pattern: "^.+:[0-9]+$")
    /// `HOST:PORT` or a Unix socket's file.
    private static let address = SchemaType.text(pattern: "^(.+:[0-9]+|unix:.+)$")

    // MARK: - Sections of the document

    private static let listener = SchemaMapping([
        SchemaKey(
            "address",
            address,
            isRequired: true,
            "HOST:PORT, such as 0.0.0.0:8080 or [::1]:8080, or unix:///PATH; port 0 is any free one."
        ),
        SchemaKey(
            "tls",
            .mapping(
                SchemaMapping([
                    SchemaKey(
                        "certificate",
                        .text(),
                        isRequired: true,
                        "File of the certificate chain, in PEM."
                    ),
                    SchemaKey(
                        "privateKey",
                        .text(),
                        isRequired: true,
                        "File of the private key, in PEM."
                    ),
                    SchemaKey(
                        "clientCA",
                        .text(),
                        "File of the authorities of client certificates; turns on mutual TLS."
                    ),
                ])
            ),
            "TLS 1.2 and 1.3, HTTP/2 and HTTP/1.1 by ALPN; without it the listener is cleartext."
        ),
        SchemaKey(
            "cors",
            .mapping(
                SchemaMapping([
                    SchemaKey(
                        "origins",
                        .list(.text(pattern: "^(\\*|[a-z][a-z0-9+.-]*://.+)$"), count: 1...200),
                        isRequired: true,
                        "Origins as browsers write them, such as https://app.example; or only '*'."
                    ),
                    SchemaKey(
                        "headers",
                        .list(.text(pattern: "^[!#$%&'*+.^_`|~0-9A-Za-z-]+$"), count: 0...200),
                        "Request fields allowed besides those of the inference APIs."
                    ),
                    SchemaKey(
                        "maxAge",
                        .duration(from: .zero),
                        plain: Units.text(Configuration.CrossOrigin(origins: []).maxAge),
                        "How long browsers may remember a preflight's answer; at most 24h."
                    ),
                ])
            ),
            "Web pages of other origins that may call (CORS); without it none may."
        ),
    ])

    private static let admin = SchemaMapping([
        SchemaKey(
            "address",
            address,
            plain: plain.admin.address.text,
            "HOST:PORT or unix:///PATH of the admin port."
        ),
        SchemaKey(
            "tokenFile",
            .text(),
            "File whose first line every call that changes something must carry."
        ),
        SchemaKey(
            "stateFile",
            .text(),
            "File in which weights and states set at run time survive restarts."
        ),
    ])

    private static let limits = SchemaMapping([
        SchemaKey(
            "maxRequestBytes",
            .bytes(from: 1),
            plain: Units.text(bytes: plain.limits.maxRequestBytes),
            "The longest body of a request."
        ),
        SchemaKey(
            "maxHeaderBytes",
            .bytes(from: 1024),
            plain: Units.text(bytes: plain.limits.maxHeaderBytes),
            "The longest head of a request."
        ),
        SchemaKey(
            "maxConnections",
            .integer(1...10_000_000),
            plain: "\(plain.limits.maxConnections)",
            "Client connections over all listeners."
        ),
        SchemaKey(
            "maxConnectionsPerAddress",
            .integer(0...10_000_000),
            plain: "\(plain.limits.maxConnectionsPerAddress)",
            "Connections of one client address; 0 is no limit."
        ),
        SchemaKey(
            "maxConcurrentStreams",
            .integer(1...100_000),
            plain: "\(plain.limits.maxConcurrentStreams)",
            "Streams of one HTTP/2 connection at once."
        ),
        SchemaKey(
            "headerTimeout",
            .duration(from: .milliseconds(10)),
            plain: Units.text(plain.limits.headerTimeout),
            "Time for a request's head, from its first byte to its last."
        ),
        SchemaKey(
            "bodyTimeout",
            .duration(from: .milliseconds(10)),
            plain: Units.text(plain.limits.bodyTimeout),
            "Time for a body below 1 KiB/s, and for a client that does not read."
        ),
        SchemaKey(
            "idleTimeout",
            .duration(from: .milliseconds(10)),
            plain: Units.text(plain.limits.idleTimeout),
            "How long a client connection may rest."
        ),
        SchemaKey(
            "maxMemory",
            .bytes(from: 64 << 20),
            "Resident memory from 92 % of which no new connections, and from 95 % no new requests, are taken; without it there is no limit."
        ),
    ])

    private static let cache = SchemaMapping([
        SchemaKey(
            "memory",
            .mapping(
                SchemaMapping([
                    SchemaKey(
                        "maxBytes",
                        .bytes(from: 1 << 20),
                        plain: Units.text(bytes: plain.cache.maxBytes),
                        "Memory for all answers."
                    ),
                    SchemaKey(
                        "maxEntryBytes",
                        .bytes(from: 1024),
                        plain: Units.text(bytes: plain.cache.maxEntryBytes),
                        "The largest answer that is kept, and request that is looked up."
                    ),
                ])
            ),
            "Tier 1, in the process."
        ),
        SchemaKey(
            "redis",
            .mapping(
                SchemaMapping([
                    SchemaKey(
                        "url",
                        .text(pattern: "^(unix|rediss?(\\+sentinel)?)://.+$"),
                        isRequired: true,
                        "unix:///PATH, redis://[[USER]:PASSWORD@]HOST[:PORT][/DB], rediss://… or redis+sentinel://HOST,HOST/MASTER."
                    ),
                    SchemaKey(
                        "timeout",
                        .duration(from: .milliseconds(1)),
                        plain: "20ms",
                        "How long a look-up may take before the request goes on without it."
                    ),
                    SchemaKey("prefix", .text(), plain: "sluice:", "What every key begins with."),
                    SchemaKey(
                        "passwordFile",
                        .text(),
                        "File whose first line is the password; read again for each connection."
                    ),
                    SchemaKey(
                        "sentinel",
                        .mapping(
                            SchemaMapping([
                                SchemaKey("user", .text(), "The user that Sentinels know."),
                                SchemaKey(
                                    "passwordFile",
                                    .text(),
                                    isRequired: true,
                                    "File whose first line is the Sentinels' password."
                                ),
                            ])
                        ),
                        "How to log in at Sentinels, with redis+sentinel://."
                    ),
                    SchemaKey("tls", .mapping(clientTLS), "How to speak TLS, with rediss://."),
                ])
            ),
            "Tier 2; without it there is none."
        ),
    ])

    static let clientTLS = SchemaMapping(
        [
            SchemaKey(
                "ca",
                .text(),
                "File of the authorities that the server's certificate needs."
            ),
            SchemaKey("certificate", .text(), "File of our own certificate, for mutual TLS."),
            SchemaKey("privateKey", .text(), "File of our own private key."),
            SchemaKey(
                "serverName",
                .text(),
                "The name in the server's certificate, where it isn't the URL's host."
            ),
            SchemaKey(
                "insecureSkipVerify",
                .flag,
                plain: "false",
                "Takes any certificate; for trials only."
            ),
        ],
        rules: [goTogether("certificate", "privateKey")]
    )

    // MARK: - Rules over several keys

    /// Each key needs the other.
    static func goTogether(_ first: String, _ second: String) -> JSONValue.Member {
        .init(
            "dependentRequired",
            .object([
                .init(first, .array([.string(second)])), .init(second, .array([.string(first)])),
            ])
        )
    }

    /// At least one of the keys is needed, or with `exactly` one and no other.
    static func needed(_ names: String..., exactly: Bool = false) -> JSONValue.Member {
        .init(
            exactly ? "oneOf" : "anyOf",
            .array(names.map { .object([.init("required", .array([.string($0)]))]) })
        )
    }
}
