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
            ("/", .unknown, "", ""), ("/v3/models", .unknown, "", ""),
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
        "Escapes are resolved unless they could hide something",
        arguments: [
            ("/v1/models/iris%3Apredict", "/v1/models/iris:predict"), ("/plain", nil),
            ("/a%2Fb", nil), ("/a%00b", nil), ("/a%4", nil), ("/a%zz", nil), ("/%C3%A4", "/ä"),
        ] as [(String, String?)]
    )
    func escapes(path: String, expected: String?) {
        let bytes = Array(path.utf8)
        let decoded = unsafe bytes.withUnsafeBytes { unsafe InferencePath.decoded($0) }
        #expect(decoded.map { String(decoding: $0, as: UTF8.self) } == expected)
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
