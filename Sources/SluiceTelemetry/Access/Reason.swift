/// Why an exchange ended as it did: the closed list behind the access log's `reason`.
///
/// Each reason says whose doing it was; the status says only what the client was told.
package enum Reason: UInt8, BitwiseCopyable, CaseIterable, Sendable {
    /// Nothing to explain; log lines leave `reason` out.
    case ok
    /// No model or revision matches.
    case noRoute
    /// Every backend of the revision is unhealthy or ejected.
    case noHealthyBackend
    /// The revision's queue or a backend's cap was full.
    case overflow
    /// No connection to the backend came about.
    case connectFailure
    /// The backend broke off the exchange.
    case backendReset
    /// The backend's own answer is a failure, passed on as it came.
    case backendError
    /// We broke off the exchange with the backend.
    case localReset
    /// The backend's answer was against its protocol.
    case backendProtocolError
    /// The deadline passed.
    case timeout
    /// Retries were spent, by count or by budget.
    case retryLimit
    /// The client left before the answer was complete; the status is 0 when none was sent.
    case clientGone
    /// The client broke its protocol.
    case protocolError
    /// The head or body is above a limit.
    case tooLarge
    /// The request was well framed but can't be understood.
    case badRequest
    /// The backend's protocol can't express the request.
    case untranslatable
    /// The caller's rate is spent.
    case rateLimited
    /// The caller isn't known or not allowed.
    case unauthorized
    /// The gateway shed load.
    case overload
    /// Nothing moved for too long.
    case idleTimeout
    /// The gateway is draining.
    case draining
    /// A mirrored or surplus exchange was dropped on purpose.
    case drop
    /// The gateway's own mistake.
    case internalError

    /// The value of `reason`, and of metric labels that name a reason.
    package var name: StaticString {
        switch self {
        case .ok: "ok"
        case .noRoute: "no_route"
        case .noHealthyBackend: "no_healthy_backend"
        case .overflow: "overflow"
        case .connectFailure: "connect_failure"
        case .backendReset: "backend_reset"
        case .backendError: "backend_error"
        case .localReset: "local_reset"
        case .backendProtocolError: "backend_protocol_error"
        case .timeout: "timeout"
        case .retryLimit: "retry_limit"
        case .clientGone: "client_gone"
        case .protocolError: "protocol_error"
        case .tooLarge: "too_large"
        case .badRequest: "bad_request"
        case .untranslatable: "untranslatable"
        case .rateLimited: "rate_limited"
        case .unauthorized: "unauthorized"
        case .overload: "overload"
        case .idleTimeout: "idle_timeout"
        case .draining: "draining"
        case .drop: "drop"
        case .internalError: "internal_error"
        }
    }
}
