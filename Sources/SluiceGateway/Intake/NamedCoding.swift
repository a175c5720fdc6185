import SluiceCompression
import SluiceCore
import SluiceGRPC
import SluiceHTTP
import SluiceTelemetry

/// How a body or a message is coded, as its head says (RFC 9110 §8.4; gRPC's `grpc-encoding`).
enum NamedCoding: Equatable {
    /// As it is: `identity` is no coding, and neither is an empty member of the list.
    case none
    /// One that is read here.
    case known(ContentCoding)
    /// One that isn't, or several.
    case unknown

    /// What `field` of a head says: `content-encoding` or `grpc-encoding`.
    init(_ head: FieldBlock, _ field: FieldName) {
        self = .none
        guard let first = head.index(of: field) else { return }
        for index in first..<head.count
        where head[index].name == field && !head[index].isRemoved {
            unsafe add(head.value(of: head[index]))
        }
    }

    private mutating func add(_ list: UnsafeRawBufferPointer) {
        var found = self
        unsafe ListText.forEach(in: list) { name in
            guard unsafe !name.isEmpty, unsafe !ASCII.equal(name, ignoringCaseOf: "identity")
            else { return }
            // A coding on top of another would have to be taken off first.
            guard found == .none else {
                found = .unknown
                return
            }
            // RFC 9110 §8.4.1.3: `x-gzip` is another word for it.
            if unsafe ASCII.equal(name, ignoringCaseOf: "gzip")
                || ASCII.equal(name, ignoringCaseOf: "x-gzip")
            {
                found = .known(.gzip)
            } else if unsafe ASCII.equal(name, ignoringCaseOf: "deflate") {
                found = .known(.deflate)
            } else {
                found = .unknown
            }
        }
        self = found
    }

    /// The coding, if it is read here.
    var coding: ContentCoding? {
        if case .known(let coding) = self { coding } else { nil }
    }
}

extension ErrorReply {
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

extension InflateFailure {
    /// What is wrong, and which limit it is about.
    var sentence: String {
        switch self {
        case .malformed(let reason): "it is malformed (\(reason))"
        case .truncated: "it ends too early"
        case .tooLarge(let limit): "it becomes longer than \(limit) bytes (limits.maxRequestBytes)"
        case .tooDense:
            "it becomes more than \(Inflater.ratioMaximum) times as long as it is, which only bodies of up to \(Inflater.freeByteCount) bytes may"
        case .outOfMemory: "there is no memory for it"
        }
    }
}
