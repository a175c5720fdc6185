import SluiceCompression
import SluiceGRPC
import SluiceHTTP
import SluiceInference
import SluiceTelemetry

// What callers are told about their own requests: one entry for each failure, with its HTTP status, gRPC code, log reason
// and sentence (`protocols.md` §4 for the codes).
extension ErrorReply {
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

    // MARK: - Codings

    /// A body whose coding isn't read here, but would have to be (RFC 9110 §15.5.16).
    static func codedBody(_ head: FieldBlock) -> ErrorReply {
        let coding = head.text(.contentEncoding) ?? ""
        return ErrorReply(
            http: 415,
            grpc: .unimplemented,
            reason: .badRequest,
            sentence:
                "a body with content-encoding '\(coding)' can't be read for this model's backends; send gzip, deflate or neither",
            wantsKnownCoding: true
        )
    }

    /// A gRPC message with its compressed flag set, which has to be read, in a coding that isn't read
    /// here; `head` is the request's, where it is still here.
    ///
    /// Without a `grpc-encoding` that says how it is compressed, the message is ill-formed (gRPC
    /// Compression, "Specification").
    static func compressedMessage(_ head: FieldBlock?) -> ErrorReply {
        if let head, NamedCoding(head, .grpcEncoding) == .none {
            return ErrorReply(
                http: 400,
                grpc: .internal,
                reason: .badRequest,
                sentence: "the message's compressed flag is set, but grpc-encoding names no coding"
            )
        }
        let coding = head?.text(.grpcEncoding).map { " with '\($0)'" } ?? ""
        return ErrorReply(
            http: 501,
            grpc: .unimplemented,
            reason: .badRequest,
            sentence:
                "messages compressed\(coding) can't be read here; use gzip, deflate or neither",
            wantsKnownCoding: true
        )
    }

    /// A request that isn't what its coding says, or would be too long.
    static func undecodable(_ failure: InflateFailure, _ coding: ContentCoding) -> ErrorReply {
        let isTooLong =
            switch failure {
            case .tooLarge, .tooDense: true
            default: false
            }
        return ErrorReply(
            http: isTooLong ? 413 : failure == .outOfMemory ? 503 : 400,
            grpc: isTooLong || failure == .outOfMemory ? .resourceExhausted : .internal,
            reason: isTooLong ? .tooLarge : failure == .outOfMemory ? .overload : .badRequest,
            sentence: "the \(coding) body can't be decoded: \(failure.sentence)"
        )
    }

    /// An answer that isn't what its coding says, or would be too long.
    static func answerUndecodable(_ failure: InflateFailure, _ coding: ContentCoding) -> ErrorReply
    {
        ErrorReply(
            http: 502,
            grpc: .internal,
            reason: .backendProtocolError,
            sentence: "the backend's \(coding) answer can't be decoded: \(failure.sentence)"
        )
    }

    /// An answer that must be read, in a coding that isn't read here.
    static func answerCoded(_ coding: String) -> ErrorReply {
        ErrorReply(
            http: 502,
            grpc: .internal,
            reason: .backendProtocolError,
            sentence:
                "the backend's answer has content-encoding '\(coding)', which can't be read here; it wasn't asked to compress"
        )
    }
}
