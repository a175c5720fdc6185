import SluiceCore
import SluiceInference
import Testing

@Suite("Translation between protocols")
struct TranscoderTests {
    static let one = ModelSignature(
        inputs: [TensorSignature("x", .fp32, [-1, 2])],
        outputs: [TensorSignature("y", .int64, [-1])]
    )
    static let two = ModelSignature(
        inputs: [TensorSignature("a", .int64, [-1]), TensorSignature("b", .bytes, [-1, 2])],
        outputs: [TensorSignature("p", .fp64, [-1]), TensorSignature("q", .bytes, [-1])]
    )

    /// What a backend gets for `body`, read back, and what its answer must know.
    static func send(
        _ codec: Transcoder,
        _ body: Kept,
        _ length: Int? = nil
    ) throws -> (bytes: [UInt8], call: Transcoder.Call) {
        let found = try written { output, scratch throws(InferenceFailure) in
            try unsafe codec.request(
                body.bytes,
                headerLength: length,
                model: "m",
                to: &output,
                scratch: &scratch
            )
        }
        return (found.bytes, found.result)
    }

    static func answer(
        _ codec: Transcoder,
        _ body: Kept,
        _ length: Int? = nil,
        _ responseFormat: ResponseFormat
    ) throws -> ([UInt8], Int?) {
        try written { output, scratch throws(InferenceFailure) in
            try unsafe codec.answer(
                body.bytes,
                headerLength: length,
                for: responseFormat,
                to: &output,
                scratch: &scratch
            )
        }
    }

    @Test("Binary tensors reach a backend that reads only JSON, and come back as bytes")
    func binaryToJSON() throws {
        let codec = Transcoder(caller: .v2, backend: .v2, .mlserver)
        let text =
            #"{"parameters":{"binary_data_output":true},"inputs":[{"name":"x","shape":[1],"datatype":"INT32","parameters":{"binary_data_size":4}}]}"#
        let (sent, call) = try Self.send(
            codec,
            Kept(Array(text.utf8) + [7, 1, 0, 0]),
            text.utf8.count
        )
        #expect(call.headerLength == nil)
        #expect(
            String(decoding: sent, as: UTF8.self)
                == #"{"inputs":[{"name":"x","datatype":"INT32","shape":[1],"data":[263]}]}"#
        )
        let told = Kept(
            #"{"model_name":"m","outputs":[{"name":"y","datatype":"INT32","shape":[1],"data":[258]}]}"#
        )
        let (answered, length) = try Self.answer(codec, told, nil, call.responseFormat)
        #expect(length == answered.count - 4)
        #expect(answered.suffix(4) == [2, 1, 0, 0])
    }

    @Test(
        "V2 JSON to gRPC and back: numbers, id and parameters arrive",
        arguments: [RuntimeKind.triton, .mlserver, .kserve, .generic]
    )
    func restToGRPC(runtimeKind: RuntimeKind) throws {
        let codec = Transcoder(caller: .v2, backend: .grpc, runtimeKind)
        let body = Kept(
            #"{"id":"7","parameters":{"n":3},"inputs":[{"name":"x","shape":[1,2],"datatype":"FP32","data":[[1.5,-2]]}],"outputs":[{"name":"y"}]}"#
        )
        let (sent, call) = try Self.send(codec, body)
        let request = try InferenceRequest(message: sent)
        #expect(
            request.modelName == "m" && request.id == "7" && request.parameters["n"] == .int64(3)
        )
        #expect(
            try request.inputs[0].bytes == [0, 0, 0xC0, 0x3F, 0, 0, 0, 0xC0]
                && request.outputs.count == 1
        )
        let output = Tensor(
            name: "y",
            datatype: .int64,
            shape: [1],
            bytes: [1, 0, 0, 0, 0, 0, 32, 0]
        )
        let reply = InferenceResponse(
            modelName: "m",
            modelVersion: "1",
            id: "not mine",
            outputs: [output]
        )
        let (back, length) = try Self.answer(
            codec,
            Kept(try reply.message(raw: true)),
            nil,
            call.responseFormat
        )
        #expect(length == nil)
        #expect(
            text(back)
                == #"{"model_name":"m","model_version":"1","id":"7","outputs":[{"name":"y","datatype":"INT64","shape":[1],"data":[9007199254740993]}]}"#
        )
    }

    @Test("Outputs are binary for whom they were asked so, each by its own wish")
    func binaryFormats() throws {
        let codec = Transcoder(caller: .v2, backend: .grpc, .triton)
        let json = Array(
            #"{"parameters":{"binary_data_output":true},"inputs":[{"name":"x","shape":[1],"datatype":"INT8","parameters":{"binary_data_size":1}}],"outputs":[{"name":"y"},{"name":"z","parameters":{"binary_data":false}}]}"#
                .utf8
        )
        let (sent, call) = try Self.send(codec, Kept(json + [7]), json.count)
        let request = try InferenceRequest(message: sent)
        #expect(try request.inputs[0].bytes == [7] && request.parameters.isEmpty)
        #expect(request.outputs.allSatisfy { $0.parameters.isEmpty })
        let outputs = ["y", "z"].map {
            Tensor(name: $0, datatype: .fp16, shape: [1], bytes: [0, 0x3C])
        }
        let reply = InferenceResponse(modelName: "m", modelVersion: "", id: "", outputs: outputs)
        let (back, length) = try Self.answer(
            codec,
            Kept(try reply.message(raw: true)),
            nil,
            call.responseFormat
        )
        let expected =
            #"{"model_name":"m","outputs":[{"name":"y","datatype":"FP16","shape":[1],"parameters":{"binary_data_size":2}},{"name":"z","datatype":"FP16","shape":[1],"data":[1.0]}]}"#
        #expect(length == expected.utf8.count && back == Array(expected.utf8) + [0, 0x3C])
    }

    @Test(
        "gRPC to REST and back: in kind, raw for raw and typed for typed",
        arguments: [RuntimeKind.triton, .mlserver, .generic],
        [true, false]
    )
    func grpcToREST(runtimeKind: RuntimeKind, isRaw: Bool) throws {
        let codec = Transcoder(caller: .grpc, backend: .v2, runtimeKind)
        let tensor = Tensor(name: "x", datatype: .int16, shape: [2], bytes: [1, 0, 255, 255])
        // A request is an answer with other field numbers for raw contents; typed ones look alike.
        var request = InferenceRequest()
        request.modelName = "m"
        request.id = "9"
        request.inputs = [tensor]
        var response = InferenceResponse(
            modelName: "m",
            modelVersion: "",
            id: "9",
            outputs: [tensor]
        )
        let message = Kept(isRaw ? try request.message : try response.message(raw: false))
        let (sent, call) = try Self.send(codec, message)
        #expect((call.headerLength != nil) == (runtimeKind == .triton))
        let read = try InferenceRequest(body: sent, headerLength: call.headerLength)
        #expect(try read.inputs[0].bytes == tensor.bytes && read.id == "9")
        response.id = ""
        let (reply, length) = try response.body(for: read)
        let (back, _) = try Self.answer(codec, Kept(reply), length, call.responseFormat)
        response.id = "9"
        #expect(try back == response.message(raw: isRaw))
    }

    @Test("V1 rows become the tensor they are, and outputs become rows")
    func v1Rows() throws {
        let codec = Transcoder(caller: .v1, backend: .grpc, .triton, signature: Self.one)
        let (sent, call) = try Self.send(codec, Kept(#"{"instances": [[1, 2], [3.5, NaN]]}"#))
        let request = try InferenceRequest(message: sent)
        #expect(request.inputs[0].shape == [2, 2] && request.inputs[0].name == "x")
        let output = Tensor(
            name: "y",
            datatype: .int64,
            shape: [2],
            bytes: [1, 0, 0, 0, 0, 0, 32, 0, 255, 255, 255, 255, 255, 255, 255, 255]
        )
        let reply = InferenceResponse(modelName: "m", modelVersion: "", id: "", outputs: [output])
        let (back, _) = try Self.answer(
            codec,
            Kept(try reply.message(raw: true)),
            nil,
            call.responseFormat
        )
        #expect(text(back) == #"{"predictions":[9007199254740993,-1]}"#)
    }

    @Test(
        "V1 rows and columns of named tensors are one request",
        arguments: [
            #"{"instances":[{"a":1,"b":["x","y"]},{"b":["z",{"b64":"//4="}],"a":2}]}"#,
            #"{"inputs":{"a":[1,2],"b":[["x","y"],["z",{"b64":"//4="}]]}}"#,
        ]
    )
    func v1Names(body: String) throws {
        let codec = Transcoder(caller: .v1, backend: .grpc, .triton, signature: Self.two)
        let (sent, call) = try Self.send(codec, Kept(body))
        let request = try InferenceRequest(message: sent)
        #expect(request.inputs.map(\.shape) == [[2], [2, 2]])
        #expect(
            try request.inputs[1].bytes == [
                1, 0, 0, 0, 120, 1, 0, 0, 0, 121, 1, 0, 0, 0, 122, 2, 0, 0, 0, 255, 254,
            ]
        )
        let reply = InferenceResponse(
            modelName: "m",
            modelVersion: "",
            id: "",
            outputs: [
                Tensor(
                    name: "p",
                    datatype: .fp64,
                    shape: [2],
                    bytes: [UInt8](repeating: 0, count: 16)
                ),
                Tensor(
                    name: "q_bytes",
                    datatype: .bytes,
                    shape: [2],
                    bytes: [1, 0, 0, 0, 120, 0, 0, 0, 0]
                ),
            ]
        )
        let (back, _) = try Self.answer(
            codec,
            Kept(try reply.message(raw: true)),
            nil,
            call.responseFormat
        )
        let rows =
            #"{"predictions":[{"p":0.0,"q_bytes":{"b64":"eA=="}},{"p":0.0,"q_bytes":{"b64":""}}]}"#
        let columns = #"{"outputs":{"p":[0.0,0.0],"q_bytes":[{"b64":"eA=="},{"b64":""}]}}"#
        #expect(text(back) == (body.contains("instances") ? rows : columns))
    }

    @Test(
        "V2 to a V1 backend: rows for KServe, columns for TensorFlow Serving",
        arguments: [RuntimeKind.kserve, .tfserving]
    )
    func toV1(runtimeKind: RuntimeKind) throws {
        let codec = Transcoder(caller: .grpc, backend: .v1, runtimeKind, signature: Self.two)
        var request = InferenceRequest()
        request.modelName = "m"
        request.id = "5"
        request.inputs = [
            Tensor(
                name: "a",
                datatype: .int64,
                shape: [2],
                bytes: [1, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0]
            ),
            Tensor(
                name: "b",
                datatype: .bytes,
                shape: [2, 2],
                bytes: [1, 0, 0, 0, 120, 1, 0, 0, 0, 121, 1, 0, 0, 0, 122, 1, 0, 0, 0, 255]
            ),
        ]
        request.outputs = [RequestedOutput(name: "q")]
        let (sent, call) = try Self.send(codec, Kept(try request.message))
        let rows = #"{"instances":[{"a":1,"b":["x","y"]},{"a":2,"b":["z",{"b64":"/w=="}]}]}"#
        let columns = #"{"inputs":{"a":[1,2],"b":[["x","y"],["z",{"b64":"/w=="}]]}}"#
        #expect(text(sent) == (runtimeKind == .tfserving ? columns : rows))
        let reply =
            runtimeKind == .tfserving
            ? #"{"outputs": {"p": [0.5, Infinity], "q": ["u", "v"]}}"#
            : #"{"predictions": [{"p": 0.5, "q": "u"}, {"p": 1, "q": "v"}]}"#
        let (back, _) = try Self.answer(codec, Kept(reply), nil, call.responseFormat)
        let response = try InferenceResponse(message: back)
        #expect(
            response.id == "5" && response.outputs.count == 1 && response.outputs[0].name == "q"
        )
        #expect(try response.outputs[0].bytes == [1, 0, 0, 0, 117, 1, 0, 0, 0, 118])
    }

    @Test(
        "What can't be translated says why",
        arguments: [
            (#"{"instances":[1,2]}"#, "has no names"), (#"{"instances":[{"c":1}]}"#, "names 'c'"),
            (#"{"instances":[{"a":1},{"b":["x","y"]}]}"#, "an earlier row lacks it"),
            (#"{"instances":[{"a":1},{}]}"#, "1 of 2 rows"),
            (#"{"instances":[1],"inputs":[1]}"#, "both"),
            (#"{"signature_name":"other","instances":[1]}"#, "'other'"),
            (#"{"context":{},"instances":[1]}"#, "'context'"),
            (#"{"instances":7}"#, "must be a list"),
            (#"{"inputs":{"a":[1,"x"]}}"#, "tensor 'a' takes INT64"), ("{}", "neither"),
            ("nonsense", "not JSON"),
        ]
    )
    func refusals(body: String, part: String) {
        let codec = Transcoder(caller: .v1, backend: .v2, .generic, signature: Self.two)
        let found = sentence { _ = try Self.send(codec, Kept(body)) }
        #expect(found?.contains(part) ?? false, "\(found ?? "no failure")")
        let blind = Transcoder(caller: .v1, backend: .v2, .generic)
        #expect(
            sentence { _ = try Self.send(blind, Kept(#"{"instances":[1]}"#)) }?.contains("metadata")
                ?? false
        )
    }

    @Test("One table takes statuses there and back")
    func statuses() {
        for (grpc, http) in [
            0: 200, 1: 499, 3: 400, 4: 504, 5: 404, 6: 409, 7: 403, 8: 429, 12: 501, 14: 503,
            16: 401,
        ] {
            #expect(StatusTable.http(grpc: grpc) == http && StatusTable.grpc(http: http) == grpc)
        }
        #expect(StatusTable.http(.inexpressible) == 400 && StatusTable.grpc(.inexpressible) == 12)
        #expect(StatusTable.http(.invalid) == 400 && StatusTable.grpc(.invalid) == 3)
        for (http, grpc) in [422: 3, 408: 4, 413: 8, 502: 14, 500: 13, 418: 13] {
            #expect(StatusTable.grpc(http: http) == grpc)
        }
        for (grpc, http) in [2: 500, 9: 400, 10: 409, 11: 400, 13: 500, 15: 500, 99: 500] {
            #expect(StatusTable.http(grpc: grpc) == http)
        }
    }

    @Test(
        "Every runtime's error body gives its sentence",
        arguments: [
            (#"{"error":"no model"}"#, "no model"), (#"{"error":{"message":"m","type":"t"}}"#, "m"),
            (
                #"{"detail":[{"loc":["body","inputs",0],"msg":"Field required"}]}"#,
                "body.inputs.0: Field required"
            ),
            (#"{"detail":"Not Found"}"#, "Not Found"),
            (#"{"code":3,"message":"bad","details":[]}"#, "bad"),
            ("plain\r\ntext", "plaintext"), ("", "the backend answered 503 without a reason"),
        ]
    )
    func errors(body: String, expected: String) {
        let kept = Kept(body)
        let found = unsafe ErrorBody.sentence(in: kept.bytes, status: 503)
        #expect(found == expected)
    }

    @Test("KServe gets no version in its path, whoever asks for one")
    func paths() {
        #expect(RuntimeKind.kserve.inferPath(model: "m", version: "2") == "/v2/models/m/infer")
        #expect(
            RuntimeKind.triton.inferPath(model: "m", version: "2")
                == "/v2/models/m/versions/2/infer"
        )
        #expect(RuntimeKind.generic.inferPath(model: "m", version: "") == "/v2/models/m/infer")
    }

    @Test("Parameters that a dialect's gRPC has no field for are refused, not lost")
    func parameters() throws {
        var request = InferenceRequest()
        request.modelName = "m"
        func fields(
            _ value: InferenceParameter,
            _ runtimeKind: RuntimeKind
        ) throws -> InferenceParameter? {
            request.parameters["p"] = value
            let message = try written { output, scratch throws(InferenceFailure) in
                try request.writeProtobuf(to: &output, scratch: &scratch, runtimeKind)
            }
            return try InferenceRequest(message: message.bytes).parameters["p"]
        }
        #expect(try fields(.double(2), .mlserver) == .int64(2))
        #expect(try fields(.double(2), .triton) == .double(2))
        #expect(try fields(.uint64(1 << 63), .triton) == .uint64(1 << 63))
        #expect(sentence { _ = try fields(.double(0.5), .mlserver) } != nil)
        #expect(sentence { _ = try fields(.uint64(1 << 63), .kserve) } != nil)
    }
}
