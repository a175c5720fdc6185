package import SluiceBalancing
package import SluiceCore
package import SluiceInference
package import SluiceRouting

/// What the operator wrote, with defaults filled in; see the manual's "Configuration".
package struct Configuration: Sendable, Equatable {
    /// A data-plane address.
    package struct Listener: Sendable, Equatable {
        package var address: ListenAddress
        package var tls: ListenerTLS?
        /// Absent: no web page of another origin may use it.
        package var cors: CrossOrigin?
    }

    /// A listener's certificate and whom it lets in.
    package struct ListenerTLS: Sendable, Equatable {
        package var certificate: String
        package var privateKey: String
        package var clientCA: String?
    }

    /// `HOST:PORT`, a host being a numeric address or a name; or a Unix socket's path for a host.
    package struct ListenAddress: Sendable, Equatable {
        package var host: String
        /// 0 lets the kernel choose; and for a socket's path.
        package var port: UInt16

        /// An address.
        package init(host: String, port: UInt16) {
            self.host = host
            self.port = port
        }

        /// What is looked up to listen.
        package var name: HostName { HostName(host: host, port: port) }
        /// Whether it is a Unix socket's file.
        package var isSocketFile: Bool { name.isSocketFile }
        /// As it is written; also the listener's name in metrics.
        package var text: String { name.text }
    }

    /// What clients may do.
    package struct Limits: Sendable, Equatable {
        package var maxRequestBytes = 64 << 20
        package var maxHeaderBytes = 64 << 10
        package var maxConnections = 10_000
        /// Connections from one client address, an IPv6 network of 64 bits being one; 0 is no limit.
        package var maxConnectionsPerAddress = 0
        package var maxConcurrentStreams = 256
        package var headerTimeout = Duration.seconds(10)
        package var bodyTimeout = Duration.seconds(30)
        package var idleTimeout = Duration.seconds(60)
        /// Resident memory from 92 % of which less and less is taken on; 0 is no limit.
        package var maxMemory = 0
    }

    /// Where access log lines go.
    package enum AccessLog: Sendable, Equatable {
        case stdout, stderr, off
        case file(String)

        package var text: String {
            switch self {
            case .stdout: "stdout"
            case .stderr: "stderr"
            case .off: "off"
            case .file(let path): path
            }
        }
    }

    /// A backend's URL, taken apart.
    package struct BackendURL: Sendable, Equatable {
        /// What the URL's beginning stands for.
        package enum Scheme: String, Sendable, CaseIterable { case http, h2c, https }
        package var scheme: Scheme
        package var host: String
        package var port: UInt16
        /// What stands before our paths there: `/base`, or nothing.
        package var path = ""

        /// Whom it leads to.
        package var name: HostName { HostName(host: host, port: port) }
        /// What requests carry as `host` or `:authority`: a socket's path is no host (RFC 3986 §3.2.2).
        package var authority: String { name.isSocketFile ? "localhost" : name.text }
        /// The name that a certificate must have, unless another is configured.
        package var serverName: String { name.isSocketFile ? "localhost" : host }
        package var text: String {
            guard name.isSocketFile else { return "\(scheme.rawValue)://\(name.text)\(path)" }
            return (scheme == .http ? "" : "\(scheme.rawValue)+") + name.text
        }
    }

    /// How to speak TLS to a backend.
    package struct BackendTLS: Sendable, Equatable {
        package var ca: String?
        package var certificate: String?
        package var privateKey: String?
        package var serverName: String?
        package var insecureSkipVerify = false
    }

    /// One replica.
    package struct Backend: Sendable, Equatable {
        package var rest: BackendURL?
        package var grpc: BackendURL?
        /// Whether it was given as `dns`, without a URL.
        package var isWatched = false
        package var tls: BackendTLS?
        /// Fields of our own in each request to it.
        package var headers: [BackendHeader] = []
        package var share = BackendShare()
    }

    /// One revision; `traffic` in basis points.
    package struct Revision: Sendable, Equatable {
        package var name: String
        package var traffic: Int
        package var modelName: String?
        /// Which runtime the backends are; absent: they are asked.
        package var runtimeKind: RuntimeKind?
        package var backends: [Backend]
        /// Further ones, listed in a file of their own.
        package var backendsFile: BackendsFile?

        /// A revision.
        package init(
            name: String,
            traffic: Int,
            modelName: String? = nil,
            backends: [Backend]
        ) {
            self.name = name
            self.traffic = traffic
            self.modelName = modelName
            self.backends = backends
        }
    }

    /// How backends are asked whether they are well.
    package struct Health: Sendable, Equatable {
        package var interval = Duration.seconds(5)
        package var timeout = Duration.seconds(1)
        /// What a REST backend is asked for; nil is V2's readiness, and V1's where there is no V2.
        package var path: String?
    }

    /// One model.
    package struct Model: Sendable, Equatable {
        package var name: String
        package var timeout = Duration.seconds(5)
        package var loadBalancing = LoadBalancing.leastRequest
        package var health = Health()
        /// How long a connection to a backend may rest; absent is 4 s over HTTP/1.1, 60 s over HTTP/2.
        package var backendIdleTimeout: Duration?
        /// Its tensors; absent: backends are asked where they must be known.
        package var tensors: ModelSignature?
        /// Absent: the model's answers aren't kept.
        package var cache: ModelCache?
        /// Absent: nothing is copied to a shadow.
        package var mirror: Mirror?
        /// Absent: a rollout is told its plan when it starts.
        package var rollout: RolloutPlan?
        package var resilience = Resilience()
        /// What callers may send; see `LimitConfiguration.swift`.
        package var rateLimits: [RateLimit] = []
        /// Absent: a revision may have as many requests as there are.
        package var adaptiveConcurrency: ConcurrencyBounds?
        /// Which requests go where, before the weights; see `SplitConfiguration.swift`.
        package var split = Split()
        package var revisions: [Revision]
    }

    package var listeners: [Listener] = []
    package var admin = Admin()
    /// Whether a changed file is read again by itself.
    package var watch = true
    package var workers = 0
    /// How often names of backends and listeners are looked up.
    package var dnsInterval = Duration.seconds(5)
    package var drainTimeout = Duration.seconds(30)
    package var drainDelay = Duration.zero
    package var accessLog = AccessLog.stdout
    package var limits = Limits()
    package var cache = Cache()
    package var models: [Model] = []

    /// Defaults, and neither listeners nor models.
    package init() {}
}

/// What is wrong with a configuration, where, and what would be right.
package struct Diagnostic: Error, Sendable, Equatable, CustomStringConvertible {
    package var file: String
    package var line: Int
    package var column: Int
    package var message: String

    /// A finding at a place.
    package init(file: String, line: Int, column: Int, message: String) {
        self.file = file
        self.line = line
        self.column = column
        self.message = message
    }

    package var description: String { "\(file):\(line):\(column): \(message)" }
}

/// Everything that is wrong with a configuration, in order of place.
package struct ConfigurationFailure: Error, Sendable {
    package var diagnostics: [Diagnostic]

    /// All that was found.
    package init(diagnostics: [Diagnostic]) { self.diagnostics = diagnostics }
}
