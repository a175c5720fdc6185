import SluiceCore

// Messages whose tensors own their bytes: for servers and tools, where clarity beats speed.

extension Tensor {
    /// A tensor with little-endian bytes of its own.
    package init(name: String, datatype: DataType, shape: [Int], bytes: [UInt8]) {
        self.init(name: name, datatype: datatype, shape: shape, data: .owned(bytes))
    }

    /// The elements as little-endian bytes, copied out of whatever form they are in.
    package var bytes: [UInt8] {
        get throws(InferenceFailure) {
            if case .owned(let bytes) = data { return bytes }
            var scratch = ByteBuffer(pool: BufferPool(retainedMaximum: 0))
            return unsafe [UInt8](try raw(&scratch, .generic))
        }
    }

    /// The same tensor with bytes of its own.
    fileprivate func owned() throws(InferenceFailure) -> Tensor {
        guard !isInSharedMemory else { throw inSharedMemory }
        var tensor = self
        tensor.data = .owned(try bytes)
        return tensor
    }
}

extension InferenceRequest {
    /// Reads a ModelInferRequest.
    package init(message: [UInt8]) throws(InferenceFailure) {
        self = unsafe try owning(message) { bytes throws(InferenceFailure) in
            try unsafe InferenceRequest(protobuf: bytes).owned()
        }
    }

    /// Reads a REST body.
    package init(body: [UInt8], headerLength: Int?) throws(InferenceFailure) {
        self = unsafe try owning(body) { bytes throws(InferenceFailure) in
            try unsafe InferenceRequest(json: bytes, headerLength: headerLength).owned()
        }
    }

    /// Reads a raw request (`Inference-Header-Content-Length: 0`).
    package init(rawBody: [UInt8], _ signature: ModelSignature) throws(InferenceFailure) {
        self = unsafe try owning(rawBody) { bytes throws(InferenceFailure) in
            try unsafe InferenceRequest(rawBody: bytes, signature).owned()
        }
    }

    /// The request as a ModelInferRequest.
    package var message: [UInt8] {
        get throws(InferenceFailure) {
            var output = ByteBuffer(pool: BufferPool(retainedMaximum: 0))
            var scratch = ByteBuffer(pool: BufferPool(retainedMaximum: 0))
            try writeProtobuf(to: &output, scratch: &scratch, .generic)
            return unsafe [UInt8](output.bytes)
        }
    }

    private func owned() throws(InferenceFailure) -> InferenceRequest {
        var request = self
        for index in inputs.indices { request.inputs[index] = try inputs[index].owned() }
        return request
    }
}

extension InferenceResponse {
    /// An answer.
    package init(modelName: String, modelVersion: String, id: String, outputs: [Tensor]) {
        self.init()
        self.modelName = modelName
        self.modelVersion = modelVersion
        self.id = id
        self.outputs = outputs
    }

    /// Reads a ModelInferResponse.
    package init(message: [UInt8]) throws(InferenceFailure) {
        self = unsafe try owning(message) { bytes throws(InferenceFailure) in
            var response = try unsafe InferenceResponse(protobuf: bytes)
            for index in response.outputs.indices {
                response.outputs[index] = try response.outputs[index].owned()
            }
            return response
        }
    }

    /// The answer as a ModelInferResponse.
    package func message(raw: Bool) throws(InferenceFailure) -> [UInt8] {
        var output = ByteBuffer(pool: BufferPool(retainedMaximum: 0))
        var scratch = ByteBuffer(pool: BufferPool(retainedMaximum: 0))
        try writeProtobuf(raw: raw, to: &output, scratch: &scratch)
        return unsafe [UInt8](output.bytes)
    }

    /// The answer as a REST body and, when tensors follow the JSON, the JSON part's length.
    package func body(
        for request: InferenceRequest
    ) throws(InferenceFailure) -> (bytes: [UInt8], headerLength: Int?) {
        var output = ByteBuffer(pool: BufferPool(retainedMaximum: 0))
        var scratch = ByteBuffer(pool: BufferPool(retainedMaximum: 0))
        let responseFormat = ResponseFormat(.v2, request)
        let length = try writeJSON(for: responseFormat, to: &output, scratch: &scratch)
        return (unsafe [UInt8](output.bytes), length)
    }
}

/// What `read` makes of bytes that stay in place meanwhile.
private func owning<Message>(
    _ bytes: [UInt8],
    _ read: (UnsafeRawBufferPointer) throws(InferenceFailure) -> Message
) throws(InferenceFailure) -> Message {
    let result: Result<Message, InferenceFailure> = unsafe bytes.withUnsafeBytes { raw in
        do throws(InferenceFailure) {
            return .success(unsafe try read(raw))
        } catch {
            return .failure(error)
        }
    }
    return try result.get()
}

extension [UInt8] {
    /// Appends a number's bytes, lowest first.
    package mutating func appendLittleEndian(_ number: some FixedWidthInteger) {
        unsafe Swift.withUnsafeBytes(of: number.littleEndian) { unsafe append(contentsOf: $0) }
    }
}
