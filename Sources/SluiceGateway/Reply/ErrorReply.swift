import SluiceCore
import SluiceEgress
import SluiceGRPC
import SluiceHTTP
import SluiceInference
import SluiceTelemetry

/// Why the gateway answers in a backend's place, or refuses: what it tells each kind of caller.
///
/// This is the one table from failure to HTTP status, gRPC code, sentence and log reason
/// (`protocols.md` §4 for the codes).
struct ErrorReply {
    let http: Int
    let grpc: GRPCStatus
    let reason: Reason
    let sentence: String
    /// The methods a path takes, for 405.
    var allow: StaticString = ""
    /// When trying again makes sense, for 429 and 503.
    var retryAfterSeconds = 0
    /// Whether the body's coding is at fault, so that the answer says which ones are read.
    var wantsKnownCoding = false

    // MARK: - The caller's side

    static func badRequest(_ sentence: String) -> ErrorReply {
        ErrorReply(http: 400, grpc: .invalidArgument, reason: .badRequest, sentence: sentence)
    }

    static func badTimeout(_ sentence: String) -> ErrorReply {
        ErrorReply(http: 400, grpc: .internal, reason: .badRequest, sentence: sentence)
    }

    static func notFound(_ sentence: String) -> ErrorReply {
        ErrorReply(http: 404, grpc: .notFound, reason: .noRoute, sentence: sentence)
    }

    static func unimplemented(_ sentence: String) -> ErrorReply {
        ErrorReply(http: 501, grpc: .unimplemented, reason: .noRoute, sentence: sentence)
    }

    static func noSuchMethod(_ path: UnsafeRawBufferPointer) -> ErrorReply {
        let shown = unsafe String(decoding: path.prefix(200), as: UTF8.self)
        return unimplemented(
            "no such method here: \(shown); predictions go to /inference.GRPCInferenceService/ModelInfer"
        )
    }

    /// The failure of a call that others made in this caller's place.
    static func shared(
        http: Int,
        grpc: GRPCStatus,
        reason: Reason,
        _ sentence: String
    ) -> ErrorReply {
        ErrorReply(
            http: http >= 400 ? http : 502,
            grpc: grpc == .ok ? .unavailable : grpc,
            reason: reason,
            sentence: sentence
        )
    }

    static func untranslatable(_ failure: InferenceFailure) -> ErrorReply {
        ErrorReply(
            http: StatusTable.http(failure.kind),
            grpc: GRPCStatus(rawValue: StatusTable.grpc(failure.kind)) ?? .internal,
            reason: failure.kind == .invalid ? .badRequest : .untranslatable,
            sentence: failure.sentence
        )
    }

    static func answerUntranslatable(_ failure: InferenceFailure) -> ErrorReply {
        ErrorReply(
            http: 502,
            grpc: .internal,
            reason: .backendProtocolError,
            sentence:
                "the backend's answer can't be told in the caller's protocol: \(failure.sentence)"
        )
    }

    static func answerTooLarge(limit: Int) -> ErrorReply {
        ErrorReply(
            http: 502,
            grpc: .resourceExhausted,
            reason: .tooLarge,
            sentence:
                "the answer, which must be whole to be translated, exceeds \(limit) bytes (limits.maxRequestBytes)"
        )
    }

    /// A backend's own refusal over gRPC, for a REST caller.
    static func backendStatus(grpc code: Int, _ sentence: String) -> ErrorReply {
        ErrorReply(
            http: StatusTable.http(grpc: code),
            grpc: GRPCStatus(rawValue: code) ?? .unknown,
            reason: .ok,
            sentence: sentence.isEmpty ? "the backend answered \(code) without a reason" : sentence
        )
    }

    /// A backend's own refusal over REST, for a gRPC caller.
    static func backendStatus(http status: Int, _ sentence: String) -> ErrorReply {
        ErrorReply(
            http: status,
            grpc: GRPCStatus(rawValue: StatusTable.grpc(http: status)) ?? .unknown,
            reason: .ok,
            sentence: sentence
        )
    }

    static func unknownModel(_ name: String) -> ErrorReply {
        ErrorReply(
            http: 404,
            grpc: .notFound,
            reason: .noRoute,
            sentence: "unknown model '\(name)'"
        )
    }

    static func undescribed(_ model: String) -> ErrorReply {
        notFound(
            "model '\(model)' has a V1 backend that doesn't describe its tensors; name them in the configuration (`tensors:`)"
        )
    }

    static func unknownRevision(_ name: String, of model: String, known: String) -> ErrorReply {
        ErrorReply(
            http: 404,
            grpc: .notFound,
            reason: .noRoute,
            sentence:
                "model '\(model)' has no revision '\(name)', which x-sluice-revision asks for; known: \(known)"
        )
    }

    static func methodNotAllowed(allow: StaticString) -> ErrorReply {
        ErrorReply(
            http: 405,
            grpc: .unimplemented,
            reason: .badRequest,
            sentence: "this path takes \(allow)",
            allow: allow
        )
    }

    static func unsupportedType(_ sentence: String) -> ErrorReply {
        ErrorReply(http: 415, grpc: .internal, reason: .badRequest, sentence: sentence)
    }

    static func bodyTooLarge(limit: Int) -> ErrorReply {
        ErrorReply(
            http: 413,
            grpc: .resourceExhausted,
            reason: .tooLarge,
            sentence: "the request's body exceeds \(limit) bytes (limits.maxRequestBytes)"
        )
    }

    static func headTooLarge(limit: Int) -> ErrorReply {
        ErrorReply(
            http: 431,
            grpc: .resourceExhausted,
            reason: .tooLarge,
            sentence: "the request's head exceeds \(limit) bytes (limits.maxHeaderBytes)"
        )
    }

    /// A head that the backend has said it won't take (RFC 9113 §10.5.1).
    static func headTooLarge(_ size: Int, maximum: Int) -> ErrorReply {
        ErrorReply(
            http: 431,
            grpc: .resourceExhausted,
            reason: .tooLarge,
            sentence:
                "the request's header fields count \(size) bytes (names, values and 32 for each field) and the backend takes \(maximum) (its SETTINGS_MAX_HEADER_LIST_SIZE)"
        )
    }

    static func unroutable(
        _ failure: RoutingScanner.Failure,
        _ scanner: RoutingScanner,
        _ snapshot: Snapshot,
        _ head: FieldBlock?
    ) -> ErrorReply {
        switch failure {
        case .malformed: badRequest("the message is not valid protobuf")
        case .duplicateName: badRequest("the message has model_name twice")
        case .nameTooLong:
            badRequest("model_name is longer than \(RoutingScanner.nameMaximum) bytes")
        case .tooLarge:
            ErrorReply(
                http: 413,
                grpc: .resourceExhausted,
                reason: .tooLarge,
                sentence:
                    "received message larger than max (\(scanner.messageLength) vs. \(snapshot.maxRequestBytes), limits.maxRequestBytes)"
            )
        case .secondMessage: badRequest("a unary call carries one message, not two")
        }
    }

    // MARK: - The backend's side

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
