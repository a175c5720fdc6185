import SluiceInference
import Testing

@testable import SluiceGateway

@Suite("REST paths that were read last")
struct PathMemoTests {
    private static func parse(_ text: String) -> InferencePath {
        unsafe Array(text.utf8).withUnsafeBytes { unsafe InferencePath($0) }
    }

    private static func find(_ memo: PathMemo, _ text: String) -> InferencePath? {
        unsafe Array(text.utf8).withUnsafeBytes { unsafe memo.find($0) }
    }

    /// Looks, and keeps what isn't found, as the intake does; whether it was found.
    private static func visit(_ memo: PathMemo, _ text: String) -> Bool {
        if find(memo, text) != nil { return true }
        unsafe Array(text.utf8).withUnsafeBytes { unsafe memo.keep($0, parse(text)) }
        return false
    }

    @Test("What is found is what was read, with a query or without")
    func found() throws {
        let memo = PathMemo()
        defer { memo.deallocate() }
        #expect(!Self.visit(memo, "/v2/models/iris/infer?x=1"))
        let path = try #require(Self.find(memo, "/v2/models/iris/infer"))
        #expect(path.operation == .v2Infer)
        let text = Array("/v2/models/iris/infer".utf8)
        #expect(text[path.model].elementsEqual("iris".utf8))
        #expect(Self.find(memo, "/v2/models/iris/infer?y=2")?.operation == .v2Infer)
    }

    @Test("A path that only begins or ends alike isn't taken for it")
    func alike() {
        let memo = PathMemo()
        defer { memo.deallocate() }
        _ = Self.visit(memo, "/v2/models/iris/infer")
        for other in [
            "/v2/models/iris/infe", "/v2/models/iris/inferx", "/v2/models/iris/infer/",
            "/v2/models/irix/infer", "/v2/models/iris", "/", "", "?",
        ] { #expect(Self.find(memo, other) == nil, "\(other)") }
    }

    @Test("Every length is told from every other, up to the bound, and longer ones aren't kept")
    func lengths() {
        for length in [8, 15, 16, 17, 31, 32, 33, 63, 64, 65, 127, 128, 129, 300] {
            let memo = PathMemo()
            defer { memo.deallocate() }
            let text = "/v2/models/" + String(repeating: "m", count: max(0, length - 11))
            _ = Self.visit(memo, text)
            #expect((Self.find(memo, text) != nil) == (text.utf8.count <= 128), "\(length)")
            // One byte that differs, at either end.
            #expect(Self.find(memo, String(text.dropLast()) + "n") == nil)
            #expect(Self.find(memo, "!" + text.dropFirst()) == nil)
        }
    }

    @Test("Of more than eight paths those that come again stay")
    func gaveWay() {
        let memo = PathMemo()
        defer { memo.deallocate() }
        for number in 0..<8 { _ = Self.visit(memo, "/v2/models/m\(number)/infer") }
        for number in 0..<8 { #expect(Self.visit(memo, "/v2/models/m\(number)/infer")) }
        // Two that are asked over and over, among others that come once. The hand's first round may take one.
        var missed = 0
        for number in 8..<60 {
            _ = Self.visit(memo, "/v2/models/m\(number)/infer")
            for path in ["/v2/models/m0/infer", "/v2/models/m1/infer"] where !Self.visit(memo, path)
            {
                missed += 1
            }
        }
        #expect(missed <= 2)
    }
}
