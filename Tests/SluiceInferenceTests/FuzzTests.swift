import SluiceCore
import SluiceInference
import SluiceTestKit
import SluiceWire
import Testing

/// Anything may come; whatever is read must be written and read again as the same.
///
/// `SLUICE_FUZZ_ITERATIONS` sets the number of rounds.
@Suite("Hostile bytes")
struct FuzzTests {
    /// A message with bytes changed, cut, doubled and put in from elsewhere.
    static func mutate(_ bytes: inout [UInt8], _ random: inout RandomSource) {
        let words = [
            "\"", "[", "]", "{", "}", ",", ":", "\\u00", "NaN", "-", "1e999", "null", "\"data\":",
            "\"shape\":[",
            "\"binary_data_size\":", "\"parameters\":{", "18446744073709551616", "{\"b64\":\"",
            "true",
        ]
        for _ in 0..<(1 + random.next(below: 3)) {
            guard !bytes.isEmpty else { return }
            let place = random.next(below: bytes.count)
            switch random.next(below: 6) {
            case 0: bytes[place] = UInt8(truncatingIfNeeded: random.next())
            case 1: bytes[place] ^= 1 << UInt8(random.next(below: 8))
            case 2:
                bytes.removeSubrange(place..<min(bytes.count, place + 1 + random.next(below: 8)))
            case 3: bytes.insert(contentsOf: words[random.next(below: words.count)].utf8, at: place)
            case 4:
                let end = min(bytes.count, place + random.next(below: 24))
                bytes.insert(
                    contentsOf: Array(bytes[place..<end]),
                    at: random.next(below: bytes.count)
                )
            default: bytes.removeLast(random.next(below: bytes.count))
            }
        }
    }

    /// Small requests of all datatypes.
    private static func request(_ random: inout RandomSource) -> InferenceRequest {
        let types = DataType.allCases
        var request = InferenceRequest()
        request.modelName = "m"
        request.id = "7"
        request.parameters["p"] = .double(0.5)
        request.parameters["q"] = .string("ä")
        let rows = 1 + random.next(below: 2)
        request.inputs = [
            Tensor.random(types[random.next(below: types.count)], rows: rows, &random),
            Tensor.random(types[random.next(below: types.count)], name: "y", rows: rows, &random),
        ]
        request.outputs = [RequestedOutput(name: "z")]
        return request
    }

    @Test(
        "Changed V2 messages are refused or are what they say, in every form",
        arguments: [true, false]
    )
    func messages(isJSON: Bool) throws {
        let pool = BufferPool()
        var random = RandomSource(seed: isJSON ? 1 : 2)
        var scratch = ByteBuffer(pool: pool)
        var output = ByteBuffer(pool: pool)
        var second = ByteBuffer(pool: pool)
        var seeds: [([UInt8], Int?)] = []
        for _ in 0..<200 {
            let request = Self.request(&random)
            let response = InferenceResponse(
                modelName: "m",
                modelVersion: "",
                id: "7",
                outputs: request.inputs
            )
            if isJSON {
                seeds.append(
                    try written { output, scratch throws(InferenceFailure) in
                        try request.writeJSON(
                            to: &output,
                            scratch: &scratch,
                            random.next(below: 2) == 0 ? .triton : .generic
                        )
                    }
                )
            } else {
                seeds.append(
                    (
                        try random.next(below: 2) == 0
                            ? request.message : response.message(raw: false), nil
                    )
                )
            }
        }
        var understood = 0
        for _ in 0..<Environment.fuzzIterations(otherwise: 20_000) {
            var (bytes, length) = seeds[random.next(below: seeds.count)]
            let before = bytes.count
            Self.mutate(&bytes, &random)
            // Most changes are in the JSON: its length goes along, so that the rest stays what it was.
            if let given = length, random.next(below: 4) > 0 {
                length = given + bytes.count - before
            }
            let isGood = unsafe bytes.withUnsafeBytes { raw -> Bool in
                (try? unsafe roundTrip(raw, length, isJSON, &output, &second, &scratch)) != nil
            }
            understood += isGood ? 1 : 0
            #expect(output.count <= 64 * bytes.count + 4096, "memory isn't bounded by what came")
        }
        #expect(understood > 0)
    }

    /// Reads a message, writes it as protobuf, and reads that: meaning, as the canonical form has it, stays.
    private func roundTrip(
        _ raw: UnsafeRawBufferPointer,
        _ length: Int?,
        _ isJSON: Bool,
        _ output: inout ByteBuffer,
        _ second: inout ByteBuffer,
        _ scratch: inout ByteBuffer
    ) throws {
        output.removeAll()
        second.removeAll()
        let request =
            isJSON
            ? try unsafe InferenceRequest(json: raw, headerLength: length)
            : try unsafe InferenceRequest(protobuf: raw)
        try request.writeProtobuf(to: &output, scratch: &scratch, .generic)
        if isJSON { unsafe try compare(request, [UInt8](raw.prefix(length ?? raw.count))) }
        let again = try unsafe InferenceRequest(protobuf: output.bytes)
        var digests: [[UInt8]] = []
        for one in [request, again] {
            var digest: [UInt8] = []
            var one = one
            one.modelVersion = ""
            if !one.inputs.contains(where: \.isInSharedMemory) {
                try OwnedKeyContext().withContext { context in
                    unsafe try CanonicalRequest.write(
                        one,
                        context,
                        .generic,
                        scratch: &scratch
                    ) {
                        unsafe digest.append(contentsOf: $0)
                    }
                }
            }
            digests.append(digest)
        }
        // What only JSON can say is text from here on.
        let areText = ([request.parameters] + request.inputs.map(\.parameters)).contains {
            $0.entries.contains { if case .json = $0.value { true } else { false } }
        }
        #expect(digests[0] == digests[1] || areText)
        // And on to JSON and back, unless JSON can't say it.
        guard let written = try? again.writeJSON(to: &second, scratch: &scratch, .generic) else {
            return
        }
        let third = try unsafe InferenceRequest(json: second.bytes, headerLength: written)
        #expect(third.inputs.count == request.inputs.count && third.id == request.id)
    }

    /// A tree and Swift's own number reading must find the same elements in the JSON.
    private func compare(_ request: InferenceRequest, _ json: [UInt8]) throws {
        let tree = try JSONParser.parse(json)
        for (index, tensor) in request.inputs.enumerated() {
            guard case .json = tensor.data, let data = tree["inputs"]?.elements?[index]["data"]
            else { continue }
            var expected: [UInt8] = []
            #expect(Self.flatten(data, tensor, &expected), "what was read isn't there")
            #expect(try tensor.bytes == expected)
        }
    }

    private static func flatten(
        _ value: JSONValue,
        _ tensor: Tensor,
        _ bytes: inout [UInt8]
    ) -> Bool {
        func put(_ number: (some FixedWidthInteger)?) -> Bool {
            if let number { bytes.appendLittleEndian(number) }
            return number != nil
        }
        func float(_ text: String) -> Float {
            text == "NaN"
                ? .nan
                : text.hasSuffix("Infinity")
                    ? (text.first == "-" ? -.infinity : .infinity) : Float(text) ?? 0
        }
        switch (value, tensor.datatype) {
        case (.array(let elements), _):
            return elements.allSatisfy { flatten($0, tensor, &bytes) }
        case (.bool(let flag), .bool): return put(flag ? 1 as UInt8 : 0)
        case (.number(let text), .bool): return put(UInt8(text == "-0" ? "0" : text))
        case (.number(let text), .int8): return put(Int8(text))
        case (.number(let text), .int16): return put(Int16(text))
        case (.number(let text), .int32): return put(Int32(text))
        case (.number(let text), .int64): return put(Int64(text))
        case (.number(let text), .uint8): return put(UInt8(text))
        case (.number(let text), .uint16): return put(UInt16(text))
        case (.number(let text), .uint32): return put(UInt32(text))
        case (.number(let text), .uint64): return put(UInt64(text))
        case (.number(let text), .fp32): return put(float(text).bitPattern)
        case (.number, .fp64): return put(value.double?.bitPattern)
        case (.number(let text), .fp16): return put(Float16(float(text)).bitPattern)
        case (.number(let text), .bf16): return put(ShortFloat.brain(float(text)))
        case (.object(let members), .bytes):
            guard case .string(let text)? = members.first?.value else { return false }
            let decoded = Base64.decode(text.utf8) ?? []
            bytes.appendLittleEndian(UInt32(decoded.count))
            bytes += decoded
            return true
        case (.string(let text), .bytes):
            let isBase64 = tensor.parameters["content_type"] == .string("base64")
            let element = isBase64 ? Base64.decode(text.utf8) ?? [] : Array(text.utf8)
            bytes.appendLittleEndian(UInt32(element.count))
            bytes += element
            return true
        default: return false
        }
    }

    @Test("Changed V1 requests and answers are refused or translated")
    func v1() throws {
        let pool = BufferPool()
        var random = RandomSource(seed: 3)
        var scratch = ByteBuffer(pool: pool)
        var output = ByteBuffer(pool: pool)
        let seeds = [
            #"{"instances":[{"a":1,"b":["x","y"]},{"b":["z",{"b64":"//4="}],"a":2}]}"#,
            #"{"inputs":{"a":[1,2],"b":[["x","y"],["z","\u00e4"]]}}"#,
            #"{"signature_name":"s","instances":[[1,2],[3,4]]}"#,
            #"{"predictions": [{"p": 0.5, "q": "u"}, {"p": 1, "q": "v"}]}"#,
            #"{"outputs": {"p": [0.5, Infinity], "q": ["u", "v"]}}"#,
        ].map { Array($0.utf8) }
        for _ in 0..<Environment.fuzzIterations(otherwise: 20_000) {
            var bytes = seeds[random.next(below: seeds.count)]
            Self.mutate(&bytes, &random)
            unsafe bytes.withUnsafeBytes { raw in
                for signature in [TranscoderTests.one, TranscoderTests.two] {
                    output.removeAll()
                    let codec = Transcoder(
                        caller: .v1,
                        backend: .grpc,
                        .triton,
                        signature: signature
                    )
                    let call = try? unsafe codec.request(
                        raw,
                        model: "m",
                        to: &output,
                        scratch: &scratch
                    )
                    if call != nil {
                        #expect((try? unsafe InferenceRequest(protobuf: output.bytes)) != nil)
                    }
                    output.removeAll()
                    let back = Transcoder(
                        caller: .grpc,
                        backend: .v1,
                        .kserve,
                        signature: signature
                    )
                    let responseFormat = ResponseFormat(.grpc, InferenceRequest())
                    let done: Void? = try? {
                        _ = try unsafe back.answer(
                            raw,
                            for: responseFormat,
                            to: &output,
                            scratch: &scratch
                        )
                    }()
                    if done != nil {
                        #expect((try? unsafe InferenceResponse(protobuf: output.bytes)) != nil)
                    }
                }
            }
        }
    }

    @Test("Changed answers are cut into rows that make them again, or refused; changed records too")
    func rows() throws {
        let pool = BufferPool()
        var random = RandomSource(seed: 4)
        var scratch = ByteBuffer(pool: pool)
        var output = ByteBuffer(pool: pool)
        var seeds: [([UInt8], Int?, ResponseFormat.APIForm)] = [
            (Array(#"{"predictions": [1.5, {"a":[2]}]}"#.utf8), nil, .v1)
        ]
        for number in 0..<120 {
            var tensors: [Tensor] = []
            for name in ["x", "y"] {
                tensors.append(
                    Tensor.random(
                        DataType.allCases[random.next(below: 14)],
                        name: name,
                        rows: 2,
                        &random
                    )
                )
            }
            let response = InferenceResponse(
                modelName: "m",
                modelVersion: "",
                id: "",
                outputs: tensors
            )
            let form = TensorTests.APIForm.allCases[number % 4]
            let (bytes, length) = try TensorTests.write(response, form)
            seeds.append((bytes, length, number % 4 < 2 ? .grpc : .v2))
        }
        var cut = 0
        for _ in 0..<Environment.fuzzIterations(otherwise: 20_000) {
            var (bytes, length, form) = seeds[random.next(below: seeds.count)]
            let before = bytes.count
            if random.next(below: 8) > 0 { Self.mutate(&bytes, &random) }
            if let given = length { length = given + bytes.count - before }
            output.removeAll()
            let records = unsafe bytes.withUnsafeBytes {
                try? unsafe RowAnswer.cut(
                    $0,
                    headerLength: length,
                    rows: 2,
                    for: ResponseFormat(form, InferenceRequest()),
                    .generic,
                    scratch: &scratch
                )
            }
            guard var records else { continue }
            cut += 1
            let responseFormat = ResponseFormat(form, InferenceRequest())
            let again = try RowTests.join(records, responseFormat)
            // A message's fields may come in any order.
            #expect(form == .grpc || again.0 == bytes && again.1 == length)
            Self.mutate(&records[1], &random)
            for form in [ResponseFormat.APIForm.v1, .v2, .grpc] {
                _ = try? RowTests.join(records, ResponseFormat(form, InferenceRequest()))
            }
        }
        #expect(cut > 0)
    }
}
