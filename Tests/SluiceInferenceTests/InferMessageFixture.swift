import Foundation
import Testing

/// A ModelInferResponse and a ModelInferRequest as an independent implementation serializes them,
/// in base64; `Tests/fixtures/infer-messages.json` says by which.
struct InferMessageFixture: Decodable, Sendable {
    let datatype: String
    let shape: [Int]
    /// The tensor's little-endian bytes.
    let raw: String
    /// A ModelInferResponse with raw contents.
    let rawResponse: String
    /// The same with typed contents; empty where there are none.
    let typedResponse: String
    /// A ModelInferRequest with typed contents (raw for FP16 and BF16), parameters of every kind and
    /// requested outputs.
    let request: String

    private struct File: Decodable {
        let messages: [InferMessageFixture]
    }

    /// A fixture for each of 14 datatypes in each of four shapes.
    static func all() throws -> [InferMessageFixture] {
        let file = URL(filePath: #filePath).deletingLastPathComponent()
            .deletingLastPathComponent().appending(path: "fixtures/infer-messages.json")
        let all = try JSONDecoder().decode(File.self, from: Data(contentsOf: file)).messages
        try #require(all.count == 14 * 4, "fixtures are missing")
        return all
    }
}

extension InferMessageFixture: CustomTestStringConvertible {
    var testDescription: String { "\(datatype) \(shape)" }
}
