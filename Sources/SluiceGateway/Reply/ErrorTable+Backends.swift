import SluiceBalancing
import SluiceEgress
import SluiceGRPC
import SluiceHTTP
import SluiceTelemetry

// What callers are told where there is no room, no backend or no answer: one entry for each failure, with its HTTP status,
// gRPC code, log reason and sentence (`protocols.md` §4 for the codes).
extension ErrorReply {
    // MARK: - Room

    static func rateLimited(_ model: String, _ limit: RateLimit, nanoseconds: Int64) -> ErrorReply {
        let seconds = Int((nanoseconds + 999_999_999) / 1_000_000_000)
        let whose =
            switch limit.scope {
            case .model: ""
            case .client: " from one address"
            case .header(let name): " with the same \(name)"
            }
        return ErrorReply(
            http: 429,
            grpc: .resourceExhausted,
            reason: .rateLimited,
            sentence:
                "model '\(model)' takes \(limit.rateText) requests\(whose) (rateLimit); try again in \(seconds) s",
            retryAfterSeconds: seconds
        )
    }

    static let shortOfMemory = ErrorReply(
        http: 503,
        grpc: .unavailable,
        reason: .overload,
        sentence: "the gateway is short of memory (limits.maxMemory)",
        retryAfterSeconds: 1
    )

    static func crowded(_ limit: Int) -> ErrorReply {
        ErrorReply(
            http: 503,
            grpc: .unavailable,
            reason: .overload,
            sentence:
                "\(limit) requests are at this revision's backends, as many as they answer in good time (adaptiveConcurrency)",
            retryAfterSeconds: 1
        )
    }

    // MARK: - Backends

    /// `revision` is named where the model has several and this one alone may answer.
    static func noBackend(_ model: String, revision: String? = nil) -> ErrorReply {
        let name = revision.map { "revision '\($0)' of model '\(model)'" } ?? "model '\(model)'"
        return ErrorReply(
            http: 503,
            grpc: .unavailable,
            reason: .noHealthyBackend,
            sentence: "no healthy backend for \(name)",
            retryAfterSeconds: 1
        )
    }

    static func connectFailed(_ model: String) -> ErrorReply {
        ErrorReply(
            http: 503,
            grpc: .unavailable,
            reason: .connectFailure,
            sentence: "no backend of model '\(model)' accepts connections",
            retryAfterSeconds: 1
        )
    }

    static func noSuchProtocol(_ model: String, _ name: String) -> ErrorReply {
        ErrorReply(
            http: 501,
            grpc: .unimplemented,
            reason: .noRoute,
            sentence:
                "model '\(model)' has no \(name) backend, and only predictions and metadata are translated between REST and gRPC"
        )
    }

    static func overloaded(_ backend: String) -> ErrorReply {
        ErrorReply(
            http: 503,
            grpc: .unavailable,
            reason: .overload,
            sentence: "too many requests wait for a connection to \(backend)",
            retryAfterSeconds: 1
        )
    }

    static func queueFull(_ maximum: Int) -> ErrorReply {
        ErrorReply(
            http: 503,
            grpc: .unavailable,
            reason: .overflow,
            sentence: "\(maximum) requests wait for this model already (maxQueue)",
            retryAfterSeconds: 1
        )
    }

    static func queueTimeout(_ time: Duration) -> ErrorReply {
        ErrorReply(
            http: 503,
            grpc: .unavailable,
            reason: .overflow,
            sentence: "no backend had room within \(time) (queueTimeout)",
            retryAfterSeconds: 1
        )
    }

    static func deadline(_ timeout: Duration) -> ErrorReply {
        ErrorReply(
            http: 504,
            grpc: .deadlineExceeded,
            reason: .timeout,
            sentence: "no answer within \(timeout)"
        )
    }

    /// A single gRPC call whose message hasn't come, and which has no deadline of its own yet.
    static let lateMessage = ErrorReply(
        http: 408,
        grpc: .deadlineExceeded,
        reason: .timeout,
        sentence: "the request's message did not come within limits.bodyTimeout"
    )

    static func notGRPC(status: Int) -> ErrorReply {
        ErrorReply(
            http: 502,
            grpc: GRPCStatus(httpStatus: status),
            reason: .backendProtocolError,
            sentence: "the backend answered HTTP \(status) instead of gRPC"
        )
    }

    static func backendFailed(_ failure: CallFailure) -> ErrorReply {
        switch failure {
        case .connectFailed(let text):
            ErrorReply(
                http: 503,
                grpc: .unavailable,
                reason: .connectFailure,
                sentence: "the backend can't be reached: \(text)"
            )
        case .poolFull: overloaded("the backend")
        case .refused:
            ErrorReply(
                http: 503,
                grpc: .unavailable,
                reason: .backendReset,
                sentence: "the backend refused the request before working on it",
                retryAfterSeconds: 1
            )
        case .reset(let code):
            ErrorReply(
                http: 502,
                grpc: code == .cancel ? .cancelled : .unavailable,
                reason: .backendReset,
                sentence: "the backend reset the request (\(code))"
            )
        case .resetByUs(let code, let reason):
            ErrorReply(
                http: 502,
                grpc: .internal,
                reason: .localReset,
                sentence: "the gateway reset its request to the backend (\(code)): \(reason)"
            )
        case .connectionLost(let text), .staleConnection(let text):
            ErrorReply(
                http: 502,
                grpc: .unavailable,
                reason: .backendReset,
                sentence: "the backend's connection was lost: \(text)"
            )
        case .malformed(let text):
            ErrorReply(
                http: 502,
                grpc: .internal,
                reason: .backendProtocolError,
                sentence: "the backend's answer is not HTTP: \(text)"
            )
        }
    }
}
