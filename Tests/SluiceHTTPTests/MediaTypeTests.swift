import SluiceHTTP
import Testing

@Suite("Media types")
struct MediaTypeTests {
    private func names(_ value: String, _ type: StaticString) -> Bool {
        unsafe Array(value.utf8).withUnsafeBytes { unsafe MediaType.names($0, type) }
    }

    private func isGRPC(_ value: String) -> Bool {
        unsafe Array(value.utf8).withUnsafeBytes { unsafe MediaType.isGRPC($0) }
    }

    @Test(
        "Type and subtype compare without regard to case, and parameters may follow (RFC 9110 §8.3.1)",
        arguments: [
            ("application/json", true), ("Application/JSON", true),
            ("application/json;charset=utf-8", true), ("APPLICATION/json ; charset=utf-8", true),
            ("application/json\t;a=b", true), ("application/jsonp", false),
            ("application/json+x", false), ("application/jso", false), ("", false),
        ]
    )
    func json(value: String, isOne: Bool) { #expect(names(value, "application/json") == isOne) }

    @Test(
        "gRPC's type may name how messages are encoded",
        arguments: [
            ("application/grpc", true), ("application/grpc+proto", true),
            ("Application/GRPC+json", true), ("application/grpc; a=b", true),
            ("application/grpc-web", false), ("application/grpcx", false),
            ("application/grp", false),
        ]
    )
    func grpc(value: String, isOne: Bool) { #expect(isGRPC(value) == isOne) }
}
