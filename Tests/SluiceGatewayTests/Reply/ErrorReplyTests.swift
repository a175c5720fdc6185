import SluiceCompression
import SluiceEgress
import SluiceGRPC
import SluiceHTTP
import SluiceInference
import SluiceTelemetry
import Testing

@testable import SluiceGateway

@Suite("What each kind of caller is told in a backend's place")
struct ErrorReplyTests {
    /// A refusal and the whole row of it.
    struct Row: Sendable, CustomTestStringConvertible {
        let name: String
        let make: @Sendable () -> ErrorReply
        let http: Int
        let grpc: GRPCStatus
        let reason: Reason
        let sentence: String
        var retryAfter = 0

        init(
            _ name: String,
            _ http: Int,
            _ grpc: GRPCStatus,
            _ reason: Reason,
            _ sentence: String,
            retryAfter: Int = 0,
            _ make: @escaping @Sendable () -> ErrorReply
        ) {
            self.name = name
            self.make = make
            self.http = http
            self.grpc = grpc
            self.reason = reason
            self.sentence = sentence
            self.retryAfter = retryAfter
        }

        var testDescription: String { name }
    }

    /// The caller's side.
    static let callers = [
        Row("bad request", 400, .invalidArgument, .badRequest, "so") { .badRequest("so") },
        // gRPC over HTTP/2: what can't be read of `grpc-timeout` is INTERNAL in every library.
        Row("bad timeout", 400, .internal, .badRequest, "so") { .badTimeout("so") },
        Row("not found", 404, .notFound, .noRoute, "so") { .notFound("so") },
        Row("unimplemented", 501, .unimplemented, .noRoute, "so") { .unimplemented("so") },
        Row(
            "no such method",
            501,
            .unimplemented,
            .noRoute,
            "no such method here: /a.B/C; predictions go to /inference.GRPCInferenceService/ModelInfer"
        ) { unsafe Array("/a.B/C".utf8).withUnsafeBytes { unsafe .noSuchMethod($0) } },
        Row("unknown model", 404, .notFound, .noRoute, "unknown model 'm'") { .unknownModel("m") },
        Row(
            "undescribed",
            404,
            .notFound,
            .noRoute,
            "model 'm' has a V1 backend that doesn't describe its tensors; name them in the configuration (`tensors:`)"
        ) { .undescribed("m") },
        Row(
            "unknown revision",
            404,
            .notFound,
            .noRoute,
            "model 'm' has no revision 'v9', which x-sluice-revision asks for; known: v1, v2"
        ) { .unknownRevision("v9", of: "m", known: "v1, v2") },
        Row("method", 405, .unimplemented, .badRequest, "this path takes POST") {
            .methodNotAllowed(allow: "POST")
        },
        Row("type", 415, .internal, .badRequest, "so") { .unsupportedType("so") },
        Row(
            "body too large",
            413,
            .resourceExhausted,
            .tooLarge,
            "the request's body exceeds 9 bytes (limits.maxRequestBytes)"
        ) { .bodyTooLarge(limit: 9) },
        Row(
            "head too large",
            431,
            .resourceExhausted,
            .tooLarge,
            "the request's head exceeds 9 bytes (limits.maxHeaderBytes)"
        ) { .headTooLarge(limit: 9) },
        Row("unreadable", 400, .invalidArgument, .badRequest, "so") {
            .untranslatable(InferenceFailure("so", .invalid))
        },
        Row("inexpressible", 400, .unimplemented, .untranslatable, "so") {
            .untranslatable(InferenceFailure("so", .inexpressible))
        },
        Row(
            "no such protocol",
            501,
            .unimplemented,
            .noRoute,
            "model 'm' has no V1 backend, and only predictions and metadata are translated between REST and gRPC"
        ) { .noSuchProtocol("m", "V1") },
        Row(
            "late message",
            408,
            .deadlineExceeded,
            .timeout,
            "the request's message did not come within limits.bodyTimeout"
        ) { .lateMessage },
        Row("deadline", 504, .deadlineExceeded, .timeout, "no answer within 2.0 seconds") {
            .deadline(.seconds(2))
        },
    ]

    /// The backend's side.
    static let backends = [
        Row(
            "no backend",
            503,
            .unavailable,
            .noHealthyBackend,
            "no healthy backend for model 'm'",
            retryAfter: 1
        ) { .noBackend("m") },
        Row(
            "no backend of a revision",
            503,
            .unavailable,
            .noHealthyBackend,
            "no healthy backend for revision 'v2' of model 'm'",
            retryAfter: 1
        ) { .noBackend("m", revision: "v2") },
        Row(
            "connect failed",
            503,
            .unavailable,
            .connectFailure,
            "no backend of model 'm' accepts connections",
            retryAfter: 1
        ) { .connectFailed("m") },
        Row(
            "overloaded",
            503,
            .unavailable,
            .overload,
            "too many requests wait for a connection to b:1",
            retryAfter: 1
        ) { .overloaded("b:1") },
        Row(
            "queue full",
            503,
            .unavailable,
            .overflow,
            "7 requests wait for this model already (maxQueue)",
            retryAfter: 1
        ) { .queueFull(7) },
        Row(
            "queue timeout",
            503,
            .unavailable,
            .overflow,
            "no backend had room within 5.0 seconds (queueTimeout)",
            retryAfter: 1
        ) { .queueTimeout(.seconds(5)) },
        Row(
            "answer too large",
            502,
            .resourceExhausted,
            .tooLarge,
            "the answer, which must be whole to be translated, exceeds 9 bytes (limits.maxRequestBytes)"
        ) { .answerTooLarge(limit: 9) },
        Row(
            "answer untranslatable",
            502,
            .internal,
            .backendProtocolError,
            "the backend's answer can't be told in the caller's protocol: so"
        ) { .answerUntranslatable(InferenceFailure("so")) },
        Row(
            "not gRPC",
            502,
            .unavailable,
            .backendProtocolError,
            "the backend answered HTTP 503 instead of gRPC"
        ) { .notGRPC(status: 503) },
        Row(
            "unreachable",
            503,
            .unavailable,
            .connectFailure,
            "the backend can't be reached: so"
        ) { .backendFailed(.connectFailed("so")) },
        Row(
            "pool full",
            503,
            .unavailable,
            .overload,
            "too many requests wait for a connection to the backend",
            retryAfter: 1
        ) { .backendFailed(.poolFull) },
        Row(
            "refused",
            503,
            .unavailable,
            .backendReset,
            "the backend refused the request before working on it",
            retryAfter: 1
        ) { .backendFailed(.refused) },
        Row("lost", 502, .unavailable, .backendReset, "the backend's connection was lost: so") {
            .backendFailed(.connectionLost("so"))
        },
        Row("stale", 502, .unavailable, .backendReset, "the backend's connection was lost: so") {
            .backendFailed(.staleConnection("so"))
        },
        Row(
            "malformed",
            502,
            .internal,
            .backendProtocolError,
            "the backend's answer is not HTTP: so"
        ) { .backendFailed(.malformed("so")) },
        Row(
            "reset by us",
            502,
            .internal,
            .localReset,
            "the gateway reset its request to the backend (\(HTTP2ErrorCode.protocolError)): so"
        ) { .backendFailed(.resetByUs(.protocolError, "so")) },
    ]

    @Test("Each refusal has its status, code, reason and sentence", arguments: callers + backends)
    func row(row: Row) {
        let reply = row.make()
        #expect(reply.http == row.http)
        #expect(reply.grpc == row.grpc)
        #expect(reply.reason == row.reason)
        #expect(reply.sentence == row.sentence)
        #expect(reply.retryAfterSeconds == row.retryAfter)
        #expect(!reply.wantsKnownCoding)
    }

    @Test("Only 405 names methods, and it must (RFC 9110 §15.5.6)")
    func allow() {
        #expect(ErrorReply.methodNotAllowed(allow: "GET").allow.description == "GET")
        for row in Self.callers + Self.backends {
            #expect((row.http == 405) == (row.make().allow.utf8CodeUnitCount > 0))
        }
    }

    @Test(
        "A backend that cancels its own stream is CANCELLED to a gRPC caller, any other reset UNAVAILABLE"
    )
    func resets() {
        #expect(ErrorReply.backendFailed(.reset(.cancel)).grpc == .cancelled)
        for code in [HTTP2ErrorCode.internalError, .refusedStream, .enhanceYourCalm] {
            let reply = ErrorReply.backendFailed(.reset(code))
            #expect(reply.grpc == .unavailable && reply.http == 502)
            #expect(reply.reason == .backendReset)
        }
    }

    @Test(
        "A backend's status over gRPC keeps its code, and has the HTTP status of KServe's table",
        arguments: [
            (1, 499), (2, 500), (3, 400), (4, 504), (5, 404), (6, 409), (7, 403), (8, 429),
            (9, 400), (10, 409), (11, 400), (12, 501), (13, 500), (14, 503), (15, 500), (16, 401),
        ]
    )
    func statuses(code: Int, http: Int) {
        let reply = ErrorReply.backendStatus(grpc: code, "so")
        #expect(reply.http == http && reply.grpc.rawValue == code)
        // It is the model's word, not our failure.
        #expect(reply.reason == .ok && reply.sentence == "so")
    }

    @Test("A code that gRPC doesn't know is UNKNOWN, and no sentence is told as such")
    func unknownCode() {
        let reply = ErrorReply.backendStatus(grpc: 77, "")
        #expect(reply.grpc == .unknown && reply.http == 500)
        #expect(reply.sentence == "the backend answered 77 without a reason")
    }

    @Test("What others are told who waited for a call that failed is never a success")
    func shared() {
        let bare = ErrorReply.shared(http: 200, grpc: .ok, reason: .backendReset, "so")
        #expect(bare.http == 502 && bare.grpc == .unavailable && bare.reason == .backendReset)
        let told = ErrorReply.shared(http: 429, grpc: .resourceExhausted, reason: .overload, "so")
        #expect(told.http == 429 && told.grpc == .resourceExhausted)
    }

    @Test("A path in a sentence is cut at 200 bytes: it is the caller's to choose")
    func longPath() {
        let path = [UInt8](repeating: UInt8(ascii: "x"), count: 5_000)
        let reply = unsafe path.withUnsafeBytes { unsafe ErrorReply.noSuchMethod($0) }
        #expect(reply.sentence.utf8.count < 320)
    }

    @Test("What is wrong with a message is told by what its scanner found")
    func unroutable() {
        let snapshot = Snapshot(generation: 1, models: [], maxRequestBytes: 100)
        let scanner = RoutingScanner(nameField: 1, messageMaximum: 100, isStreaming: false)
        func reply(_ failure: RoutingScanner.Failure) -> ErrorReply {
            .unroutable(failure, scanner, snapshot, nil)
        }
        #expect(reply(.tooLarge).http == 413 && reply(.tooLarge).grpc == .resourceExhausted)
        // Callers of grpcio look for these words.
        #expect(reply(.tooLarge).sentence.hasPrefix("received message larger than max (0 vs. 100"))
        for failure in [
            RoutingScanner.Failure.malformed, .duplicateName, .nameTooLong, .secondMessage,
        ] {
            #expect(reply(failure).http == 400 && reply(failure).grpc == .invalidArgument)
        }
        let sentences = Set(
            [.malformed, .duplicateName, .nameTooLong, .secondMessage].map {
                reply($0).sentence
            }
        )
        #expect(sentences.count == 4)
    }
}
