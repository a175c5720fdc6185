import SluiceCore
import SluiceInference
import Testing

@Suite("Comparing answers")
struct ComparisonTests {
    /// Numbers as the bytes of a datatype.
    private static func bytes(_ datatype: DataType, _ numbers: [Double]) -> [UInt8] {
        var bytes: [UInt8] = []
        for number in numbers {
            switch datatype {
            case .fp64: bytes.appendLittleEndian(number.bitPattern)
            case .fp32: bytes.appendLittleEndian(Float(number).bitPattern)
            case .fp16: bytes.appendLittleEndian(Float16(number).bitPattern)
            case .bf16: bytes.appendLittleEndian(UInt16(Float(number).bitPattern >> 16))
            case .int8: bytes.append(UInt8(bitPattern: Int8(number)))
            case .uint8, .bool: bytes.append(UInt8(number))
            case .int16: bytes.appendLittleEndian(Int16(number))
            case .uint16: bytes.appendLittleEndian(UInt16(number))
            case .int32: bytes.appendLittleEndian(Int32(number))
            case .uint32: bytes.appendLittleEndian(UInt32(number))
            case .int64: bytes.appendLittleEndian(Int64(number))
            case .uint64: bytes.appendLittleEndian(UInt64(number))
            case .bytes:
                bytes.appendLittleEndian(UInt32(1))
                bytes.append(UInt8(number))
            }
        }
        return bytes
    }

    private static func tensor(
        _ datatype: DataType,
        _ numbers: [Double],
        shape: [Int]? = nil,
        name: String = "y"
    ) -> Tensor {
        Tensor(
            name: name,
            datatype: datatype,
            shape: shape ?? [1, numbers.count],
            bytes: bytes(datatype, numbers)
        )
    }

    /// Compares by way of gRPC, and by way of REST, which must find the same.
    private static func agreement(
        _ left: [Tensor],
        _ right: [Tensor],
        tolerance: Double = 1e-3
    ) throws -> AnswerAgreement {
        let comparison = AnswerComparison(tolerance: tolerance)
        let pool = BufferPool()
        let answers = [left, right].map {
            InferenceResponse(modelName: "m", modelVersion: "1", id: "i", outputs: $0)
        }
        let messages = try answers.map { Kept(try $0.message(raw: true)) }
        let typed = try answers.map { Kept(try $0.message(raw: false)) }
        var request = InferenceRequest()
        request.prefersBinary = true
        let binary = try answers.map { try $0.body(for: request) }
        let bodies = binary.map { Kept($0.bytes) }
        let found = unsafe [
            comparison.agreement(
                of: .init(messages[0].bytes),
                and: .init(messages[1].bytes),
                .grpc,
                pool: pool
            ),
            comparison.agreement(
                of: .init(messages[0].bytes),
                and: .init(typed[1].bytes),
                .grpc,
                pool: pool
            ),
            comparison.agreement(
                of: .init(bodies[0].bytes, headerLength: binary[0].headerLength),
                and: .init(bodies[1].bytes, headerLength: binary[1].headerLength),
                .v2,
                pool: pool
            ),
        ]
        #expect(Set(found).count == 1, "the forms disagree: \(found)")
        return found[0]
    }

    // MARK: - Numbers

    static let numeric: [DataType] = DataType.allCases.filter { $0 != .bool && $0 != .bytes }

    @Test("The same bytes are equal, in every datatype", arguments: DataType.allCases)
    func equal(datatype: DataType) throws {
        // FP16 and BF16 have no typed contents, so those are left to the table below.
        guard datatype != .fp16, datatype != .bf16 else { return }
        let one = Self.tensor(datatype, [1, 0, 1])
        #expect(try Self.agreement([one], [one]) == .equal)
    }

    @Test("Numbers within the tolerance are close, in every datatype", arguments: numeric)
    func close(datatype: DataType) throws {
        let pair = [[100, 7, 3], [101, 7, 3]].map { Self.tensor(datatype, $0) }
        #expect(try rawAgreement(pair[0], pair[1], tolerance: 0.02) == .close)
        #expect(try rawAgreement(pair[0], pair[1], tolerance: 0.001) == .argmax)
        #expect(try rawAgreement(pair[0], pair[1], tolerance: 0) == .argmax)
    }

    @Test("Rows whose largest number stands elsewhere are different", arguments: numeric)
    func different(datatype: DataType) throws {
        let rows = Self.tensor(datatype, [9, 1, 2, 1, 2, 9], shape: [2, 3])
        let sameRows = Self.tensor(datatype, [60, 3, 4, 5, 4, 90], shape: [2, 3])
        let otherRow = Self.tensor(datatype, [60, 3, 4, 5, 90, 4], shape: [2, 3])
        #expect(try rawAgreement(rows, sameRows) == .argmax)
        #expect(try rawAgreement(rows, otherRow) == .different)
        // A single dimension is the batch: which row has the largest number says nothing.
        let labels = Self.tensor(datatype, [0, 2, 1], shape: [3])
        let others = Self.tensor(datatype, [1, 2, 0], shape: [3])
        #expect(try rawAgreement(labels, others) == .different)
        #expect(
            try rawAgreement(
                Self.tensor(datatype, [3], shape: [1, 1]),
                Self.tensor(datatype, [5], shape: [1, 1])
            ) == .different
        )
    }

    private func rawAgreement(
        _ left: Tensor,
        _ right: Tensor,
        tolerance: Double = 1e-3
    ) throws -> AnswerAgreement {
        let pair = try [left, right].map {
            Kept(
                try InferenceResponse(modelName: "m", modelVersion: "", id: "", outputs: [$0])
                    .message(raw: true)
            )
        }
        return unsafe AnswerComparison(tolerance: tolerance).agreement(
            of: .init(pair[0].bytes),
            and: .init(pair[1].bytes),
            .grpc,
            pool: BufferPool()
        )
    }

    struct Edge: CustomTestStringConvertible, Sendable {
        let left: Double
        let right: Double
        let tolerance: Double
        let result: AnswerAgreement
        let testDescription: String

        init(
            _ left: Double,
            _ right: Double,
            _ tolerance: Double,
            _ result: AnswerAgreement,
            _ name: String
        ) {
            (self.left, self.right, self.tolerance) = (left, right, tolerance)
            (self.result, testDescription) = (result, name)
        }
    }

    static let edges = [
        Edge(0, 0.5, 0.5, .close, "exactly at the absolute tolerance"),
        Edge(0, (0.5).nextUp, 0.5, .different, "just beyond the absolute tolerance"),
        Edge(1, 1.5, 0.5, .close, "relative to the larger above one"),
        Edge(100, 200, 0.5, .close, "exactly at the relative tolerance"),
        Edge(100, (200.0).nextUp, 0.5, .different, "just beyond the relative tolerance"),
        Edge(-100, -200, 0.5, .close, "negative numbers alike"),
        Edge(-1, 1, 0.5, .different, "the sign counts"),
        Edge(0.0, -0.0, 0, .close, "zeros of both signs"),
        Edge(1, (1.0).nextUp, 0, .different, "no tolerance takes the same numbers only"),
        Edge(.nan, -.nan, 0, .close, "NaN is NaN, whatever its bits"),
        Edge(.nan, 1, 1e9, .different, "NaN is no number"),
        Edge(.infinity, .infinity, 0, .equal, "infinity is itself"),
        Edge(.infinity, -.infinity, 1e9, .different, "infinities have signs"),
        Edge(.infinity, 1e308, 1e9, .different, "nothing is close to infinity"),
        Edge(1e308, -1e308, 0.5, .different, "a distance beyond all numbers"),
    ]

    @Test("The tolerance has sharp edges", arguments: edges)
    func edge(row: Edge) throws {
        let (left, right) = (
            Self.tensor(.fp64, [row.left], shape: [1]), Self.tensor(.fp64, [row.right], shape: [1])
        )
        #expect(try rawAgreement(left, right, tolerance: row.tolerance) == row.result)
        #expect(try rawAgreement(right, left, tolerance: row.tolerance) == row.result)
    }

    @Test("Whole numbers of 64 bits are told apart where doubles can't", arguments: [0, 1e-6])
    func wide(tolerance: Double) throws {
        var pair = [Tensor]()
        for value in [Int64.max, Int64.max - 1] {
            var bytes: [UInt8] = []
            bytes.appendLittleEndian(value)
            pair.append(Tensor(name: "y", datatype: .int64, shape: [1], bytes: bytes))
        }
        let result = try rawAgreement(pair[0], pair[1], tolerance: tolerance)
        #expect(result == (tolerance == 0 ? .different : .close))
    }

    @Test("The largest number is the first of several, and never a NaN")
    func largest() throws {
        let nan = Double.nan
        func compare(_ left: [Double], _ right: [Double]) throws -> AnswerAgreement {
            try rawAgreement(Self.tensor(.fp32, left), Self.tensor(.fp32, right))
        }
        #expect(try compare([5, 5, 1], [9, 8, 1]) == .argmax)
        #expect(try compare([5, 5, 1], [8, 9, 1]) == .different)
        #expect(try compare([nan, 5, 1], [nan, 9, 1]) == .argmax)
        #expect(try compare([nan, 5, 1], [9, nan, 1]) == .different)
        #expect(try compare([nan, nan], [1, 2]) == .different)
        #expect(try compare([-.infinity, -5], [-9, -1]) == .argmax)
    }

    // MARK: - Words, flags and several outputs

    @Test("Words and flags are the same or different", arguments: [DataType.bytes, .bool])
    func words(datatype: DataType) throws {
        let (one, other) = (Self.tensor(datatype, [1, 0]), Self.tensor(datatype, [1, 1]))
        #expect(try Self.agreement([one], [other], tolerance: 1e9) == .different)
    }

    @Test("Words of another length are different, not unreadable")
    func longerWords() throws {
        let one = Tensor(name: "y", datatype: .bytes, shape: [1], bytes: [1, 0, 0, 0, 65])
        let other = Tensor(name: "y", datatype: .bytes, shape: [1], bytes: [2, 0, 0, 0, 65, 66])
        #expect(try Self.agreement([one], [other]) == .different)
    }

    @Test("An answer is as good as its worst output, in whichever order they come")
    func worst() throws {
        let scores = Self.tensor(.fp32, [0.9, 0.1], name: "scores")
        let softer = Self.tensor(.fp32, [0.6, 0.4], name: "scores")
        let label = Self.tensor(.int64, [3], shape: [1], name: "label")
        let another = Self.tensor(.int64, [4], shape: [1], name: "label")
        #expect(try Self.agreement([scores, label], [label, scores]) == .equal)
        #expect(try Self.agreement([scores, label], [label, softer]) == .argmax)
        #expect(try Self.agreement([scores, label], [softer, another]) == .different)
    }

    @Test("Names, datatypes, shapes and counts that differ leave nothing to compare")
    func incomparable() throws {
        let one = Self.tensor(.fp32, [1, 2])
        for other in [
            [Self.tensor(.fp32, [1, 2], name: "z")], [Self.tensor(.fp64, [1, 2])],
            [Self.tensor(.fp32, [1, 2], shape: [2, 1])], [Self.tensor(.fp32, [1, 2, 3])],
            [one, Self.tensor(.fp32, [1], name: "z")], [],
        ] {
            #expect(try Self.agreement([one], other) == .uncomparable)
        }
        #expect(try Self.agreement([], []) == .uncomparable)
    }

    // MARK: - Text

    private static func textAgreement(
        _ left: String,
        _ right: String,
        _ form: ResponseFormat.APIForm
    ) -> AnswerAgreement {
        let pair = [Kept(left), Kept(right)]
        return unsafe AnswerComparison(tolerance: 1e-3).agreement(
            of: .init(pair[0].bytes),
            and: .init(pair[1].bytes),
            form,
            pool: BufferPool()
        )
    }

    static let texts: [(String, String, AnswerAgreement)] = [
        (#"[[0.1,0.9]]"#, #"[[0.10,9e-1]]"#, .equal),
        (#"[[0.1,0.9]]"#, #"[[0.1001,0.9]]"#, .close),
        (#"[[0.1,0.9]]"#, #"[[0.4,0.6]]"#, .argmax),
        (#"[[0.1,0.9],[3,2]]"#, #"[[0.4,0.6],[2,3]]"#, .different),
        (#"[0,2,1]"#, #"[1,2,0]"#, .different),
        (#"[1,2]"#, #"[1,2.0]"#, .equal),
        (#"[9007199254740993]"#, #"[9007199254740992]"#, .equal),
        (#"[1e999]"#, #"[1e999]"#, .uncomparable),
        (#"[[1,2],[3]]"#, #"[[1,2],[3]]"#, .equal),
        (#"[[1,2],[3]]"#, #"[[1,2],[4]]"#, .different),
        (#"[[1,2],"x"]"#, #"[[5,9],"x"]"#, .argmax),
        (#"[[1,2],"x"]"#, #"[[1,2],3]"#, .uncomparable),
        (#"["\u0061"]"#, #"["a"]"#, .equal),
        (#"[{"a":[1,tru]}]"#, #"[{"a":[1,tru]}]"#, .uncomparable),
        (#"[NaN]"#, #"[NaN]"#, .equal),
        (#"[[0.1,0.9]]"#, #"[[0.1,0.9,0]]"#, .uncomparable),
        (#"[[0.1,0.9]]"#, #"[0.1,0.9]"#, .uncomparable),
        (#"["a"]"#, #"["a"]"#, .equal),
        (#"["a"]"#, #"["b"]"#, .different),
        (#"["1"]"#, #"[1]"#, .uncomparable),
        (#"[true,null]"#, #"[true,null]"#, .equal),
        (#"[true]"#, #"[false]"#, .different),
        (#"[{"l":"a","p":[0.9,0.1]}]"#, #"[{"p":[0.6,0.4],"l":"a"}]"#, .argmax),
        (#"[{"l":"a","p":[0.9,0.1]}]"#, #"[{"l":"b","p":[0.6,0.4]}]"#, .different),
        (#"[{"l":"a"}]"#, #"[{"m":"a"}]"#, .uncomparable),
        (#"[{"l":"a","l":"b"}]"#, #"[{"l":"b"}]"#, .equal),
        (#"[]"#, #"[]"#, .equal),
    ]

    @Test("V1's predictions are compared as JSON", arguments: texts)
    func predictions(left: String, right: String, result: AnswerAgreement) {
        for name in ["predictions", "outputs"] {
            // What stands beside them differs from call to call.
            let answers = [left, right].enumerated().map {
                "{\"took\":\($0.offset),\"\(name)\":\($0.element)}"
            }
            #expect(Self.textAgreement(answers[0], answers[1], .v1) == result)
            #expect(Self.textAgreement(answers[1], answers[0], .v1) == result)
        }
    }

    @Test("Values are compared to a depth that no recursion minds", arguments: [10, 60])
    func deep(depth: Int) {
        let text =
            String(repeating: "{\"a\":", count: depth) + "1" + String(repeating: "}", count: depth)
        let answer = "{\"predictions\":\(text)}"
        #expect(Self.textAgreement(answer, answer, .v1) == (depth < 16 ? .equal : .uncomparable))
    }

    @Test("What can't be read is not compared", arguments: ["", "{}", "[1]", "{\"error\":\"x\"}"])
    func unreadable(text: String) {
        for form in [ResponseFormat.APIForm.v1, .v2, .grpc] {
            #expect(Self.textAgreement(text, text, form) == .uncomparable)
        }
    }

    @Test("V2's data may be text on one side and nest otherwise")
    func nesting() {
        let answers = ["[1,2,3,4]", "[[1,2],[3,4.0]]"].map {
            """
            {"outputs":[{"name":"y","datatype":"FP32","shape":[2,2],"data":\($0)}]}
            """
        }
        #expect(Self.textAgreement(answers[0], answers[1], .v2) == .equal)
    }
}
