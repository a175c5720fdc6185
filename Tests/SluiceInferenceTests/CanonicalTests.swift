import SluiceCore
import SluiceInference
import Testing

@Suite("The canonical form")
struct CanonicalTests {
    static func bytes(
        _ request: InferenceRequest,
        model: String = "m",
        revision: [UInt8] = [1],
        _ runtimeKind: RuntimeKind = .generic
    ) throws -> [UInt8] {
        var scratch = ByteBuffer(pool: BufferPool(retainedMaximum: 0))
        var found: [UInt8] = []
        try OwnedKeyContext(model, revision).withContext { context in
            unsafe try CanonicalRequest.write(
                request,
                context,
                runtimeKind,
                scratch: &scratch
            ) {
                unsafe found.append(contentsOf: $0)
            }
        }
        return found
    }

    static func request(_ datatype: DataType, _ seed: UInt64) -> InferenceRequest {
        var random = RandomSource(seed: seed)
        var request = InferenceRequest()
        request.id = "\(seed)"
        request.parameters["temperature"] = .double(0.5)
        request.inputs = [
            Tensor.random(datatype, name: "b", rows: 2, &random),
            Tensor.random(.int64, name: "a", &random),
        ]
        request.inputs[0].parameters["scale"] = .int64(3)
        var output = RequestedOutput(name: "y")
        output.parameters["classification"] = .int64(2)
        request.outputs = [output]
        return request
    }

    @Test(
        "The same request agrees in every form",
        arguments: DataType.allCases,
        0..<20 as Range<UInt64>
    )
    func forms(datatype: DataType, seed: UInt64) throws {
        let request = Self.request(datatype, seed)
        let expected = try Self.bytes(request)
        for runtimeKind in [RuntimeKind.triton, .generic] {
            let (body, length) = try written { output, scratch throws(InferenceFailure) in
                try request.writeJSON(to: &output, scratch: &scratch, runtimeKind)
            }
            let kept = Kept(body)
            var read = try unsafe InferenceRequest(json: kept.bytes, headerLength: length)
            #expect(try Self.bytes(read) == expected)
            // Neither id, nor order, nor packing, nor when it is answered counts.
            read.id = "another"
            read.inputs.reverse()
            read.parameters["priority"] = .int64(1)
            read.parameters["timeout"] = .int64(1_000)
            #expect(try Self.bytes(read) == expected)
        }
        let raw = try InferenceRequest(message: try request.message)
        #expect(try Self.bytes(raw) == expected)
        // Typed contents, made from an answer with the same tensors.
        guard datatype != .fp16, datatype != .bf16 else { return }
        let response = InferenceResponse(
            modelName: "",
            modelVersion: "",
            id: "",
            outputs: request.inputs
        )
        let typed = Kept(try response.message(raw: false))
        var again = request
        again.inputs = try unsafe InferenceResponse(protobuf: typed.bytes).outputs
        #expect(try Self.bytes(again) == expected)
    }

    @Test("JSON numbers are what their datatype makes of them")
    func numbers() throws {
        func body(_ data: String, _ datatype: String = "FP32") throws -> [UInt8] {
            let text =
                #"{"inputs":[{"name":"x","shape":[2],"datatype":"\#(datatype)","data":\#(data)}]}"#
            return try Self.bytes(try InferenceRequest(body: Array(text.utf8), headerLength: nil))
        }
        #expect(try body("[1, 0.1]") == body("[ 1.0,1e-1]"))
        #expect(try body("[1, 0.1]") != body("[1, 0.2]"))
        #expect(try body("[1,2]") != body("[1,2]", "FP64"))
        #expect(try body("[9007199254740993,0]", "INT64") != body("[9007199254740992,0]", "INT64"))
        #expect(try body("[\"\\u0061\",\"b\"]", "BYTES") == body("[\"a\", \"b\"]", "BYTES"))
    }

    @Test("What differs in one thing only never agrees", arguments: DataType.allCases)
    func differences(datatype: DataType) throws {
        let request = Self.request(datatype, 7)
        var seen: [String: [UInt8]] = ["as it is": try Self.bytes(request)]
        seen["model"] = try Self.bytes(request, model: "n")
        seen["revision"] = try Self.bytes(request, revision: [2])
        seen["model and revision trade a byte"] = try Self.bytes(
            request,
            model: "m\u{1}",
            revision: []
        )
        func change(_ name: String, _ edit: (inout InferenceRequest) -> Void) throws {
            var changed = request
            edit(&changed)
            seen[name] = try Self.bytes(changed)
        }
        try change("version") { $0.modelVersion = "2" }
        try change("shape") { $0.inputs[0].shape.append(1) }
        try change("shape turned") { $0.inputs[0].shape.insert(1, at: 0) }
        try change("input's name") { $0.inputs[0].name = "c" }
        try change("input left out") { $0.inputs.removeLast() }
        try change("input's parameter") { $0.inputs[0].parameters["scale"] = .int64(4) }
        try change("input's parameter's kind") { $0.inputs[0].parameters["scale"] = .double(3) }
        try change("parameter") { $0.parameters["temperature"] = .double(0.25) }
        try change("parameter left out") { $0.parameters["temperature"] = nil }
        try change("parameter added") { $0.parameters["other"] = .bool(false) }
        try change("parameter as text") { $0.parameters["temperature"] = .string("0.5") }
        try change("output") { $0.outputs[0].name = "z" }
        try change("outputs left out") { $0.outputs = [] }
        try change("output added") { $0.outputs.append(RequestedOutput(name: "z")) }
        try change("output's parameter") { $0.outputs[0].parameters["classification"] = .int64(3) }
        // The same bytes under another datatype of the same size.
        let others = DataType.allCases.filter { $0 != datatype && $0.size == datatype.size }
        for other in others where datatype != .bytes {
            try change("datatype \(other)") { $0.inputs[0].datatype = other }
        }
        if let bytes = try? request.inputs[0].bytes, !bytes.isEmpty, datatype != .bytes {
            try change("a bit") {
                var bytes = bytes
                bytes[bytes.count - 1] ^= 1
                $0.inputs[0].data = .owned(bytes)
            }
        }
        #expect(Set(seen.values).count == seen.count)
    }

    @Test("V1 has a domain of its own: its text without white space, in any order of members")
    func v1() throws {
        func key(_ body: String) throws -> [UInt8] {
            let kept = Kept(body)
            var scratch = ByteBuffer(pool: BufferPool(retainedMaximum: 0))
            var found: [UInt8] = []
            try OwnedKeyContext().withContext { context in
                unsafe CanonicalRequest.write(
                    try V1Request(kept.bytes),
                    context,
                    scratch: &scratch
                ) { unsafe found.append(contentsOf: $0) }
            }
            return found
        }
        let plain = try key(#"{"instances":[[1,2],{"a b":"c \" d"}],"signature_name":"s"}"#)
        #expect(
            try key(
                "{ \"signature_name\" : \"s\",\n\"instances\": [[1 , 2], {\"a b\":\"c \\\" d\"}]}"
            ) == plain
        )
        #expect(try key(#"{"instances":[[1,2],{"ab":"c \" d"}],"signature_name":"s"}"#) != plain)
        #expect(try key(#"{"instances":[[1,2],{"a b":"c \" d"}],"signature_name":"t"}"#) != plain)
        #expect(try key(#"{"inputs":[[1,2],{"a b":"c \" d"}],"signature_name":"s"}"#) != plain)
    }

    @Test("A V1 row's key is its own in any company, beside the same other members")
    func v1Rows() throws {
        func keys(_ body: String) throws -> [[UInt8]] {
            let kept = Kept(body)
            var scratch = ByteBuffer(pool: BufferPool(retainedMaximum: 0))
            var (found, row) = ([[UInt8]](), [UInt8]())
            try OwnedKeyContext().withContext { context in
                unsafe try TensorRows(try V1Request(kept.bytes)).writeKeys(
                    context,
                    scratch: &scratch
                ) {
                    unsafe row.append(contentsOf: $0)
                } finish: {
                    found.append(row)
                    row = []
                }
            }
            return found
        }
        let three = try keys(#"{"instances":[[1,2],3,[1, 2]],"signature_name":"s"}"#)
        #expect(three[0] == three[2] && three[0] != three[1])
        #expect(try keys(#"{"signature_name" : "s", "instances":[ 3 ]}"#) == [three[1]])
        for other in [
            #"{"instances":[3]}"#, #"{"instances":[3],"signature_name":"t"}"#,
            #"{"instances":[[3]],"signature_name":"s"}"#,
            #"{"instances":[3],"signature_name":"s","x":1}"#,
        ] { #expect(try keys(other) != [three[1]]) }
    }

    @Test(
        "Sequences, shared memory and what belongs to streams go past the cache",
        arguments: [
            (#""sequence_id":5"#, .bypass(.sequence)), (#""sequence_id":"a""#, .bypass(.sequence)),
            (#""sequence_id":0"#, .cacheable), (#""sequence_id":"""#, .cacheable),
            (#""sequence_start":true"#, .bypass(.sequence)), (#""sequence_end":false"#, .cacheable),
            (#""triton_enable_empty_final_response":true"#, .bypass(.stream)),
            (#""priority":1,"timeout":5"#, .cacheable),
        ] as [(String, Cacheability)]
    )
    func cacheability(parameters: String, expected: Cacheability) throws {
        let kept = Kept("{\"inputs\":[],\"parameters\":{\(parameters)}}")
        #expect(Cacheability(try unsafe InferenceRequest(json: kept.bytes)) == expected)
    }
}
