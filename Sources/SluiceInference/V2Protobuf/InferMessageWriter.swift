package import SluiceCore

extension InferenceRequest {
    /// Appends the request as a ModelInferRequest with raw contents, which every server reads.
    ///
    /// Bytes that came as such are copied once, into `output`; others pass through `scratch`.
    /// Parameters that are lists or objects become their JSON as text. Throws for tensors that aren't what their shape says and for parameters the dialect has no field for.
    package func writeProtobuf(
        to output: inout ByteBuffer,
        scratch: inout ByteBuffer,
        _ runtimeKind: RuntimeKind
    ) throws(InferenceFailure) {
        output.appendModel(modelName, modelVersion, id)
        try output.append(parameters: parameters, field: 4, runtimeKind)
        for input in inputs {
            guard !input.isInSharedMemory || runtimeKind.hasSharedMemory else {
                throw input.inSharedMemory
            }
            let start = try output.beginTensor(input, runtimeKind)
            output.endField(start)
        }
        for wanted in outputs {
            let start = output.beginField(6)
            output.append(field: 1, text: wanted.name)
            try output.append(parameters: wanted.parameters, field: 2, runtimeKind)
            output.endField(start)
        }
        for input in inputs where !input.isInSharedMemory {
            unsafe output.append(field: 7, bytes: try input.raw(&scratch, runtimeKind))
        }
    }
}

extension InferenceResponse {
    /// Appends the answer as a ModelInferResponse, its outputs raw or as typed contents.
    ///
    /// FP16 and BF16 have no typed form: with one of them all outputs go raw, as KServe does it. Fields
    /// stand in the order of their numbers, as the C++, Python and Go serializers write them.
    package func writeProtobuf(
        raw: Bool,
        to output: inout ByteBuffer,
        scratch: inout ByteBuffer,
        _ runtimeKind: RuntimeKind = .generic
    ) throws(InferenceFailure) {
        let isRaw = raw || outputs.contains { $0.datatype == .fp16 || $0.datatype == .bf16 }
        output.appendModel(modelName, modelVersion, id)
        try output.append(parameters: parameters, field: 4, .generic)
        for tensor in outputs {
            let start = try output.beginTensor(tensor, .generic)
            if !isRaw, !tensor.isInSharedMemory {
                let bytes = try unsafe tensor.raw(&scratch, runtimeKind)
                let contents = output.beginField(5)
                unsafe TypedContents.append(bytes, as: tensor.datatype, to: &output)
                output.endField(contents)
            }
            output.endField(start)
        }
        guard isRaw else { return }
        for tensor in outputs where !tensor.isInSharedMemory {
            unsafe output.append(field: 6, bytes: try tensor.raw(&scratch, runtimeKind))
        }
    }
}

extension ByteBuffer {
    fileprivate mutating func appendModel(_ name: String, _ version: String, _ id: String) {
        if !name.isEmpty { append(field: 1, text: name) }
        if !version.isEmpty { append(field: 2, text: version) }
        if !id.isEmpty { append(field: 3, text: id) }
    }

    /// Appends a tensor's head as field 5 and leaves it open.
    fileprivate mutating func beginTensor(
        _ tensor: Tensor,
        _ runtimeKind: RuntimeKind
    ) throws(InferenceFailure) -> Int {
        let start = beginField(5)
        if !tensor.name.isEmpty { append(field: 1, text: tensor.name) }
        append(field: 2, text: tensor.datatype.rawValue)
        if !tensor.shape.isEmpty {
            let shape = beginField(3)
            for dimension in tensor.shape { append(varint: UInt64(bitPattern: Int64(dimension))) }
            endField(shape)
        }
        try append(parameters: tensor.parameters, field: 4, runtimeKind)
        return start
    }

    /// Appends entries of a `map<string, InferParameter>`.
    fileprivate mutating func append(
        parameters: Parameters,
        field: Int,
        _ runtimeKind: RuntimeKind
    ) throws(InferenceFailure) {
        for entry in parameters.entries {
            let start = beginField(field)
            append(field: 1, text: entry.name)
            let value = beginField(2)
            switch entry.value {
            case .bool(let flag): append(field: 1, varint: flag ? 1 : 0)
            case .int64(let number): append(field: 2, varint: UInt64(bitPattern: number))
            case .string(let text): append(field: 3, text: text)
            case .double(let number):
                // A server without the field would go on as if the parameter weren't there.
                if runtimeKind.hasWideParameters {
                    append(varint: 4 << 3 | 1)
                    append(littleEndian: number.bitPattern)
                } else if let whole = Int64(exactly: number) {
                    append(field: 2, varint: UInt64(bitPattern: whole))
                } else {
                    throw inexpressible(entry, "a fraction", runtimeKind)
                }
            case .uint64(let number):
                guard runtimeKind.hasWideParameters else {
                    throw inexpressible(entry, "a number beyond 63 bits", runtimeKind)
                }
                append(field: 5, varint: number)
            // A list or an object is told as its text: protobuf has no other place for it.
            case .json(let text): append(field: 3, text: text)
            }
            endField(value)
            endField(start)
        }
    }

    private func inexpressible(
        _ entry: Parameters.Entry,
        _ what: String,
        _ runtimeKind: RuntimeKind
    ) -> InferenceFailure {
        InferenceFailure(
            "parameter '\(entry.name)' is \(what), which gRPC to a \(runtimeKind.rawValue) backend can't carry; send it as text",
            .inexpressible
        )
    }
}
