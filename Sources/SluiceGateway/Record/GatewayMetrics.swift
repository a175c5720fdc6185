package import SluiceTelemetry

/// Which protocol a request spoke, as metrics and logs say it.
enum RequestProtocol: UInt8 {
    case v1, v2, grpc, other

    var label: String {
        switch self {
        case .v1: "v1"
        case .v2: "v2"
        case .grpc: "grpc"
        case .other: "other"
        }
    }
}

/// The families of the contract that workers count in.
package enum GatewayMetrics {
    package static let requests = MetricFamily.counter(
        "sluice_requests_total",
        help: "Requests answered, by what the client got.",
        labels: ["model", "revision", "protocol", "code"]
    )
    package static let requestDuration = MetricFamily.histogram(
        "sluice_request_duration_seconds",
        help: "From a request's first byte to its answer's last.",
        labels: ["model", "revision", "protocol"]
    )
    package static let requestsInFlight = MetricFamily.gauge(
        "sluice_requests_in_flight",
        help: "Requests that have begun and are not over.",
        labels: ["model", "revision"]
    )
    static let requestBytes = MetricFamily.counter(
        "sluice_request_bytes_total",
        help: "Bytes of request bodies received.",
        labels: ["model", "revision"]
    )
    static let responseBytes = MetricFamily.counter(
        "sluice_response_bytes_total",
        help: "Bytes of response bodies sent.",
        labels: ["model", "revision"]
    )
    package static let backendRequests = MetricFamily.counter(
        "sluice_backend_requests_total",
        help: "Attempts at a backend, by what it answered.",
        labels: ["model", "revision", "backend", "code"]
    )
    static let backendDuration = MetricFamily.histogram(
        "sluice_backend_duration_seconds",
        help: "From sending to a backend to its answer's last byte.",
        labels: ["model", "revision"]
    )
    package static let backendInFlight = MetricFamily.gauge(
        "sluice_backend_in_flight",
        help: "Requests a backend has not answered yet.",
        labels: ["model", "revision", "backend"]
    )
    package static let backendHealthy = MetricFamily.gauge(
        "sluice_backend_healthy",
        help: "1 if the backend answers its probe, else 0.",
        labels: ["model", "revision", "backend"]
    )
    package static let runtimeInfo = MetricFamily.gauge(
        "sluice_runtime_info",
        help: "1, with the dialect of a revision's backends, as configured or found.",
        labels: ["model", "revision", "dialect"]
    )
    package static let trafficPercent = MetricFamily.gauge(
        "sluice_traffic_percent",
        help: "The configured share of each revision.",
        labels: ["model", "revision"]
    )
    static let retries = MetricFamily.counter(
        "sluice_retries_total",
        help: "Requests sent to another backend, by reason.",
        labels: ["model", "revision", "reason"]
    )
    package static let cacheRequests = MetricFamily.counter(
        "sluice_cache_requests_total",
        help: "Requests that asked the cache, by tier and what came of it.",
        labels: ["model", "tier", "result"]
    )
    static let cacheRows = MetricFamily.counter(
        "sluice_cache_rows_total",
        help: "Rows of batches, by whether the cache had them (hit) or a backend was asked (miss).",
        labels: ["model", "result"]
    )
    static let rowFallbacks = MetricFamily.counter(
        "sluice_cache_row_fallbacks_total",
        help:
            "Requests of models with rows that were not answered by rows, by what stood in the way.",
        labels: ["model", "reason"]
    )
    package static let cacheBytes = MetricFamily.gauge(
        "sluice_cache_bytes",
        help: "Bytes of memory the cache takes, its books included.",
        labels: ["tier"]
    )
    package static let redisUp = MetricFamily.gauge(
        "sluice_redis_up",
        help: "1 while a worker's connection to Redis is in use, else 0."
    )
    package static let redisErrors = MetricFamily.counter(
        "sluice_redis_errors_total",
        help: "What went wrong with Redis: refused commands, failed attempts, lost connections.",
        labels: ["reason"]
    )
    static let connections = MetricFamily.gauge(
        "sluice_connections",
        help: "Open client connections.",
        labels: ["listener", "protocol"]
    )
    static let connectionsRefused = MetricFamily.counter(
        "sluice_connections_refused_total",
        help: "Connections closed at once, by reason.",
        labels: ["listener", "reason"]
    )
    static let connectionsShed = MetricFamily.counter(
        "sluice_connections_shed_total",
        help: "Connections closed at rest to make room for new ones, oldest rest first.",
        labels: ["listener"]
    )
    static let unreadable = MetricFamily.counter(
        "sluice_unreadable_requests_total",
        help: "Connections ended because what came was not HTTP.",
        labels: ["listener"]
    )
    package static let accessLogDropped = MetricFamily.counter(
        "sluice_access_log_dropped_total",
        help: "Access log lines that found no room or could not be written."
    )
    package static let logLinesDropped = MetricFamily.counter(
        "sluice_log_lines_dropped_total",
        help: "Lines that found no room or could not be written, by log: access or events.",
        labels: ["target"]
    )
    package static let reloads = MetricFamily.counter(
        "sluice_config_reloads_total",
        help: "Attempts to load a configuration.",
        labels: ["result"]
    )
    package static let nameLookUps = MetricFamily.counter(
        "sluice_dns_lookups_total",
        help: "Look-ups of `dns` backends' names, by outcome.",
        labels: ["name", "result"]
    )
    package static let buildInfo = MetricFamily.gauge(
        "sluice_build_info",
        help: "1, with the version that runs.",
        labels: ["version"]
    )
}

/// The series of one revision, each found in O(1) once it has been seen.
final class RevisionMetrics {
    let inFlight: GaugeID
    let requestBytes: CounterID
    let responseBytes: CounterID
    let backendDuration: HistogramID
    /// What a rollout judges by; nil where the model has one revision only.
    private(set) var answers: AnswerTally?
    let store: MetricStore
    private let codes: CodeTable
    let labels: [String]
    private let hold: MetricHold
    private var durations: [HistogramID?] = [nil, nil, nil, nil]
    private var blocks: [CodeBlock?] = [nil, nil, nil, nil]

    init(store: MetricStore, codes: CodeTable, model: String, revision: String) {
        self.store = store
        self.codes = codes
        labels = [model, revision]
        hold = store.hold(model: model, revision: revision)
        inFlight = store.gauge(GatewayMetrics.requestsInFlight, labels)
        requestBytes = store.counter(GatewayMetrics.requestBytes, labels)
        responseBytes = store.counter(GatewayMetrics.responseBytes, labels)
        backendDuration = store.histogram(GatewayMetrics.backendDuration, labels)
    }

    deinit {
        for block in blocks { if let block { codes.discard(block) } }
        if let answers {
            store.answers.discard(answers, model: labels[0], revision: labels[1])
        }
    }

    /// Counts answers for a rollout from now on.
    func countAnswers() {
        guard answers == nil else { return }
        answers = store.answers.makeTally(model: labels[0], revision: labels[1])
    }

    func duration(_ callerProtocol: RequestProtocol) -> HistogramID {
        if let known = durations[Int(callerProtocol.rawValue)] { return known }
        let made = store.histogram(GatewayMetrics.requestDuration, labels + [callerProtocol.label])
        durations[Int(callerProtocol.rawValue)] = made
        return made
    }

    func requests(_ callerProtocol: RequestProtocol, code: Int) -> CounterID {
        if let block = blocks[Int(callerProtocol.rawValue)] {
            return codes.counter(block, code: code)
        }
        let block = codes.makeBlock(
            GatewayMetrics.requests,
            labels + [callerProtocol.label],
            callerProtocol == .grpc ? .grpc : .http
        )
        blocks[Int(callerProtocol.rawValue)] = block
        return codes.counter(block, code: code)
    }

    func retries(reason: String) -> CounterID {
        store.counter(GatewayMetrics.retries, labels + [reason])
    }
}

/// The series of one backend of one revision.
final class BackendMetrics {
    private let codes: CodeTable
    private let labels: [String]
    private let hold: MetricHold
    private var http: CodeBlock?
    private var grpc: CodeBlock?

    init(
        store: MetricStore,
        codes: CodeTable,
        model: String,
        revision: String,
        backend: String
    ) {
        self.codes = codes
        hold = store.hold(model: model, revision: revision, backend: backend)
        labels = [model, revision, backend]
    }

    deinit {
        if let http { codes.discard(http) }
        if let grpc { codes.discard(grpc) }
    }

    func requests(_ callerProtocol: RequestProtocol, code: Int) -> CounterID {
        if callerProtocol == .grpc {
            let block = grpc ?? codes.makeBlock(GatewayMetrics.backendRequests, labels, .grpc)
            grpc = block
            return codes.counter(block, code: code)
        }
        let block = http ?? codes.makeBlock(GatewayMetrics.backendRequests, labels, .http)
        http = block
        return codes.counter(block, code: code)
    }
}
