import SluiceInference
import Testing

@Suite("Inference paths")
struct PathTests {
    @Test(
        "Every path of V1 and V2 says what it asks for",
        arguments: [
            ("/v1/models", .v1List, "", ""), ("/v1/models/iris", .v1Status, "iris", ""),
            ("/v1/models/iris:predict", .v1Predict, "iris", ""),
            ("/v1/models/iris/versions/3:predict", .v1Predict, "iris", "3"),
            ("/v1/models/iris/labels/stable:predict", .v1Predict, "iris", "stable"),
            ("/v1/models/iris/versions/3", .v1Status, "iris", "3"),
            ("/v1/models/iris/metadata", .v1Metadata, "iris", ""),
            ("/v1/models/iris:explain", .v1Explain, "iris", ""),
            ("/v1/models/iris:dance", .unknown, "iris", ""), ("/v2", .v2Server, "", ""),
            ("/v2/", .v2Server, "", ""), ("/v2/health/live", .v2Live, "", ""),
            ("/v2/health/ready", .v2Ready, "", ""), ("/v2/models", .v2List, "", ""),
            ("/v2/models/iris", .v2Model, "iris", ""),
            ("/v2/models/iris/infer", .v2Infer, "iris", ""),
            ("/v2/models/iris/infer?x=1", .v2Infer, "iris", ""),
            ("/v2/models/iris/versions/1/infer", .v2Infer, "iris", "1"),
            ("/v2/models/iris/ready", .v2ModelReady, "iris", ""),
            ("/v2/models/a.b-c_d/config", .v2Config, "a.b-c_d", ""),
            ("/v2/models/iris/stats", .v2Stats, "iris", ""),
            ("/v2/repository/index", .v2RepositoryIndex, "", ""),
            ("/v2/repository/models/iris/load", .v2RepositoryLoad, "iris", ""),
            ("/serving/ns/isvc/v2/models/iris/infer", .v2Infer, "iris", ""),
            ("/serving/ns/isvc/v1/models/iris:predict", .v1Predict, "iris", ""),
            ("/", .v1Live, "", ""), ("/?a", .v1Live, "", ""), ("*", .unknown, "", ""),
            ("/v3/models", .unknown, "", ""),
            ("/v2/models//infer", .unknown, "", ""),
            ("/v2/models/iris/infer/x", .unknown, "iris", ""),
            ("/v2/health", .unknown, "", ""), ("/a/b/c/d/e/f/g/h/i/j/k/l/m/n", .unknown, "", ""),
        ] as [(String, InferencePath.Operation, String, String)]
    )
    func table(path: String, operation: InferencePath.Operation, model: String, version: String) {
        let bytes = Array(path.utf8)
        let parsed = unsafe bytes.withUnsafeBytes { unsafe InferencePath($0) }
        #expect(parsed.operation == operation)
        guard operation != .unknown else { return }
        #expect(String(decoding: bytes[parsed.model], as: UTF8.self) == model)
        #expect(String(decoding: bytes[parsed.version], as: UTF8.self) == version)
    }

    @Test(
        "Escapes that need not be are resolved, others stay, and a query stays byte for byte",
        arguments: [
            ("/v1/models/iris%3Apredict", "/v1/models/iris:predict"), ("/plain", "/plain"),
            ("/v2/models/my%20model/infer", "/v2/models/my%20model/infer"),
            ("/%c3%a4", "/%C3%A4"), ("/a%25b", "/a%25b"), ("/%41%2d%7E", "/A-~"),
            ("/m?user=a%20b&x=%2F%00%zz", "/m?user=a%20b&x=%2F%00%zz"),
            ("/m%3Apredict?next=%3A", "/m:predict?next=%3A"),
            ("/a%2Fb", nil), ("/a%00b", nil), ("/a%0d%0ab", nil), ("/a%7f", nil), ("/a%4", nil),
            ("/a%zz", nil), ("/a%", nil), ("/a%4?b", nil), ("/a/%2e%2E/b", nil), ("/a/%2e", nil),
            ("/a/b%2e%2e", "/a/b.."),
        ] as [(String, String?)]
    )
    func escapes(path: String, expected: String?) {
        let bytes = Array(path.utf8)
        let normalized = unsafe bytes.withUnsafeBytes { unsafe InferencePath.normalized($0) }
        #expect(normalized.map { String(decoding: $0, as: UTF8.self) } == expected)
    }

    @Test(
        "A name in a path stands for the same name again",
        arguments: ["iris", "my model", "größe", "模型", "a%b", "a:b", "a/b?c#d", "", "\u{0}\n"]
    )
    func names(name: String) {
        let segment = PathSegment.escaped(name)
        #expect(segment.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7F && $0 != UInt8(ascii: "/") })
        let bytes = Array(segment.utf8)
        let back = unsafe bytes.withUnsafeBytes { unsafe InferencePath.name($0) }
        #expect(String(decoding: back, as: UTF8.self) == name)
    }

    @Test(
        "Cutting a path anywhere is safe",
        arguments: ["/serving/a/b/v2/models/m/versions/1/infer", "/v1/models/m/labels/x:predict"]
    )
    func cuts(path: String) {
        let bytes = Array(path.utf8)
        for end in 1...bytes.count {
            let parsed = unsafe bytes[..<end].withUnsafeBytes { unsafe InferencePath($0) }
            #expect(parsed.model.upperBound <= end && parsed.version.upperBound <= end)
        }
    }
}
