import SluiceCore
import SluiceInference
import Testing

@Suite("Tensors in every form")
struct TensorTests {
    /// A form that an answer takes.
    enum APIForm: CaseIterable { case raw, typed, json, binary }

    static func write(_ response: InferenceResponse, _ form: APIForm) throws -> ([UInt8], Int?) {
        var responseFormat = ResponseFormat(.v2, InferenceRequest())
        responseFormat.prefersBinary = form == .binary
        let found = try written { output, scratch throws(InferenceFailure) -> Int? in
            switch form {
            case .raw: try response.writeProtobuf(raw: true, to: &output, scratch: &scratch)
            case .typed: try response.writeProtobuf(raw: false, to: &output, scratch: &scratch)
            case .json, .binary:
                return try response.writeJSON(for: responseFormat, to: &output, scratch: &scratch)
            }
            return nil
        }
        return (found.bytes, found.result)
    }

    static func read(_ kept: Kept, _ length: Int?, _ form: APIForm) throws -> InferenceResponse {
        switch form {
        case .raw, .typed: try unsafe InferenceResponse(protobuf: kept.bytes)
        case .json, .binary: try unsafe InferenceResponse(json: kept.bytes, headerLength: length)
        }
    }

    @Test(
        "Each form to each other form and back is bit-equal",
        arguments: DataType.allCases,
        0..<60 as Range<UInt64>
    )
    func answers(datatype: DataType, seed: UInt64) throws {
        var random = RandomSource(seed: seed)
        var tensor = Tensor.random(datatype, isText: seed % 2 == 0, &random)
        tensor.parameters["scale"] = .double(0.1)
        var response = InferenceResponse(
            modelName: "m",
            modelVersion: "1",
            id: "7",
            outputs: [tensor]
        )
        response.parameters["big"] = .uint64(.max)
        response.parameters["whole"] = .double(3)
        response.parameters["low"] = .int64(.min)
        response.parameters["text"] = .string("ä\"")
        response.parameters["flag"] = .bool(true)
        for first in APIForm.allCases {
            let (bytes, length) = try Self.write(response, first)
            let kept = Kept(bytes)
            let once = try Self.read(kept, length, first)
            for second in APIForm.allCases {
                let (bytes, length) = try Self.write(once, second)
                let again = Kept(bytes)
                let twice = try Self.read(again, length, second)
                #expect(twice.modelName == "m" && twice.modelVersion == "1" && twice.id == "7")
                #expect(twice.parameters == response.parameters)
                let found = try #require(twice.outputs.first)
                #expect(
                    found.name == "x" && found.datatype == datatype && found.shape == tensor.shape
                )
                #expect(found.parameters["scale"] == .double(0.1))
                #expect(try found.bytes == tensor.bytes, "\(first) to \(second)")
            }
        }
    }

    @Test(
        "Requests keep their tensors from form to form, for every dialect",
        arguments: DataType.allCases,
        0..<20 as Range<UInt64>
    )
    func requests(datatype: DataType, seed: UInt64) throws {
        var random = RandomSource(seed: seed)
        let tensor = Tensor.random(datatype, &random)
        var request = InferenceRequest()
        request.id = "i"
        request.inputs = [tensor, Tensor(name: "y", datatype: .int8, shape: [1], bytes: [255])]
        var wanted = RequestedOutput(name: "z")
        wanted.parameters["classification"] = .int64(3)
        request.outputs = [wanted]
        for runtimeKind in [RuntimeKind.triton, .mlserver, .kserve, .generic] {
            let message = Kept(
                try written { output, scratch throws(InferenceFailure) in
                    try request.writeProtobuf(to: &output, scratch: &scratch, runtimeKind)
                }.bytes
            )
            let fromMessage = try unsafe InferenceRequest(protobuf: message.bytes, runtimeKind)
            let body: ([UInt8], Int?)
            do {
                body = try written { output, scratch throws(InferenceFailure) in
                    try fromMessage.writeJSON(to: &output, scratch: &scratch, runtimeKind)
                }
            } catch let failure as InferenceFailure where runtimeKind == .mlserver {
                // The one thing that strict JSON can't say.
                #expect(
                    failure.sentence.contains("has infinity") && failure.kind == .inexpressible
                )
                continue
            }
            let kept = Kept(body.0)
            let fromJSON = try unsafe InferenceRequest(json: kept.bytes, headerLength: body.1)
            // Who is sent bytes is asked for bytes, of all outputs and of each that is named.
            let wantsBytes = body.1 != nil
            var asked = wanted
            asked.isBinary = wantsBytes ? true : nil
            #expect(fromJSON.id == "i" && fromJSON.outputs == [asked])
            let found = try fromJSON.inputs.map { input in
                try written { _, scratch throws(InferenceFailure) in
                    unsafe [UInt8](try input.raw(&scratch, runtimeKind))
                }.result
            }
            #expect(try found == request.inputs.map { try $0.bytes })
            #expect(fromJSON.prefersBinary == wantsBytes)
            if runtimeKind.tensorForm == .binary { #expect(wantsBytes) }
            if runtimeKind.tensorForm == .json { #expect(body.1 == nil) }
        }
    }

    @Test(
        "A request that can't be right is told what is wrong with which tensor",
        arguments: [
            ("{}", "no 'inputs'"), ("[", "must be a JSON object"),
            ("{\"inputs\":[}", "a tensor must be a JSON object"),
            (#"{"inputs":[{"name":"a","shape":[1],"datatype":"FP99","data":[1]}]}"#, "tensor 'a'"),
            (
                #"{"inputs":[{"name":"a","shape":[2],"datatype":"FP32","data":[1]}]}"#,
                "tensor 'a' has 1 elements where shape [2] takes 2"
            ),
            (
                #"{"inputs":[{"name":"a","shape":[1],"datatype":"INT8","data":[300]}]}"#,
                "tensor 'a' takes INT8"
            ),
            (
                #"{"inputs":[{"name":"a","shape":[-1],"datatype":"INT8","data":[]}]}"#,
                "impossible shape"
            ),
            (
                #"{"inputs":[{"name":"a","shape":[2,2],"datatype":"INT8","data":[[1],[2,3]]}]}"#,
                "tensor 'a'"
            ),
            (
                #"{"inputs":[{"name":"a","shape":[2,2],"datatype":"INT8","data":[[1,2,3,4]]}]}"#,
                "flat or nested"
            ),
            (#"{"inputs":[],"inputs":[]}"#, "'inputs' twice"),
            (#"{"inputs":[{"shape":[1],"datatype":"INT8","data":[1]}]}"#, "no 'name'"),
            (
                #"{"inputs":[{"name":"a","shape":[1],"datatype":"INT8"}]}"#,
                "tensor 'a' has no 'data'"
            ),
            (
                #"{"inputs":[{"name":"a","shape":[1],"datatype":"INT8","parameters":{"binary_data_size":1}}]}"#,
                "binary_data_size"
            ),
            (
                #"{"inputs":[{"name":"a","shape":[1],"datatype":"INT8","data":[1]},{"name":"a","shape":[1],"datatype":"INT8","data":[1]}]}"#,
                "'a' twice"
            ),
            (
                #"{"inputs":[{"name":"a","shape":[2],"datatype":"BYTES","data":[["x"],"y"]}]}"#,
                "differ in depth"
            ),
            (
                #"{"inputs":[{"name":"a","shape":[1],"datatype":"BYTES","data":[1]}]}"#,
                "a string is missing"
            ),
        ]
    )
    func errors(body: String, part: String) {
        let found = sentence { _ = try InferenceRequest(body: Array(body.utf8), headerLength: nil) }
        #expect(found?.contains(part) ?? false, "\(found ?? "no failure")")
    }

    @Test("A tensor of no bytes needs no header that says where they begin (Triton)")
    func noBytes() throws {
        let body = Kept(
            #"{"model_name":"m","outputs":[{"name":"a","shape":[0,3],"datatype":"FP32","parameters":{"binary_data_size":0}}]}"#
        )
        let response = try unsafe InferenceResponse(json: body.bytes)
        #expect(try response.outputs[0].bytes.isEmpty && response.outputs[0].parameters.isEmpty)
    }

    @Test(
        "A header length outside the body, and bytes too many or too few, are refused",
        arguments: [(-1, 0), (1_000, 0), (nil, 1), (0, 3)] as [(Int?, Int)]
    )
    func lengths(length: Int?, extra: Int) {
        let json = Array(
            #"{"inputs":[{"name":"a","shape":[2],"datatype":"INT8","parameters":{"binary_data_size":2}}]}"#
                .utf8
        )
        let kept = Kept(json + [1, 2] + [UInt8](repeating: 0, count: extra))
        let given = length == 0 ? json.count : length
        #expect(
            sentence { _ = try unsafe InferenceRequest(json: kept.bytes, headerLength: given) }
                != nil
        )
    }

    @Test("Numbers beyond 2^53, nulls and shared memory are read for what they are")
    func details() throws {
        let body = Kept(
            #"{"id":null,"parameters":{"n":9007199254740993,"u":18446744073709551615,"o":{"a":[1]},"z":null},"inputs":[{"name":"a","shape":[1],"datatype":"INT64","data":[9007199254740993]},{"name":"s","shape":[8],"datatype":"FP32","parameters":{"shared_memory_region":"r","shared_memory_byte_size":32}}],"outputs":null}"#
        )
        let request = try unsafe InferenceRequest(json: body.bytes)
        #expect(request.id.isEmpty && request.outputs.isEmpty)
        #expect(request.parameters["n"] == .int64(9_007_199_254_740_993))
        #expect(request.parameters["u"] == .uint64(.max))
        #expect(request.parameters["o"] == .json(#"{"a":[1]}"#))
        #expect(request.parameters["z"] == nil)
        #expect(try request.inputs[0].bytes == [1, 0, 0, 0, 0, 0, 32, 0])
        #expect(Cacheability(request) == .bypass(.sharedMemory))
        // Protobuf has no parameters that are objects: they are told as text.
        let message = Kept(
            try written { output, scratch throws(InferenceFailure) in
                try request.writeProtobuf(to: &output, scratch: &scratch, .generic)
            }.bytes
        )
        let told = try unsafe InferenceRequest(protobuf: message.bytes)
        #expect(told.parameters["o"] == .string(#"{"a":[1]}"#))
    }

    @Test("BYTES that aren't text become marked base64 in JSON, and text again behind it")
    func base64() throws {
        let tensor = Tensor(
            name: "x",
            datatype: .bytes,
            shape: [2],
            bytes: [2, 0, 0, 0, 0xFF, 0xFE, 0, 0, 0, 0]
        )
        let response = InferenceResponse(
            modelName: "m",
            modelVersion: "",
            id: "",
            outputs: [tensor]
        )
        let (bytes, _) = try Self.write(response, .json)
        #expect(
            text(bytes)
                == #"{"model_name":"m","outputs":[{"name":"x","datatype":"BYTES","shape":[2],"parameters":{"content_type":"base64"},"data":["//4=",""]}]}"#
        )
        // To MLServer the same mark is its model's business: strings stay strings.
        let kept = Kept(bytes)
        let read = try unsafe InferenceResponse(json: kept.bytes)
        var scratch = ByteBuffer(pool: BufferPool())
        let raw = try unsafe [UInt8](read.outputs[0].raw(&scratch, .mlserver))
        #expect(raw == [4, 0, 0, 0] + Array("//4=".utf8) + [0, 0, 0, 0])
    }

    @Test("A sentence stays short, whatever name or shape it is about")
    func longNames() {
        let shape = [String](repeating: "1", count: 100_000).joined(separator: ",")
        let body = #"{"inputs":[{"name":"x","shape":[-1,\#(shape)],"datatype":"INT8","data":[]}]}"#
        let found = sentence { _ = try InferenceRequest(body: Array(body.utf8), headerLength: nil) }
        #expect((found?.utf8.count ?? 0) < 700 && found?.hasPrefix("tensor 'x'") ?? false)
    }

    @Test("A raw request is the model's one input")
    func rawBody() throws {
        let signature = ModelSignature(
            inputs: [TensorSignature("x", .fp32, [-1, -1, 2])],
            outputs: []
        )
        let kept = Kept([UInt8](repeating: 0, count: 24))
        let request = try unsafe InferenceRequest(rawBody: kept.bytes, signature)
        #expect(request.inputs[0].shape == [1, 3, 2] && request.prefersBinary)
        let bad = Kept([UInt8](repeating: 0, count: 23))
        #expect(sentence { _ = try unsafe InferenceRequest(rawBody: bad.bytes, signature) } != nil)
    }
}
