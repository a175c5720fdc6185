import SluiceCore
import SluiceGRPC
import SluiceHTTP
import SluiceTelemetry

/// What a request says of how its body is coded (RFC 9110 §8.4; gRPC's `grpc-encoding`).
enum ContentCoding {
    /// Whether a body has to be decoded before anybody can read it.
    ///
    /// `identity` is no coding, and neither is an empty member of the list.
    static func isCoded(_ head: FieldBlock) -> Bool {
        guard let first = head.index(of: .contentEncoding) else { return false }
        for index in first..<head.count
        where head[index].name == .contentEncoding && !head[index].isRemoved {
            if unsafe namesCoding(head.value(of: head[index])) { return true }
        }
        return false
    }

    /// Whether a list of codings has one that changes anything.
    static func namesCoding(_ list: UnsafeRawBufferPointer) -> Bool {
        var names = false
        unsafe ListText.forEach(in: list) { coding in
            if unsafe !coding.isEmpty, unsafe !ASCII.equal(coding, ignoringCaseOf: "identity") {
                names = true
            }
        }
        return names
    }
}

extension Refusal {
    /// A body that would have to be decoded to be told in the backend's protocol (RFC 9110
    /// §15.5.16).
    static func codedBody(_ head: FieldBlock) -> Refusal {
        let coding = head.text(.contentEncoding) ?? ""
        return Refusal(
            http: 415,
            grpc: .unimplemented,
            why: .badRequest,
            sentence:
                "the model's backend speaks another protocol, and a body with content-encoding '\(coding)' can't be translated; send it without",
            wantsUncoded: true
        )
    }

    /// A gRPC message with its compressed flag set, which has to be read to be routed; `head` is the
    /// request's, where it is still here.
    ///
    /// Without a `grpc-encoding` that says how it is compressed, the message is ill-formed (gRPC
    /// Compression, "Specification").
    static func compressedMessage(_ head: FieldBlock?) -> Refusal {
        if let head, unsafe head.first(.grpcEncoding).map(ContentCoding.namesCoding) != true {
            return Refusal(
                http: 400,
                grpc: .internal,
                why: .badRequest,
                sentence: "the message's compressed flag is set, but grpc-encoding names no coding"
            )
        }
        return Refusal(
            http: 501,
            grpc: .unimplemented,
            why: .badRequest,
            sentence: "compressed messages can't be read here; send them uncompressed",
            wantsUncoded: true
        )
    }
}
