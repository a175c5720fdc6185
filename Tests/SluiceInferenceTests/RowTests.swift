import SluiceCore
import SluiceInference
import Testing

@Suite("Rows")
struct RowTests {
    static func responseFormat(
        _ form: ResponseFormat.APIForm,
        id: String = "",
        isBinary: Bool = false,
        isRaw: Bool = true
    ) -> ResponseFormat {
        var responseFormat = ResponseFormat(form, InferenceRequest())
        responseFormat.id = id
        responseFormat.prefersBinary = isBinary
        responseFormat.isRaw = isRaw
        return responseFormat
    }

    static func cut(
        _ body: [UInt8],
        _ responseFormat: ResponseFormat,
        _ rows: Int,
        length: Int? = nil
    ) throws -> [[UInt8]] {
        let kept = Kept(body)
        var scratch = ByteBuffer(pool: BufferPool(retainedMaximum: 0))
        return try unsafe RowAnswer.cut(
            kept.bytes,
            headerLength: length,
            rows: rows,
            for: responseFormat,
            .generic,
            scratch: &scratch
        )
    }

    static func join(
        _ records: [[UInt8]],
        _ responseFormat: ResponseFormat,
        _ separators: RowSeparators = RowSeparators()
    ) throws -> ([UInt8], Int?) {
        let kept = records.map { Kept($0) }
        return try written { output, scratch throws(InferenceFailure) in
            try unsafe RowAnswer.join(
                kept.map { unsafe $0.bytes },
                for: responseFormat,
                separators,
                .generic,
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
        let v1 = Self.responseFormat(.v1)
        let first = try Self.cut(answer([0, 1]), v1, 2)
        let second = try Self.cut(answer([2, 3, 4]), v1, 3)
        let all = first + second
        #expect(try Self.join([all[4], all[0], all[3]], v1).0 == answer([4, 0, 3]))
        #expect(try Self.join(all, v1).0 == answer([0, 1, 2, 3, 4]))
        // A call of one row doesn't know what stands between rows; together with others it does.
        let single = try Self.cut(answer([1]), v1, 1)
        #expect(try Self.join(single, v1).0 == answer([1]))
        #expect(try Self.join(single + first, v1).0 == answer([1, 0, 1]))
        #expect(sentence { _ = try Self.join(single + single, v1) } != nil)
        var separators = RowSeparators()
        let (one, another) = (Kept(single[0]), Kept(first[0]))
        defer { withExtendedLifetime((one, another)) {} }
        unsafe separators.learn(from: one.bytes)
        #expect(unsafe !RowAnswer.knowsSeparators(one.bytes, separators))
        unsafe separators.learn(from: another.bytes)
        #expect(unsafe RowAnswer.knowsSeparators(one.bytes, separators))
        #expect(try Self.join(single + single, v1, separators).0 == answer([1, 1]))
        #expect(sentence { _ = try Self.cut(answer([1, 2]), v1, 3) } != nil)
        // Nothing makes tensors of it.
        #expect(sentence { _ = try Self.join(first, Self.responseFormat(.v2)) } != nil)
    }

    @Test("Answers that count or differ around their rows are never put together")
    func refusals() throws {
        let v1 = Self.responseFormat(.v1)
        func cut(_ text: String, _ rows: Int) throws -> [[UInt8]] {
            try Self.cut(Array(text.utf8), v1, rows)
        }
        let one = try cut(#"{"predictions":[1,2],"count":2}"#, 2)
        let two = try cut(#"{"predictions":[1,2],"count":3}"#, 2)
        #expect(sentence { _ = try Self.join([one[0], two[1]], v1) } != nil)
        #expect(sentence { _ = try cut(#"{"predictions":[1, 2,3]}"#, 3) } != nil)
        #expect(sentence { _ = try cut(#"{"outputs":[1,2]}"#, 2) } != nil)
        #expect(sentence { _ = try Self.join([], v1) } != nil)
        let v2 = Self.responseFormat(.v2)
        func named(_ name: String) throws -> [[UInt8]] {
            try Self.cut(
                Array(
                    #"{"model_name":"\#(name)","outputs":[{"name":"x","shape":[1],"datatype":"FP32","data":[1]}]}"#
                        .utf8
                ),
                v2,
                1
            )
        }
        #expect(sentence { _ = try Self.join(named("a") + named("b"), v2) } != nil)
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
        for form in TensorTests.APIForm.allCases {
            func answer(_ rows: [Int], id: String) throws -> ([UInt8], Int?) {
                var response = try Self.response(rows, all)
                response.id = id
                return try TensorTests.write(response, form)
            }
            let kind: ResponseFormat.APIForm = form == .json || form == .binary ? .v2 : .grpc
            func responseFormat(_ id: String) -> ResponseFormat {
                Self.responseFormat(kind, id: id, isBinary: form == .binary, isRaw: form != .typed)
            }
            let (first, firstLength) = try answer([0, 1], id: "call")
            let (second, secondLength) = try answer([2, 3, 4], id: "call 2")
            let records =
                try Self.cut(first, responseFormat("call"), 2, length: firstLength)
                + Self.cut(second, responseFormat("call 2"), 3, length: secondLength)
            for chosen in [[0, 1, 2, 3, 4], [3], [4, 0, 2, 2]] {
                let (expected, expectedLength) = try answer(chosen, id: "mine")
                let (joined, length) = try Self.join(
                    chosen.map { records[$0] },
                    responseFormat("mine")
                )
                #expect(joined == expected, "\(form) \(chosen)")
                #expect(length == expectedLength)
            }
            #expect(
                sentence {
                    _ = try Self.cut(first, responseFormat("other"), 2, length: firstLength)
                }
                    != nil
            )
        }
    }

    @Test(
        "Rows of answers in several forms make an answer in each form",
        arguments: DataType.allCases,
        0..<20 as Range<UInt64>
    )
    func mixed(datatype: DataType, seed: UInt64) throws {
        var random = RandomSource(seed: seed)
        let all = [Tensor.random(datatype, name: "x", rows: 8, &random)]
        guard try !all[0].bytes.isEmpty else { return }
        var records: [[UInt8]] = []
        func responseFormat(_ form: TensorTests.APIForm, id: String) -> ResponseFormat {
            let kind: ResponseFormat.APIForm = form == .json || form == .binary ? .v2 : .grpc
            return Self.responseFormat(
                kind,
                id: id,
                isBinary: form == .binary,
                isRaw: form != .typed
            )
        }
        for (index, form) in TensorTests.APIForm.allCases.enumerated() {
            // With and without an id, which is text around the rows.
            let id = index % 2 == 0 ? "call" : ""
            var response = try Self.response([2 * index, 2 * index + 1], all)
            response.id = id
            let (body, length) = try TensorTests.write(response, form)
            records += try Self.cut(body, responseFormat(form, id: id), 2, length: length)
        }
        // A V1 caller whose backend speaks V2.
        var v1 = Self.responseFormat(.v1)
        v1.layout = .rows(count: 3)
        let rows = try Self.response([7, 0, 2], all)
        let predictions = try written { output, scratch throws(InferenceFailure) in
            try rows.writeV1(for: v1, to: &output, scratch: &scratch)
        }
        #expect(try Self.join([7, 0, 2].map { records[$0] }, v1).0 == predictions.bytes)
        for form in TensorTests.APIForm.allCases {
            for chosen in [[0, 1, 2, 3, 4, 5, 6, 7], [7, 0, 2, 2]] {
                for id in ["mine", ""] {
                    var response = try Self.response(chosen, all)
                    response.id = id
                    let (expected, expectedLength) = try TensorTests.write(response, form)
                    let (joined, length) = try Self.join(
                        chosen.map { records[$0] },
                        responseFormat(form, id: id)
                    )
                    #expect(joined == expected, "\(form) \(chosen)")
                    #expect(length == expectedLength)
                }
            }
        }
    }

    @Test("A backend that names its answers by itself is told apart from one that echoes")
    func ownIDs() throws {
        func body(_ id: String) -> [UInt8] {
            Array(
                #"{"id": "\#(id)", "model_name": "m", "outputs": [{"name": "x", "shape": [1], "datatype": "FP32", "data": [1.50]}]}"#
                    .utf8
            )
        }
        let unnamed = Self.responseFormat(.v2)
        let records = try Self.cut(body("a"), unnamed, 1) + Self.cut(body("b"), unnamed, 1)
        let joined = text(try Self.join(records, unnamed).0)
        #expect(!joined.contains("\"id\"") && joined.contains("[1.5,1.5]"), "\(joined)")
        let named = Self.responseFormat(.v2, id: "c")
        #expect(try Self.join(Self.cut(body("c"), named, 1), named).0 == body("c"))
    }

    /// What each row of a request feeds to a digest, and the same for the whole.
    static func keys(
        _ request: InferenceRequest
    ) throws -> (rows: [[UInt8]], whole: [UInt8]) {
        var scratch = ByteBuffer(pool: BufferPool(retainedMaximum: 0))
        var (rows, row, whole) = ([[UInt8]](), [UInt8](), [UInt8]())
        try OwnedKeyContext("m", [1, 2], request.modelVersion).withContext { context in
            unsafe try TensorRows(request, .generic, scratch: &scratch).writeKeys(
                context,
                scratch: &scratch
            ) {
                unsafe row.append(contentsOf: $0)
            } finish: {
                rows.append(row)
                row = []
            }
            unsafe try CanonicalRequest.write(
                request,
                context,
                .generic,
                scratch: &scratch
            ) { unsafe whole.append(contentsOf: $0) }
        }
        return (rows, whole)
    }

    @Test("Keys are each row's own: in any company, in any form")
    func keys() throws {
        func keys(_ body: String) throws -> [[UInt8]] {
            let kept = Kept(body)
            defer { withExtendedLifetime(kept) {} }
            return try Self.keys(unsafe InferenceRequest(json: kept.bytes)).rows
        }
        func body(_ data: String, _ count: Int) -> String {
            #"{"inputs":[{"name":"x","shape":[\#(count),2],"datatype":"FP32","data":\#(data)}]}"#
        }
        let three = try keys(body("[1,2,3,4,1,2]", 3))
        #expect(three[0] == three[2] && three[0] != three[1])
        #expect(try keys(body("[[3.0,4]]", 1)) == [three[1]])
    }

    @Test(
        "A row's key is that of the request which has this row alone",
        arguments: DataType.allCases,
        0..<20 as Range<UInt64>
    )
    func sharedKeys(datatype: DataType, seed: UInt64) throws {
        var random = RandomSource(seed: seed)
        var request = InferenceRequest()
        request.modelVersion = "3"
        request.parameters["p"] = .double(0.5)
        request.outputs = [RequestedOutput(name: "y")]
        // Names in an order that isn't theirs.
        request.inputs = [
            Tensor.random(datatype, name: "z", rows: 5, &random),
            Tensor.random(.bytes, name: "a", rows: 5, &random),
        ]
        for tensor in request.inputs { guard try !tensor.bytes.isEmpty else { return } }
        let rows = try Self.keys(request).rows
        var scratch = ByteBuffer(pool: BufferPool(retainedMaximum: 0))
        let cut = try TensorRows(request, .generic, scratch: &scratch)
        for row in 0..<5 {
            let single = cut.request([row])
            #expect(try Self.keys(single).whole == rows[row])
        }
    }

    @Test(
        "A V2 call for some rows is the caller's own text and bytes, but for the others",
        arguments: DataType.allCases,
        0..<20 as Range<UInt64>
    )
    func v2Calls(datatype: DataType, seed: UInt64) throws {
        var random = RandomSource(seed: seed)
        let all = [
            Tensor.random(datatype, name: "x", rows: 5, &random),
            Tensor.random(.int64, name: "y", rows: 5, &random),
        ]
        for tensor in all { guard try !tensor.bytes.isEmpty else { return } }
        func request(_ rows: [Int], _ runtimeKind: RuntimeKind) throws -> ([UInt8], Int?) {
            var request = InferenceRequest()
            (request.id, request.outputs) = ("mine", [RequestedOutput(name: "y")])
            request.inputs = try Self.response(rows, all).outputs
            return try written { output, scratch throws(InferenceFailure) in
                try request.writeJSON(to: &output, scratch: &scratch, runtimeKind)
            }
        }
        // Triton's requests are binary, the generic ones JSON where that says it exactly.
        for runtimeKind in [RuntimeKind.triton, .generic] {
            let (whole, length) = try request([0, 1, 2, 3, 4], runtimeKind)
            let kept = Kept(whole)
            defer { withExtendedLifetime(kept) {} }
            for chosen in [[0, 1, 2, 3, 4], [3], [0, 2, 4]] {
                let expected = try request(chosen, runtimeKind)
                // Whether a row needs bytes is asked row by row there.
                guard (expected.1 == nil) == (length == nil) else { continue }
                let some = try written { output, _ throws(InferenceFailure) in
                    try unsafe TensorRows.writeV2(
                        chosen,
                        of: kept.bytes,
                        headerLength: length,
                        count: 5,
                        to: &output
                    )
                }
                #expect(some.bytes == expected.0, "\(runtimeKind) \(chosen)")
                #expect(some.result == expected.1 ?? expected.0.count)
            }
        }
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
