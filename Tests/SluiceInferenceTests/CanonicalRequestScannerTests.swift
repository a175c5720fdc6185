import SluiceCore
import SluiceInference
import SluiceTestKit
import Testing

/// The scan must say what the general reader says, bit for bit, or leave the word to it.
@Suite("The scan of a question")
struct CanonicalRequestScannerTests {
    /// How requests come.
    enum Wire: CaseIterable { case raw, typed, json, binary }

    private static let model = "echo"
    private static let revision: [UInt8] = [1, 2, 0, 3]
    private static let version = "7"

    /// What the general reader makes of a request; nil if it refuses it.
    static func general(
        _ body: UnsafeRawBufferPointer,
        _ length: Int?,
        isREST: Bool
    ) -> (
        text: [UInt8], responseFormat: ResponseFormat
    )? {
        var scratch = ByteBuffer(pool: BufferPool(retainedMaximum: 0))
        var found: [UInt8] = []
        do {
            var request =
                isREST
                ? try unsafe InferenceRequest(json: body, headerLength: length)
                : try unsafe InferenceRequest(protobuf: body)
            if isREST { request.modelVersion = version }
            guard Cacheability(request) == .cacheable else { return nil }
            try OwnedKeyContext(model, revision, version).withContext { context in
                unsafe try CanonicalRequest.write(
                    request,
                    context,
                    .generic,
                    scratch: &scratch
                ) { unsafe found.append(contentsOf: $0) }
            }
            return (found, ResponseFormat(isREST ? .v2 : .grpc, request))
        } catch {
            return nil
        }
    }

    /// What the scan makes of it; nil if it leaves it to the general reader.
    static func scanned(
        _ scan: inout CanonicalRequestScanner,
        _ body: UnsafeRawBufferPointer,
        _ length: Int?,
        isREST: Bool
    ) -> (text: [UInt8], responseFormat: ResponseFormat)? {
        var scratch = ByteBuffer(pool: BufferPool(retainedMaximum: 0))
        var found: [UInt8] = []
        let version = Kept(version)
        let isRead =
            isREST
            ? unsafe scan.read(body: body, headerLength: length, version: version.bytes)
            : unsafe scan.read(message: body)
        guard isRead else { return nil }
        let isWritten = OwnedKeyContext(model, revision, Self.version).withContext { context in
            unsafe scan.write(context, scratch: &scratch) {
                unsafe found.append(contentsOf: $0)
            }
        }
        return withExtendedLifetime(version) {
            isWritten ? (found, scan.responseFormat) : nil
        }
    }

    /// A request as clients write them.
    private static func request(
        _ datatype: DataType,
        _ random: inout RandomSource,
        isText: Bool
    ) -> InferenceRequest {
        let types = DataType.allCases
        var request = InferenceRequest()
        request.modelName = model
        if random.next(below: 2) == 0 { request.id = "\(random.next())" }
        if random.next(below: 3) == 0 { request.modelVersion = version }
        if random.next(below: 3) == 0 { request.parameters["priority"] = .int64(1) }
        if random.next(below: 3) == 0 {
            request.parameters["z"] = .uint64(.max)
            request.parameters["a"] = .string("text")
            request.parameters["ab"] = .bool(random.next(below: 2) == 0)
            request.parameters["c"] = .double(0.25)
        }
        let names = ["x", "input", "a", "attention_mask", "input_ids"]
        for index in 0..<(1 + random.next(below: names.count)) {
            request.inputs.append(
                Tensor.random(
                    index == 0 ? datatype : types[random.next(below: types.count)],
                    name: names[index],
                    isText: isText,
                    &random
                )
            )
            if random.next(below: 4) == 0 {
                request.inputs[index].parameters["scale"] = .int64(-3)
                request.inputs[index].parameters["kind"] = .string("k")
            }
        }
        for index in 0..<random.next(below: 3) {
            request.outputs.append(RequestedOutput(name: ["y", "x"][index]))
            if random.next(below: 2) == 0 { request.outputs[index].isBinary = true }
        }
        return request
    }

    /// `request` in bytes; REST has a header length where tensors follow its JSON.
    private static func written(
        _ request: InferenceRequest,
        _ wire: Wire
    ) throws -> (bytes: [UInt8], result: Int?) {
        switch wire {
        case .raw: return (try request.message, nil)
        case .typed:
            // A request differs from an answer in three numbers; this one has neither outputs asked
            // for nor raw contents.
            let response = InferenceResponse(
                modelName: request.modelName,
                modelVersion: request.modelVersion,
                id: request.id,
                outputs: request.inputs
            )
            return (try response.message(raw: false), nil)
        case .json, .binary:
            return try SluiceInferenceTests.written {
                output,
                scratch throws(InferenceFailure) in
                try request.writeJSON(
                    to: &output,
                    scratch: &scratch,
                    wire == .binary ? .triton : .generic
                )
            }
        }
    }

    @Test(
        "Requests of every form and datatype have the same key by either way",
        arguments: DataType.allCases,
        Wire.allCases
    )
    func agrees(datatype: DataType, wire: Wire) throws {
        // Typed contents have no such form, and JSON has none for these.
        let isShort = datatype == .fp16 || datatype == .bf16
        if wire == .typed, isShort { return }
        var random = RandomSource(seed: 11)
        var scan = CanonicalRequestScanner()
        var (count, scannedCount) = (0, 0)
        for _ in 0..<200 {
            let isText = wire == .json || random.next(below: 2) == 0
            let request = Self.request(datatype, &random, isText: isText)
            if wire == .typed,
                request.inputs.contains(where: { $0.datatype == .fp16 || $0.datatype == .bf16 })
            {
                continue
            }
            let (body, length) = try Self.written(request, wire)
            let isREST = wire == .json || wire == .binary
            try unsafe body.withUnsafeBytes { raw in
                let expected = try #require(
                    unsafe Self.general(raw, length, isREST: isREST)
                )
                count += 1
                let found = unsafe Self.scanned(&scan, raw, length, isREST: isREST)
                guard let found else { return }
                scannedCount += 1
                #expect(found.text == expected.text)
                #expect(found.responseFormat == expected.responseFormat)
            }
        }
        // Left to the general reader: strings with parameters, or nested, and typed contents of nothing.
        #expect(scannedCount * 2 > count, "\(scannedCount) of \(count)")
    }

    @Test(
        "What the scan says of broken requests, the general reader says",
        arguments: Wire.allCases
    )
    func broken(wire: Wire) throws {
        var random = RandomSource(seed: 12)
        var scan = CanonicalRequestScanner()
        let isREST = wire == .json || wire == .binary
        var seeds: [([UInt8], Int?)] = []
        while seeds.count < 300 {
            let datatype = DataType.allCases[random.next(below: 14)]
            let request = Self.request(datatype, &random, isText: true)
            if let seed = try? Self.written(request, wire) { seeds.append(seed) }
        }
        var understood = 0
        for _ in 0..<Environment.fuzzIterations(otherwise: 20_000) {
            var (bytes, length) = seeds[random.next(below: seeds.count)]
            let before = bytes.count
            FuzzTests.mutate(&bytes, &random)
            if let given = length, random.next(below: 4) > 0 {
                length = given + bytes.count - before
            }
            unsafe bytes.withUnsafeBytes { raw in
                guard let found = unsafe Self.scanned(&scan, raw, length, isREST: isREST) else {
                    return
                }
                understood += 1
                let expected = unsafe Self.general(raw, length, isREST: isREST)
                #expect(found.text == expected?.text, "\(bytes)")
                #expect(found.responseFormat == expected?.responseFormat, "\(bytes)")
            }
        }
        #expect(understood > 100)
    }

    @Test(
        "The common forms are scanned, not left to the general reader",
        arguments: [
            #"{"inputs":[{"name":"x","shape":[1,4],"datatype":"FP32","data":[[5.1,3.5,1.4,0.2]]}]}"#,
            #"{"id":"7","inputs":[{"name":"x","datatype":"BYTES","shape":[2],"data":["a\n","b"]}]}"#,
            #"{"inputs":[{"name":"b","shape":[1],"datatype":"INT64","data":[1]},"#
                + #"{"name":"a","shape":[1],"datatype":"BOOL","data":[true],"parameters":{"p":1.5}}],"#
                + #""outputs":[{"name":"y","parameters":{"binary_data":false}}],"#
                + #""parameters":{"binary_data_output":true,"timeout":5}}"#,
        ]
    )
    func common(json: String) throws {
        var scan = CanonicalRequestScanner()
        let kept = Kept(json)
        let found = try #require(unsafe Self.scanned(&scan, kept.bytes, nil, isREST: true))
        let expected = try #require(unsafe Self.general(kept.bytes, nil, isREST: true))
        #expect(found.text == expected.text)
        #expect(found.responseFormat == expected.responseFormat)
    }

    @Test(
        "What decides about the cache, or is out of the ordinary, is left to the general reader",
        arguments: [
            #""parameters":{"sequence_id":5}"#, #""parameters":{"sequence_start":true}"#,
            #""parameters":{"triton_enable_empty_final_response":true}"#,
            #""parameters":{"a":[1]}"#, #""parameters":{"a":1,"a":2}"#, #""id":"ä""#,
            #""outputs":[{"name":"y","parameters":{"classification":2}}]"#,
            #""outputs":[{"name":"y"},{"name":"y"}]"#, #""id":null"#, #""id":"a","id":"b""#,
        ]
    )
    func uncommon(member: String) {
        var scan = CanonicalRequestScanner()
        let input = #"{"name":"x","shape":[1],"datatype":"FP32","data":[1]}"#
        let kept = Kept("{\"inputs\":[\(input)],\(member)}")
        #expect(unsafe Self.scanned(&scan, kept.bytes, nil, isREST: true) == nil)
        // Without it there's nothing to stop at.
        let plain = Kept("{\"inputs\":[\(input)]}")
        #expect(unsafe Self.scanned(&scan, plain.bytes, nil, isREST: true) != nil)
    }

    @Test("Rooms have an end: longer requests are left to the general reader")
    func long() throws {
        var scan = CanonicalRequestScanner()
        func isScanned(_ request: InferenceRequest) throws -> Bool {
            let message = Kept(try request.message)
            return unsafe Self.scanned(&scan, message.bytes, nil, isREST: false) != nil
        }
        var request = InferenceRequest()
        for index in 0..<CanonicalRequestScanner.namedMaximum {
            request.inputs.append(
                Tensor(name: "x\(index)", datatype: .int8, shape: [1], bytes: [1])
            )
            request.outputs.append(RequestedOutput(name: "y\(index)"))
        }
        #expect(try isScanned(request))
        var more = request
        more.inputs.append(Tensor(name: "z", datatype: .int8, shape: [1], bytes: [1]))
        #expect(try !isScanned(more))
        more = request
        more.outputs.append(RequestedOutput(name: "z"))
        #expect(try !isScanned(more))
        more = request
        more.inputs[0].shape = Array(repeating: 1, count: CanonicalRequestScanner.dimensionMaximum)
        #expect(try !isScanned(more))
        more = request
        for index in 0...CanonicalRequestScanner.parameterMaximum {
            more.parameters["p\(index)"] = .int64(1)
        }
        #expect(try !isScanned(more))
    }

    @Test("A large tensor goes to the digest from where it lies, in the same bytes")
    func large() throws {
        var scan = CanonicalRequestScanner()
        for count in [1900, 2048, 2049, 100_000] {
            var request = InferenceRequest()
            let bytes = (0..<count).map { UInt8(truncatingIfNeeded: $0) }
            request.inputs = ["b", "a"].map {
                Tensor(name: $0, datatype: .uint8, shape: [count], bytes: bytes)
            }
            let message = Kept(try request.message)
            let found = try #require(unsafe Self.scanned(&scan, message.bytes, nil, isREST: false))
            let expected = unsafe Self.general(message.bytes, nil, isREST: false)
            #expect(found.text == expected?.text)
        }
    }
}
