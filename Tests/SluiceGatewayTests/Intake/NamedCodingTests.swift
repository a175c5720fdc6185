import SluiceCompression
import SluiceGRPC
import SluiceHTTP
import SluiceTelemetry
import Testing

@testable import SluiceGateway

@Suite("How a body or message is coded, as its head says")
struct NamedCodingTests {
    private static func coding(_ values: [String]) -> NamedCoding {
        let head = Head(values.map { ("content-encoding", $0) })
        return NamedCoding(head.block, .contentEncoding)
    }

    @Test(
        "One field, in any spelling (RFC 9110 §8.4)",
        arguments: [
            ("", NamedCoding.none), ("identity", .none), ("Identity", .none), (" , ,", .none),
            ("gzip", .known(.gzip)), ("GZip", .known(.gzip)), ("x-gzip", .known(.gzip)),
            ("deflate", .known(.deflate)), ("identity, gzip", .known(.gzip)),
            ("gzip,\tidentity ,", .known(.gzip)), ("br", .unknown), ("gzip2", .unknown),
            ("gzip;q=1", .unknown),
            // One coding on top of another would have to be taken off first.
            ("gzip, gzip", .unknown), ("gzip, br", .unknown), ("br, gzip", .unknown),
        ]
    )
    func single(text: String, expected: NamedCoding) {
        #expect(Self.coding([text]) == expected)
    }

    @Test("Several fields are one list (RFC 9110 §5.3), and a field that was taken out is none")
    func several() {
        #expect(Self.coding([]) == .none)
        #expect(Self.coding(["identity", "gzip"]) == .known(.gzip))
        #expect(Self.coding(["gzip", "deflate"]) == .unknown)
        let head = Head([("content-encoding", "gzip"), ("content-encoding", "deflate")])
        head.block.remove(at: 0)
        #expect(NamedCoding(head.block, .contentEncoding) == .known(.deflate))
        #expect(NamedCoding(head.block, .grpcEncoding) == .none)
    }

    @Test("A coded body that can't be read asks for codings that can (RFC 9110 §15.5.16)")
    func unreadable() {
        let body = ErrorReply.codedBody(Head([("content-encoding", "br")]).block)
        #expect(body.http == 415 && body.grpc == .unimplemented && body.wantsKnownCoding)
        #expect(body.sentence.contains("'br'"))
        let message = ErrorReply.compressedMessage(Head([("grpc-encoding", "snappy")]).block)
        #expect(message.grpc == .unimplemented && message.wantsKnownCoding)
        #expect(message.sentence.contains("'snappy'"))
        // The flag is set and no coding named: ill-formed (gRPC Compression, "Specification").
        let bare = ErrorReply.compressedMessage(Head().block)
        #expect(bare.grpc == .internal && bare.http == 400 && !bare.wantsKnownCoding)
        // Its head is gone, so that nothing can be said of it.
        #expect(ErrorReply.compressedMessage(nil).grpc == .unimplemented)
    }

    @Test("A body that can't be decoded is its sender's fault, an answer the backend's")
    func undecodable() {
        let table: [(InflateFailure, Int, GRPCStatus, Reason)] = [
            (.malformed(reason: "so"), 400, .internal, .badRequest),
            (.truncated, 400, .internal, .badRequest),
            (.tooLarge(limit: 9), 413, .resourceExhausted, .tooLarge),
            (.tooDense, 413, .resourceExhausted, .tooLarge),
            (.outOfMemory, 503, .resourceExhausted, .overload),
        ]
        for (failure, http, grpc, reason) in table {
            let reply = ErrorReply.undecodable(failure, .gzip)
            #expect(reply.http == http && reply.grpc == grpc && reply.reason == reason)
            let answer = ErrorReply.answerUndecodable(failure, .gzip)
            #expect(answer.http == 502 && answer.reason == .backendProtocolError)
            #expect(answer.sentence.hasSuffix(failure.sentence))
        }
        #expect(InflateFailure.tooLarge(limit: 9).sentence.contains("limits.maxRequestBytes"))
    }
}
