import SluiceConfiguration
import SluiceInference
import Testing

@Suite("Configuration of tensors and dialects")
struct TensorConfigurationTests {
    private static func file(_ tensors: String, revision: String = "") -> String {
        """
        listeners: [{address: 127.0.0.1:8080}]
        models:
          - name: iris
            tensors: \(tensors)
            revisions: [{name: v1\(revision), backends: [{rest: "http://127.0.0.1:8001"}]}]
        """
    }

    @Test("What a model takes and gives is read, and reads back as it is written")
    func read() throws {
        let text = Self.file(
            "{inputs: [{name: input-0, datatype: FP32, shape: [-1, 4]}], outputs: [{name: predict, datatype: INT64}]}"
        )
        let read = try Configuration.parse(yaml: text, file: "f")
        let wanted = ModelSignature(
            inputs: [TensorSignature("input-0", .fp32, [-1, 4])],
            outputs: [TensorSignature("predict", .int64, [])]
        )
        #expect(read.models.first?.tensors == wanted)
        #expect(try Configuration.parse(yaml: read.yamlText, file: "f") == read)
        // V1's callers of a V2 backend need no outputs.
        let half = try Configuration.parse(
            yaml: Self.file("{inputs: [{name: x, datatype: BYTES}]}"),
            file: "f"
        )
        #expect(half.models.first?.tensors?.outputs == [])
        #expect(try Configuration.parse(yaml: half.yamlText, file: "f") == half)
    }

    static let broken: [(String, String)] = [
        ("{}", "needs the key `inputs`"),
        ("{inputs: []}", "must not be empty"),
        ("{inputs: x}", "must be a list"),
        ("{inputs: [x]}", "must be a mapping"),
        ("{inputs: [{name: x}]}", "needs the key `datatype`"),
        ("{inputs: [{datatype: FP32}]}", "needs the key `name`"),
        ("{inputs: [{name: x, datatype: FLOAT}]}", "must be one of BOOL, UINT8"),
        ("{inputs: [{name: x, datatype: FP32, shape: 4}]}", "a list of whole numbers"),
        ("{inputs: [{name: x, datatype: FP32, shape: [-2]}]}", "-1 is any size"),
        ("{inputs: [{name: x, datatype: FP32, shape: [a]}]}", "a list of whole numbers"),
        ("{inputs: [{name: x, datatype: FP32, size: 1}]}", "unknown key"),
        (
            "{inputs: [{name: x, datatype: FP32}, {name: x, datatype: FP64}]}",
            "tensor 'x' stands twice"
        ),
        ("{inputs: [{name: x, datatype: FP32}], outputs: []}", "must not be empty"),
        ("{inputs: [{name: x, datatype: FP32}], output: []}", "did you mean `outputs`"),
    ]

    @Test("What is wrong with it is said with its place", arguments: broken)
    func refused(tensors: String, words: String) throws {
        let failure = #expect(throws: ConfigurationFailure.self) {
            try Configuration.parse(yaml: Self.file(tensors), file: "f")
        }
        let found = try #require(failure?.diagnostics.first)
        #expect(found.message.contains(words) && found.line == 4 && found.column > 4)
    }

    @Test("A dialect that is configured is kept apart from none", arguments: RuntimeKind.allCases)
    func dialects(runtimeKind: RuntimeKind) throws {
        let tensors = "{inputs: [{name: x, datatype: FP32}]}"
        let text = Self.file(tensors, revision: ", dialect: \(runtimeKind.rawValue)")
        let read = try Configuration.parse(yaml: text, file: "f")
        #expect(read.models.first?.revisions.first?.runtimeKind == runtimeKind)
        #expect(try Configuration.parse(yaml: read.yamlText, file: "f") == read)
        let none = try Configuration.parse(yaml: Self.file(tensors), file: "f")
        #expect(none.models.first?.revisions.first?.runtimeKind == nil)
    }
}
