/// What an attempt says of the backend that was tried; whose fault a failure is, in other words.
package enum BackendOutcome: UInt8, BitwiseCopyable, Sendable, CaseIterable {
    /// Nothing: the caller left, or the gateway changed its mind.
    case unknown
    /// It answered; refusals that are the caller's fault are answers as well.
    case served
    /// It said that it has too much to do (429, `RESOURCE_EXHAUSTED`).
    case overloaded
    /// It failed on this request (500, `INTERNAL`): perhaps the request's fault, so that one
    /// poisonous input, sent again and again, must not take the backends out one by one.
    case failed
    /// No connection came about.
    case connectFailed
    /// It broke the call off.
    case reset
    /// 502, 503, 504 or `UNAVAILABLE`: it, or what stands before it, can't serve.
    case unavailable
    /// It had its time and said nothing.
    case timedOut

    /// Whether a row of these takes a backend out.
    package var countsForEjection: Bool { rawValue >= BackendOutcome.connectFailed.rawValue }

    /// What an HTTP status says.
    package init(http status: Int) { self.init(AnswerKind(http: status)) }

    /// What a gRPC status code says.
    package init(grpc code: Int) { self.init(AnswerKind(grpc: code)) }

    @inline(__always)
    private init(_ kind: AnswerKind) {
        self =
            switch kind {
            case .good, .callersFault, .unserved: .served
            case .overloaded: .overloaded
            case .failed: .failed
            case .unavailable: .unavailable
            }
    }

    /// What it is called in metrics.
    package var label: String {
        switch self {
        case .unknown: "unknown"
        case .served: "served"
        case .overloaded: "overloaded"
        case .failed: "failed"
        case .connectFailed: "connect"
        case .reset: "reset"
        case .unavailable: "unavailable"
        case .timedOut: "timeout"
        }
    }
}
