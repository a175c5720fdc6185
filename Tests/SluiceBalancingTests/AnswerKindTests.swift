import SluiceBalancing
import Testing

/// RFC 9110 §15, and gRPC's "Status codes and their use in gRPC".
@Suite("What a backend's status says of it")
struct AnswerKindTests {
    @Test(
        "An HTTP status is of one kind",
        arguments: [
            (0, AnswerKind.unserved), (100, .good), (200, .good), (304, .good),
            (399, .good), (400, .callersFault), (401, .callersFault), (404, .unserved),
            (408, .unserved), (413, .callersFault), (422, .callersFault), (429, .overloaded),
            (499, .callersFault), (500, .failed), (501, .failed), (502, .unavailable),
            (503, .unavailable), (504, .unavailable), (505, .failed), (599, .failed),
            (600, .failed),
        ]
    )
    func http(status: Int, kind: AnswerKind) {
        #expect(AnswerKind(http: status) == kind)
    }

    @Test("A gRPC code is of one kind")
    func grpc() {
        let kinds: [AnswerKind] = [
            .good, .callersFault, .failed, .callersFault, .unserved, .unserved, .callersFault,
            .callersFault, .overloaded, .callersFault, .unserved, .callersFault, .unserved,
            .failed, .unavailable, .failed, .callersFault,
        ]
        for (code, kind) in kinds.enumerated() {
            #expect(AnswerKind(grpc: code) == kind, "gRPC code \(code)")
        }
        #expect(AnswerKind(grpc: 200) == .unserved)
    }
}
