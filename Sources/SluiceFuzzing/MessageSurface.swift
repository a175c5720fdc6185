// Messages of the Open Inference Protocol, in their three forms.
//
// protobuf: [mode][message]; mode 1 is an answer, 2 is cut into rows.
// binary:   [mode][length of the JSON, two bytes][JSON][binary data]; mode 1 is raw data alone, 2 is
//           cut into rows, 3 is an answer.
//
// What is read is written in every other form and read again: the canonical form, which the cache
// digests, must stay what it was, and memory is bounded by what came.
import SluiceCore
import SluiceInference
import SluiceWire

enum MessageSurface {
    /// What a hostile message may make of itself: text as base64 in JSON with every name spelt out.
    private static func bound(_ count: Int) -> Int { 64 * count + 4096 }

    static func protobuf(_ bytes: UnsafeRawBufferPointer) throws(Finding) {
        guard let mode = unsafe bytes.first else { return }
        let message = unsafe bytes.after(1)
        switch mode & 3 {
        case 1:
            guard let response = try? unsafe InferenceResponse(protobuf: message) else { return }
            try check(response, message.count)
        case 2: try unsafe RowSurface.check(message, .grpc, headerLength: nil)
        default:
            guard let request = try? unsafe InferenceRequest(protobuf: message) else { return }
            try check(request, message.count)
        }
    }

    static func binary(_ bytes: UnsafeRawBufferPointer) throws(Finding) {
        guard bytes.count >= 3 else { return }
        let mode = unsafe bytes[0]
        let length = unsafe Int(bytes[1]) << 8 | Int(bytes[2])
        let body = unsafe bytes.after(3)
        switch mode & 7 {
        case 1:
            let signature = mode & 8 == 0 ? V1Surface.one : V1Surface.two
            guard let request = try? unsafe InferenceRequest(rawBody: body, signature) else {
                return
            }
            try check(request, body.count)
        case 2: try unsafe RowSurface.check(body, headerLength: length)
        case 3:
            guard let response = try? unsafe InferenceResponse(json: body, headerLength: length)
            else { return }
            try check(response, body.count)
        default: try unsafe json(body, headerLength: length)
        }
    }

    static func json(_ body: UnsafeRawBufferPointer, headerLength: Int?) throws(Finding) {
        let read = try? unsafe InferenceRequest(json: body, headerLength: headerLength)
        guard let read else { return }
        try check(read, body.count)
    }

    /// Writes it as protobuf, reads that, and on to JSON, each time asking for its digest.
    private static func check(_ request: InferenceRequest, _ count: Int) throws(Finding) {
        let pool = BufferPool()
        var output = ByteBuffer(pool: pool)
        var scratch = ByteBuffer(pool: pool)
        var second = ByteBuffer(pool: pool)
        guard (try? request.writeProtobuf(to: &output, scratch: &scratch, .generic)) != nil else {
            return
        }
        try expect(output.count <= bound(count), "\(output.count) bytes of \(count)")
        guard let again = try? unsafe InferenceRequest(protobuf: output.bytes) else {
            throw Finding("what was written as protobuf isn't read: \(request)")
        }
        let digest = digest(asProtobufHasIt(request), &scratch)
        try expect(self.digest(again, &scratch) == digest, "protobuf changed \(request)")
        // JSON can't say everything.
        guard let length = try? again.writeJSON(to: &second, scratch: &scratch, .generic) else {
            return
        }
        try expect(second.count <= bound(count), "\(second.count) bytes of \(count)")
        guard let third = try? unsafe InferenceRequest(json: second.bytes, headerLength: length)
        else { throw Finding("what was written as JSON isn't read: \(request)") }
        try expect(
            third.inputs.count == request.inputs.count && third.id == request.id,
            "JSON changed \(request)"
        )
        // JSON knows one NaN, tensors know many.
        let hasNaN = unsafe String(decoding: second.bytes, as: UTF8.self).contains("NaN")
        try expect(
            hasNaN || self.digest(third, &scratch) == digest,
            "JSON changed the data of \(request)"
        )
    }

    /// The request with the parameters that protobuf has for it: lists and objects are texts there.
    private static func asProtobufHasIt(_ request: InferenceRequest) -> InferenceRequest {
        var request = request
        request.parameters = asProtobufHasThem(request.parameters)
        for index in request.inputs.indices {
            request.inputs[index].parameters = asProtobufHasThem(request.inputs[index].parameters)
        }
        for index in request.outputs.indices {
            request.outputs[index].parameters = asProtobufHasThem(request.outputs[index].parameters)
        }
        return request
    }

    private static func asProtobufHasThem(_ parameters: Parameters) -> Parameters {
        var parameters = parameters
        for entry in parameters.entries {
            if case .json(let text) = entry.value { parameters[entry.name] = .string(text) }
        }
        return parameters
    }

    /// What the cache would know it by; nil where it isn't cached.
    private static func digest(
        _ request: InferenceRequest,
        _ scratch: inout ByteBuffer
    ) -> [UInt8]? {
        var request = request
        request.modelVersion = ""
        guard !request.inputs.contains(where: \.isInSharedMemory) else { return nil }
        var digest: [UInt8] = []
        do throws(InferenceFailure) {
            unsafe try CanonicalRequest.write(
                request,
                .empty,
                .generic,
                scratch: &scratch
            ) { unsafe digest.append(contentsOf: $0) }
        } catch {
            return nil
        }
        return digest
    }

    /// Writes an answer as protobuf, in both ways it has for tensors, and as JSON.
    private static func check(_ response: InferenceResponse, _ count: Int) throws(Finding) {
        let pool = BufferPool()
        var output = ByteBuffer(pool: pool)
        var scratch = ByteBuffer(pool: pool)
        for isRaw in [true, false] {
            output.removeAll()
            let isWritten: Void? = try? response.writeProtobuf(
                raw: isRaw,
                to: &output,
                scratch: &scratch,
                .generic
            )
            guard isWritten != nil else { continue }
            try expect(output.count <= bound(count), "\(output.count) bytes of \(count)")
            guard let again = try? unsafe InferenceResponse(protobuf: output.bytes) else {
                throw Finding("what was written as protobuf isn't read: \(response)")
            }
            try expect(
                again.outputs.map(\.name) == response.outputs.map(\.name),
                "protobuf changed \(response)"
            )
        }
        output.removeAll()
        let responseFormat = ResponseFormat(.v2, InferenceRequest())
        let written = try? response.writeJSON(
            for: responseFormat,
            to: &output,
            scratch: &scratch,
            .generic
        )
        guard let length = written else { return }
        try expect(output.count <= bound(count), "\(output.count) bytes of \(count)")
        let again = try? unsafe InferenceResponse(json: output.bytes, headerLength: length)
        try expect(
            again?.outputs.map(\.name) == response.outputs.map(\.name),
            "JSON changed \(response)"
        )
    }
}

/// V1 requests and answers, translated for a model that is known.
enum V1Surface {
    static let one = ModelSignature(
        inputs: [TensorSignature("x", .fp32, [-1, 2])],
        outputs: [TensorSignature("y", .int64, [-1])]
    )
    static let two = ModelSignature(
        inputs: [TensorSignature("a", .int64, [-1]), TensorSignature("b", .bytes, [-1, 2])],
        outputs: [TensorSignature("p", .fp64, [-1]), TensorSignature("q", .bytes, [-1])]
    )
    static func check(_ text: UnsafeRawBufferPointer) throws(Finding) {
        let pool = BufferPool()
        var output = ByteBuffer(pool: pool)
        var scratch = ByteBuffer(pool: pool)
        for signature in [one, two] {
            output.removeAll()
            let codec = Transcoder(caller: .v1, backend: .grpc, .triton, signature: signature)
            let call = try? unsafe codec.request(text, model: "m", to: &output, scratch: &scratch)
            if call != nil {
                try unsafe expect(
                    (try? InferenceRequest(protobuf: output.bytes)) != nil,
                    "a request that isn't read"
                )
            }
            output.removeAll()
            let back = Transcoder(caller: .grpc, backend: .v1, .kserve, signature: signature)
            let responseFormat = ResponseFormat(.grpc, InferenceRequest())
            let answer = try? unsafe back.answer(
                text,
                for: responseFormat,
                to: &output,
                scratch: &scratch
            )
            if answer != nil {
                try unsafe expect(
                    (try? InferenceResponse(protobuf: output.bytes)) != nil,
                    "an answer that isn't read"
                )
            }
        }
    }
}

/// Answers of two rows.
enum RowSurface {
    static func check(
        _ body: UnsafeRawBufferPointer,
        _ form: ResponseFormat.APIForm? = nil,
        headerLength: Int?
    ) throws(Finding) {
        let pool = BufferPool()
        var output = ByteBuffer(pool: pool)
        var scratch = ByteBuffer(pool: pool)
        for form in form.map({ [$0] }) ?? (headerLength == nil ? [.v1, .v2] : [.v2]) {
            let responseFormat = ResponseFormat(form, InferenceRequest())
            let records = try? unsafe RowAnswer.cut(
                body,
                headerLength: headerLength,
                rows: 2,
                for: responseFormat,
                .generic,
                scratch: &scratch
            )
            guard let records else { continue }
            try expect(records.count == 2, "\(records.count) records of two rows")
            output.removeAll()
            let length = join(records, responseFormat, &output, &scratch)
            // A message's fields may come in any order; and a text with somebody's id is written anew
            // without it, if it can be.
            let read = try? unsafe InferenceResponse(json: body, headerLength: headerLength)
            let isAnew = form == .grpc || read?.id.isEmpty == false
            try expect(isAnew || length != nil, "the rows can't be put together: \(records)")
            try unsafe expect(
                isAnew || output.bytes.elementsEqual(body) && length == .some(headerLength),
                "the rows make another answer: \(Array(output.bytes))"
            )
            // One of the records is somebody else's.
            var (first, second) = (records[0], records[1])
            first[first.count / 2] ^= 1
            second.removeLast(second.count / 3)
            for other in [ResponseFormat.APIForm.v1, .v2, .grpc] {
                let responseFormat = ResponseFormat(other, InferenceRequest())
                output.removeAll()
                _ = join([records[0], second], responseFormat, &output, &scratch)
                output.removeAll()
                _ = join([first, records[1]], responseFormat, &output, &scratch)
            }
        }
    }

    private static func join(
        _ records: [[UInt8]],
        _ responseFormat: ResponseFormat,
        _ output: inout ByteBuffer,
        _ scratch: inout ByteBuffer
    ) -> Int?? {
        unsafe records[0].withUnsafeBytes { one in
            unsafe records[1].withUnsafeBytes { other -> Int?? in
                do throws(InferenceFailure) {
                    return unsafe .some(
                        try RowAnswer.join(
                            [one, other],
                            for: responseFormat,
                            RowSeparators(),
                            .generic,
                            to: &output,
                            scratch: &scratch
                        )
                    )
                } catch {
                    return nil
                }
            }
        }
    }
}
