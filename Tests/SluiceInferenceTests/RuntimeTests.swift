import SluiceCore
import SluiceInference
import Testing

/// What runtimes do that no protocol says.
@Suite("Runtimes as they are")
struct RuntimeTests {
    private static let floats = ModelSignature(
        inputs: [TensorSignature("x", .fp32, [-1, 2])],
        outputs: [TensorSignature("y", .fp32, [-1, -1, 4])]
    )

    private static func kept(_ response: InferenceResponse) throws -> Kept {
        Kept(try response.message(raw: true))
    }

    // MARK: - MLServer's null

    @Test("To MLServer over REST, NaN goes as null, however the caller wrote it")
    func nullInRequests() throws {
        let nan: [UInt8] = [0, 0, 0xC0, 0x7F, 0, 0, 0, 0x40]
        var request = InferenceRequest()
        request.inputs = [Tensor(name: "x", datatype: .fp32, shape: [1, 2], bytes: nan)]
        let forms: [(ResponseFormat.APIForm, Kept)] = [
            (.v1, Kept(#"{"instances":[[NaN,2]]}"#)), (.v1, Kept(#"{"instances":[[null,2]]}"#)),
            (.grpc, Kept(try request.message)),
            (
                .v2,
                Kept(
                    #"{"inputs":[{"name":"x","datatype":"FP32","shape":[1,2],"data":[NaN,2]}]}"#
                )
            ),
        ]
        for (form, body) in forms {
            let codec = Transcoder(caller: form, backend: .v2, .mlserver, signature: Self.floats)
            let (sent, _) = try TranscoderTests.send(codec, body)
            #expect(text(sent).hasSuffix(#""shape":[1,2],"data":[null,2.0]}]}"#), "\(text(sent))")
        }
        // Infinity isn't NaN, and null can't say it.
        let codec = Transcoder(caller: .v1, backend: .v2, .mlserver, signature: Self.floats)
        let failure = sentence {
            _ = try TranscoderTests.send(codec, Kept(#"{"instances":[[Infinity,2]]}"#))
        }
        #expect(failure?.contains("infinity") ?? false)
    }

    @Test("What MLServer answers as null is NaN in every form, and null again in V2's JSON")
    func nullInAnswers() throws {
        let body = Kept(
            #"{"model_name":"m","outputs":[{"name":"y","datatype":"FP32","shape":[1,2],"data":[1.5,null]}]}"#
        )
        let rest = Transcoder(caller: .grpc, backend: .v2, .mlserver)
        let (message, _) = try TranscoderTests.answer(
            rest,
            body,
            nil,
            ResponseFormat(.grpc, InferenceRequest())
        )
        let response = try InferenceResponse(message: message)
        #expect(try response.outputs[0].bytes == [0, 0, 0xC0, 0x3F, 0, 0, 0xC0, 0x7F])
        let grpc = Transcoder(caller: .v2, backend: .grpc, .mlserver)
        let (json, _) = try TranscoderTests.answer(
            grpc,
            Kept(message),
            nil,
            ResponseFormat(.v2, InferenceRequest())
        )
        #expect(text(json).hasSuffix(#""data":[1.5,null]}]}"#), "\(text(json))")
        // Others are told NaN by its token, as TensorFlow Serving and Triton write it.
        let other = Transcoder(caller: .v2, backend: .grpc, .triton)
        let (token, _) = try TranscoderTests.answer(
            other,
            Kept(message),
            nil,
            ResponseFormat(.v2, InferenceRequest())
        )
        #expect(text(token).hasSuffix(#""data":[1.5,NaN]}]}"#))
        #expect(
            sentence {
                let codec = Transcoder(caller: .grpc, backend: .v2, .triton)
                _ = try TranscoderTests.answer(
                    codec,
                    body,
                    nil,
                    ResponseFormat(.grpc, InferenceRequest())
                )
            } != nil
        )
    }

    // MARK: - Numbers and parameters

    @Test("Whole numbers written with a point are whole numbers, in data and shapes")
    func points() throws {
        let body = Kept(
            #"{"inputs":[{"name":"x","datatype":"INT32","shape":[2.0],"data":[5.0,-7e0]}]}"#
        )
        let request = try unsafe InferenceRequest(json: body.bytes)
        #expect(request.inputs[0].shape == [2])
        #expect(try request.inputs[0].bytes == [5, 0, 0, 0, 0xF9, 0xFF, 0xFF, 0xFF])
        let fraction = Kept(
            #"{"inputs":[{"name":"x","datatype":"INT32","shape":[1],"data":[5.5]}]}"#
        )
        let failure = sentence {
            _ = try unsafe InferenceRequest(json: fraction.bytes).inputs[0].bytes
        }
        #expect(failure?.contains("not a value that INT32 can hold") ?? false)
    }

    @Test("Parameters that are lists or objects pass in JSON, and go to gRPC as their text")
    func parameters() throws {
        let parameters = #"{"headers":{"a":"b"},"list":[1,{"c":null}],"flag":true}"#
        let body = Kept(
            #"{"parameters":\#(parameters),"inputs":[{"name":"x","datatype":"INT8","shape":[1],"parameters":{"l":[1]},"data":[1]}]}"#
        )
        let (rest, _) = try TranscoderTests.send(
            Transcoder(caller: .v2, backend: .v2, .mlserver),
            body
        )
        #expect(text(rest).contains(#""parameters":\#(parameters)"#), "\(text(rest))")
        #expect(text(rest).contains(#""parameters":{"l":[1]}"#))
        for runtimeKind in [RuntimeKind.mlserver, .triton, .kserve, .generic] {
            let (sent, _) = try TranscoderTests.send(
                Transcoder(caller: .v2, backend: .grpc, runtimeKind),
                body
            )
            let request = try InferenceRequest(message: sent)
            #expect(request.parameters["headers"] == .string(#"{"a":"b"}"#))
            #expect(request.parameters["list"] == .string(#"[1,{"c":null}]"#))
            #expect(request.inputs[0].parameters["l"] == .string("[1]"))
        }
    }

    // MARK: - Nothing found

    @Test("Outputs without elements have one entry for each instance")
    func zeroDetections() throws {
        var responseFormat = ResponseFormat(.v1, InferenceRequest())
        responseFormat.layout = .rows(count: 1)
        let codec = Transcoder(caller: .v1, backend: .grpc, .generic, signature: Self.floats)
        func answer(_ shape: [Int], _ datatype: DataType = .fp32) throws -> String {
            let output = Tensor(name: "y", datatype: datatype, shape: shape, bytes: [])
            let response = InferenceResponse(
                modelName: "m",
                modelVersion: "",
                id: "",
                outputs: [output]
            )
            return text(
                try TranscoderTests.answer(codec, Self.kept(response), nil, responseFormat).0
            )
        }
        #expect(try answer([1, 0, 4]) == #"{"predictions":[[]]}"#)
        #expect(try answer([1, 0, 4], .bytes) == #"{"predictions":[[]]}"#)
        responseFormat.layout = .rows(count: 2)
        #expect(try answer([2, 3, 0]) == #"{"predictions":[[[],[],[]],[[],[],[]]]}"#)
        // And back: what the text leaves open the signature says.
        let back = Transcoder(caller: .grpc, backend: .v1, .generic, signature: Self.floats)
        let (message, _) = try TranscoderTests.answer(
            back,
            Kept(#"{"predictions":[[]]}"#),
            nil,
            ResponseFormat(.grpc, InferenceRequest())
        )
        #expect(try InferenceResponse(message: message).outputs[0].shape == [1, 0, 4])
    }

    // MARK: - What would get lost

    @Test(
        "Answers of which something would get lost in another form are known",
        arguments: [
            (#""outputs":[{"name":"y","datatype":"INT8","shape":[1],"data":[1]}]"#, true),
            (#""id":null,"parameters":null,"outputs":[]"#, true),
            (#""outputs":[],"explanation":{"why":"fur"}"#, false),
            (
                #""outputs":[{"name":"y","datatype":"INT8","shape":[1],"data":[1],"labels":["a"]}]"#,
                false
            ),
            (#""outputs":[{"name":"y","datatype":"INT8","shape":[1,1],"data":[[1]]}]"#, false),
            (#""outputs":[{"name":"y","datatype":"INT8","shape":[1,1],"data": [ [1]]}]"#, false),
            (#""outputs":[],"parameters":{"o":{"a":1}}"#, false),
            (
                #""outputs":[{"name":"y","datatype":"INT8","shape":[1],"parameters":{"o":[1]},"data":[1]}]"#,
                false
            ),
        ]
    )
    func losses(members: String, isWhole: Bool) throws {
        let body = Kept("{\(members)}")
        #expect(try unsafe InferenceResponse(json: body.bytes).isWholeInProtobuf == isWhole)
    }

    @Test("Fields of a message that aren't known are known of")
    func unknownFields() throws {
        let output = Tensor(name: "y", datatype: .int8, shape: [1], bytes: [1])
        let response = InferenceResponse(
            modelName: "m",
            modelVersion: "",
            id: "",
            outputs: [output]
        )
        let message = try response.message(raw: true)
        let plain = Kept(message)
        #expect(try unsafe InferenceResponse(protobuf: plain.bytes).isWholeInProtobuf)
        // Field 15, a string of one byte.
        let odd = Kept(message + [15 << 3 | 2, 1, 65])
        #expect(try unsafe !InferenceResponse(protobuf: odd.bytes).isWholeInProtobuf)
    }

    @Test(
        "A request with members that aren't the protocol's isn't cached: they may change its answer"
    )
    func unknownMembersOfRequests() throws {
        let inputs = #""inputs":[{"name":"x","datatype":"INT8","shape":[1],"data":[1]"#
        let plain = #"{\#(inputs)}]}"#
        for (body, isCacheable) in [
            (plain, true), (#"{"explain":true,\#(inputs)}]}"#, false),
            (#"{\#(inputs),"labels":["a"]}]}"#, false),
            (#"{\#(inputs)}],"outputs":[{"name":"y","top":3}]}"#, false),
        ] {
            let kept = Kept(body)
            let request = try unsafe InferenceRequest(json: kept.bytes)
            let expected: Cacheability = isCacheable ? .cacheable : .bypass(.unknownMember)
            #expect(Cacheability(request) == expected, "\(body)")
            var scan = CanonicalRequestScanner()
            let isScanned = unsafe scan.read(
                body: kept.bytes,
                headerLength: nil,
                version: UnsafeRawBufferPointer(start: nil, count: 0)
            )
            #expect(isScanned == isCacheable, "\(body)")
        }
    }

    // MARK: - Rows

    @Test("What would cost the square of a body by rows isn't handled by rows")
    func muchAroundRows() throws {
        let rows = Array(repeating: "[1]", count: 1000).joined(separator: ",")
        func records(_ padding: Int) -> Int? {
            let body = Kept(
                #"{"predictions":[\#(rows)],"note":"\#(String(repeating: "n", count: padding))"}"#
            )
            return try? written { _, scratch throws(InferenceFailure) in
                unsafe try RowAnswer.cut(
                    body.bytes,
                    rows: 1000,
                    for: ResponseFormat(.v1, InferenceRequest()),
                    .generic,
                    scratch: &scratch
                )
            }.result.count
        }
        #expect(records(100) == 1000 && records(100_000) == nil)
        func isKeyed(_ padding: Int) -> Bool {
            let body = Kept(
                #"{"instances":[\#(rows)],"note":"\#(String(repeating: "n", count: padding))"}"#
            )
            var scratch = ByteBuffer(pool: BufferPool(retainedMaximum: 0))
            do {
                let cut = unsafe try TensorRows(try V1Request(body.bytes))
                try OwnedKeyContext().withContext { context in
                    try unsafe cut.writeKeys(
                        context,
                        scratch: &scratch,
                        into: { _ in },
                        finish: {}
                    )
                }
                return true
            } catch {
                return false
            }
        }
        #expect(isKeyed(100) && !isKeyed(100_000))
    }
}
