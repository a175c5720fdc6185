import SluiceCore
import SluiceInference
import SluiceWire
import Testing

@Suite("Protobuf against another implementation")
struct ProtobufTests {
    static func decode(_ base64: String) throws -> [UInt8] {
        try #require(Base64.decode(base64.utf8))
    }

    @Test(
        "Python's messages are read bit for bit and written back byte for byte",
        arguments: try InferMessageFixture.all()
    )
    func fixtures(fixture: InferMessageFixture) throws {
        let raw = try Self.decode(fixture.raw)
        for (encoded, isRaw) in [(fixture.rawResponse, true), (fixture.typedResponse, false)]
        where !encoded.isEmpty {
            let message = try Self.decode(encoded)
            let response = try InferenceResponse(message: message)
            let output = try #require(response.outputs.first)
            #expect(output.datatype.rawValue == fixture.datatype && output.shape == fixture.shape)
            #expect(try output.bytes == raw)
            #expect(response.id == "i-7" && response.modelVersion == "3")
            #expect(response.parameters["sequence_id"] == .int64(-5))
            // One byte sequence in Python's order of maps and ours, which is the caller's.
            #expect(try response.message(raw: isRaw) == message)
        }
        let request = try InferenceRequest(message: try Self.decode(fixture.request))
        #expect(try request.inputs[0].bytes == raw)
        #expect(request.inputs[0].parameters["content_type"] == .string("np"))
        #expect(request.parameters["a"] == .bool(true) && request.parameters["b"] == .int64(-1))
        #expect(request.parameters["c"] == .string("s") && request.parameters["d"] == .double(0.1))
        #expect(request.parameters["e"] == .uint64(.max))
        #expect(request.outputs[0].parameters["classification"] == .int64(3))
        #expect(request.id == "ä" && request.modelName.count == 130)
    }

    private static func message(_ write: (inout WireWriter) -> Void) -> [UInt8] {
        var writer = WireWriter()
        writer.message(field: 5) { tensor in
            tensor.string(field: 1, "x")
            write(&tensor)
        }
        return writer.bytes
    }

    @Test("Single numbers are read as packed ones are, and unknown fields are skipped")
    func unpacked() throws {
        let message = Self.message { tensor in
            tensor.string(field: 2, "INT16")
            tensor.varint(field: 3, 3)
            tensor.message(field: 5) { contents in
                contents.varint(field: 2, UInt64(bitPattern: -2))
                contents.varint(field: 9, 7)
                contents.bytes(field: 2, [1, 2] as [UInt8])
            }
            tensor.string(field: 77, "later")
        }
        #expect(try InferenceResponse(message: message).outputs[0].bytes == [254, 255, 1, 0, 2, 0])
    }

    @Test("MLServer's FP16 in bytes_contents is FP16")
    func halves() throws {
        let message = Self.message { tensor in
            tensor.string(field: 2, "FP16")
            tensor.varint(field: 3, 2)
            tensor.message(field: 5) { $0.bytes(field: 8, [0, 60, 0, 64] as [UInt8]) }
        }
        #expect(try InferenceResponse(message: message).outputs[0].bytes == [0, 60, 0, 64])
    }

    @Test(
        "Raw contents match the inputs, but for shared memory; only MLServer mixes them with typed ones"
    )
    func rawRules() throws {
        var writer = WireWriter()
        for (name, kind) in [("shared", 0), ("typed", 1), ("raw", 2)] {
            writer.message(field: 5) { tensor in
                tensor.string(field: 1, name)
                tensor.string(field: 2, "INT8")
                tensor.varint(field: 3, 1)
                if kind == 0 {
                    tensor.message(field: 4) { entry in
                        entry.string(field: 1, "shared_memory_region")
                        entry.message(field: 2) { $0.string(field: 3, "r") }
                    }
                }
                if kind == 1 { tensor.message(field: 5) { $0.varint(field: 2, 7) } }
            }
        }
        writer.bytes(field: 7, [9] as [UInt8])
        let kept = Kept(writer.bytes)
        let request = try unsafe InferenceRequest(protobuf: kept.bytes, .mlserver)
        #expect(try request.inputs[1].bytes == [7] && request.inputs[2].bytes == [9])
        let found = sentence { _ = try unsafe InferenceRequest(protobuf: kept.bytes, .triton) }
        #expect(found?.contains("'typed' has contents beside raw contents") ?? false)
    }

    @Test("Contents without an element beside raw contents say nothing, as in MLServer's answers")
    func emptyContents() throws {
        var writer = WireWriter()
        for name in ["a", "b"] {
            writer.message(field: 5) { tensor in
                tensor.string(field: 1, name)
                tensor.string(field: 2, "INT8")
                tensor.varint(field: 3, 1)
                tensor.message(field: 5) { _ in }
            }
        }
        var answer = writer
        for value: UInt8 in [7, 9] {
            writer.bytes(field: 7, [value])
            answer.bytes(field: 6, [value])
        }
        for runtimeKind in [RuntimeKind.mlserver, .generic] {
            let kept = Kept(writer.bytes)
            let request = try unsafe InferenceRequest(protobuf: kept.bytes, runtimeKind)
            #expect(request.isRaw)
            #expect(try request.inputs.map { try $0.bytes } == [[7], [9]])
            let told = Kept(answer.bytes)
            let response = try unsafe InferenceResponse(protobuf: told.bytes, runtimeKind)
            #expect(try response.outputs.map { try $0.bytes } == [[7], [9]])
        }
    }

    @Test("Metadata in JSON, protobuf and TensorFlow Serving's words is one signature")
    func signatures() throws {
        let json = try ModelSignature(
            json: Array(
                #"{"name":"m","inputs":[{"name":"x","datatype":"FP32","shape":[-1,4]}],"outputs":[{"name":"y","datatype":"BYTES","shape":[-1]}]}"#
                    .utf8
            )
        )
        var writer = WireWriter()
        for (field, name, kind, shape) in [(4, "x", "FP32", [-1, 4]), (5, "y", "BYTES", [-1])] {
            writer.message(field: field) { tensor in
                tensor.string(field: 1, name)
                tensor.string(field: 2, kind)
                for size in shape { tensor.varint(field: 3, UInt64(bitPattern: Int64(size))) }
            }
        }
        let kept = Kept(writer.bytes)
        #expect(try unsafe ModelSignature(protobuf: kept.bytes) == json)
        let tensorFlow = try ModelSignature(
            json: Array(
                #"{"model_spec":{},"metadata":{"signature_def":{"signature_def":{"serving_default":{"inputs":{"x":{"dtype":"DT_FLOAT","tensor_shape":{"dim":[{"size":"-1"},{"size":"4"}]}}},"outputs":{"y":{"dtype":"DT_STRING","tensor_shape":{"dim":[{"size":"-1"}]}}}}}}}}"#
                    .utf8
            )
        )
        #expect(tensorFlow == json)
    }
}
