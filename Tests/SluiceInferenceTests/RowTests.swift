import SluiceCore
import SluiceInference
import Testing

@Suite("Rows")
struct RowTests {
    static func cut(
        _ body: [UInt8],
        _ form: CallerWishes.Form,
        _ rows: Int,
        length: Int? = nil,
        hasID: Bool = false
    ) throws -> [[UInt8]] {
        let kept = Kept(body)
        var scratch = ByteBuffer(pool: BufferPool(retainedMaximum: 0))
        return try unsafe RowAnswer.cut(
            kept.bytes,
            headerLength: length,
            form,
            rows: rows,
            hasID: hasID,
            .generic,
            scratch: &scratch
        )
    }

    static func join(_ records: [[UInt8]], id: String = "") throws -> ([UInt8], Int?) {
        let kept = records.map { Kept($0) }
        return try written { output, scratch throws(InferenceFailure) in
            try unsafe RowAnswer.join(
                kept.map { unsafe $0.bytes },
                id: id,
                to: &output,
                scratch: &scratch
            )
        }
    }

    @Test(
        "Rows of one V1 answer, in any order and of several calls, make the answer",
        arguments: [
            (#"{"predictions":["#, ",", #"]}"#), (#"{"predictions": ["#, ", ", #"]}"#),
            ("{\n    \"predictions\": [", ", ", "\n    ]\n}"),
            (#"{"model":"m","predictions":[ "#, "\n,", #"],"v":1}"#),
        ]
    )
    func v1(before: String, between: String, after: String) throws {
        let rows = ["1.50", #"{"a": [1, "x,]"]}"#, "[[NaN], [9007199254740993]]", "null", "\"é\""]
        func answer(_ indices: [Int]) -> [UInt8] {
            Array((before + indices.map { rows[$0] }.joined(separator: between) + after).utf8)
        }
        let first = try Self.cut(answer([0, 1]), .v1, 2)
        let second = try Self.cut(answer([2, 3, 4]), .v1, 3)
        let all = first + second
        #expect(try Self.join([all[4], all[0], all[3]]).0 == answer([4, 0, 3]))
        #expect(try Self.join(all).0 == answer([0, 1, 2, 3, 4]))
        // A call of one row doesn't know what stands between rows; together with others it does.
        let single = try Self.cut(answer([1]), .v1, 1)
        #expect(try Self.join(single).0 == answer([1]))
        #expect(try Self.join(single + first).0 == answer([1, 0, 1]))
        #expect(sentence { _ = try Self.join(single + single) } != nil)
        #expect(sentence { _ = try Self.cut(answer([1, 2]), .v1, 3) } != nil)
    }

    @Test("Answers that count or differ around their rows are never put together")
    func refusals() throws {
        let one = try Self.cut(Array(#"{"predictions":[1,2],"count":2}"#.utf8), .v1, 2)
        let two = try Self.cut(Array(#"{"predictions":[1,2],"count":3}"#.utf8), .v1, 2)
        #expect(sentence { _ = try Self.join([one[0], two[1]]) } != nil)
        #expect(
            sentence { _ = try Self.cut(Array(#"{"predictions":[1, 2,3]}"#.utf8), .v1, 3) } != nil
        )
        #expect(sentence { _ = try Self.cut(Array(#"{"outputs":[1,2]}"#.utf8), .v1, 2) } != nil)
        #expect(sentence { _ = try Self.join([]) } != nil)
    }

    static func response(_ rows: [Int], _ all: [Tensor]) throws -> InferenceResponse {
        var response = InferenceResponse(modelName: "m", modelVersion: "1", id: "call", outputs: [])
        response.parameters["p"] = .int64(1)
        var request = InferenceRequest()
        request.inputs = all
        var scratch = ByteBuffer(pool: BufferPool(retainedMaximum: 0))
        response.outputs = try TensorRows(request, .generic, scratch: &scratch).request(rows).inputs
        return response
    }

    @Test(
        "Rows of V2 answers in every form and datatype make the answer, byte for byte",
        arguments: DataType.allCases,
        0..<20 as Range<UInt64>
    )
    func v2(datatype: DataType, seed: UInt64) throws {
        var random = RandomSource(seed: seed)
        let all = [
            Tensor.random(datatype, name: "x", rows: 5, &random),
            Tensor.random(.int32, name: "y", rows: 5, &random),
        ]
        for tensor in all { guard try !tensor.bytes.isEmpty else { return } }
        for form in TensorTests.Form.allCases {
            func answer(_ rows: [Int], id: String) throws -> ([UInt8], Int?) {
                var response = try Self.response(rows, all)
                response.id = id
                return try TensorTests.write(response, form)
            }
            let kind: CallerWishes.Form = form == .json || form == .binary ? .v2 : .grpc
            let (first, firstLength) = try answer([0, 1], id: "call")
            let (second, secondLength) = try answer([2, 3, 4], id: "call 2")
            let records =
                try Self.cut(first, kind, 2, length: firstLength, hasID: true)
                + Self.cut(second, kind, 3, length: secondLength, hasID: true)
            for chosen in [[0, 1, 2, 3, 4], [3], [4, 0, 2, 2]] {
                let (expected, expectedLength) = try answer(chosen, id: "mine")
                let (joined, length) = try Self.join(chosen.map { records[$0] }, id: "mine")
                #expect(joined == expected, "\(form) \(chosen)")
                #expect(length == expectedLength)
            }
            #expect(
                sentence { _ = try Self.cut(first, kind, 2, length: firstLength, hasID: false) }
                    != nil
            )
        }
    }

    @Test("Keys are each row's own: in any company, in any form")
    func keys() throws {
        func keys(_ body: String) throws -> [[UInt8]] {
            let kept = Kept(body)
            var scratch = ByteBuffer(pool: BufferPool(retainedMaximum: 0))
            let request = try unsafe InferenceRequest(json: kept.bytes)
            let rows = try TensorRows(request, .generic, scratch: &scratch)
            return try (0..<rows.count).map { row in
                var found: [UInt8] = []
                unsafe try rows.writeKey(
                    row: row,
                    model: "m",
                    version: "",
                    revision: [],
                    .generic,
                    scratch: &scratch
                ) {
                    unsafe found.append(contentsOf: $0)
                }
                return found
            }
        }
        func body(_ data: String, _ count: Int) -> String {
            #"{"inputs":[{"name":"x","shape":[\#(count),2],"datatype":"FP32","data":\#(data)}]}"#
        }
        let three = try keys(body("[1,2,3,4,1,2]", 3))
        #expect(three[0] == three[2] && three[0] != three[1])
        #expect(try keys(body("[[3.0,4]]", 1)) == [three[1]])
    }

    @Test("A V1 call for some rows is the caller's own with fewer instances")
    func v1Calls() throws {
        let kept = Kept(#"{ "signature_name":"s", "instances" : [ 1, {"a": 2} ,3] , "x":null }"#)
        let rows = try TensorRows(try unsafe V1Request(kept.bytes))
        #expect(rows.count == 3)
        let some = try written { output, _ throws(InferenceFailure) in
            rows.writeV1([1, 2], to: &output)
        }
        #expect(
            text(some.bytes) == #"{ "signature_name":"s", "instances" : [{"a": 2},3] , "x":null }"#
        )
    }
}
