package import SluiceCore
import SluiceWire

extension InferenceRequest {
    /// Appends the request as a REST body for a backend; returns the JSON part's length when bytes of
    /// tensors follow it (`Inference-Header-Content-Length`), else nil.
    ///
    /// Which tensors those are is the dialect's ``RuntimeKind/tensorForm``; a backend that is sent bytes is
    /// asked to answer with bytes. Text that came as JSON goes out as it came, so that no digit changes.
    /// Throws for what the backend's JSON can't say.
    package func writeJSON(
        to output: inout ByteBuffer,
        scratch: inout ByteBuffer,
        _ runtimeKind: RuntimeKind
    ) throws(InferenceFailure) -> Int? {
        let start = output.count
        output.append(byte: UInt8(ascii: "{"))
        if !id.isEmpty { output.append(member: "id", text: id) }
        output.append("\"inputs\":[")
        var binary: [Int] = []
        for (index, input) in inputs.enumerated() {
            if index > 0 { output.append(byte: ASCII.comma) }
            if try output.append(tensor: input, .backend(runtimeKind), &scratch) {
                binary.append(index)
            }
        }
        output.append("],")
        // What JSON couldn't say on the way there, FP16 above all, it can't say on the way back.
        let wantsBytes = runtimeKind.tensorForm == .binary || !binary.isEmpty
        var parameters = parameters
        if wantsBytes { parameters["binary_data_output"] = .bool(true) }
        output.append(parameters: parameters)
        output.truncate(1)
        for (index, wanted) in outputs.enumerated() {
            output.append(index == 0 ? ",\"outputs\":[{" : ",{")
            output.append(member: "name", text: wanted.name)
            // Triton heeds the format for all outputs only where none is named.
            var parameters = wanted.parameters
            if wantsBytes { parameters["binary_data"] = .bool(true) }
            output.append(parameters: parameters)
            output.truncate(1)
            output.append(byte: UInt8(ascii: "}"))
        }
        if !outputs.isEmpty { output.append(byte: UInt8(ascii: "]")) }
        output.append(byte: UInt8(ascii: "}"))
        let length = output.count - start
        for index in binary { unsafe output.append(try inputs[index].raw(&scratch, runtimeKind)) }
        return binary.isEmpty ? nil : length
    }
}

extension InferenceResponse {
    /// Appends the answer as a REST body for a caller; returns the JSON part's length when bytes of
    /// tensors follow it, else nil.
    ///
    /// An output is binary when `responseFormat` ask for it. In JSON, FP16 and BF16 are numbers, what isn't
    /// finite is a bare token (as Triton writes it), and BYTES that aren't UTF-8 are base64, marked by
    /// `content_type: base64` (as KServe's proxies do it). `runtimeKind` is the backend's.
    package func writeJSON(
        for responseFormat: ResponseFormat,
        to output: inout ByteBuffer,
        scratch: inout ByteBuffer,
        _ runtimeKind: RuntimeKind = .generic
    ) throws(InferenceFailure) -> Int? {
        let start = output.count
        output.append(byte: UInt8(ascii: "{"))
        output.append(member: "model_name", text: modelName)
        if !modelVersion.isEmpty { output.append(member: "model_version", text: modelVersion) }
        if !id.isEmpty { output.append(member: "id", text: id) }
        output.append(parameters: parameters)
        output.append("\"outputs\":[")
        var binary: [Int] = []
        for (index, tensor) in outputs.enumerated() {
            if index > 0 { output.append(byte: ASCII.comma) }
            let isBinary = responseFormat.wantsBinary(tensor.name)
            if try output.append(tensor: tensor, .caller(runtimeKind, isBinary: isBinary), &scratch)
            {
                binary.append(index)
            }
        }
        output.append("]}")
        let length = output.count - start
        for index in binary { unsafe output.append(try outputs[index].raw(&scratch, runtimeKind)) }
        return binary.isEmpty ? nil : length
    }
}

/// Whom a tensor is written for.
private enum Reader {
    case backend(RuntimeKind)
    case caller(RuntimeKind, isBinary: Bool)
}

extension ByteBuffer {
    /// Appends `"name":"text",`.
    fileprivate mutating func append(member name: StaticString, text: String) {
        append(byte: ASCII.quote)
        append(name)
        append("\":")
        JSONStringText.append(text, to: &self)
        append(byte: ASCII.comma)
    }

    /// Appends `"parameters":{…},`, or nothing when there are none.
    fileprivate mutating func append(parameters: Parameters) {
        guard !parameters.isEmpty else { return }
        append("\"parameters\":{")
        for (index, entry) in parameters.entries.enumerated() {
            if index > 0 { append(byte: ASCII.comma) }
            JSONStringText.append(entry.name, to: &self)
            append(byte: ASCII.colon)
            let place = unsafe reserve(JSONNumberText.room)
            switch entry.value {
            case .bool(let flag): append(flag ? "true" : "false")
            case .int64(let number): commit(unsafe JSONNumberText.write(number, to: place))
            case .uint64(let number): commit(unsafe JSONNumberText.write(number, to: place))
            case .double(let number): commit(unsafe JSONNumberText.write(number, to: place))
            case .string(let text): JSONStringText.append(text, to: &self)
            case .json(let text): append(text: text)
            }
        }
        append("},")
    }

    /// Appends a tensor's object; true means that its bytes are to follow behind the JSON.
    fileprivate mutating func append(
        tensor: Tensor,
        _ reader: Reader,
        _ scratch: inout ByteBuffer
    ) throws(InferenceFailure) -> Bool {
        var tensor = tensor
        append(byte: UInt8(ascii: "{"))
        append(member: "name", text: tensor.name)
        append(member: "datatype", text: tensor.datatype.rawValue)
        append("\"shape\":[")
        for (index, dimension) in tensor.shape.enumerated() {
            if index > 0 { append(byte: ASCII.comma) }
            append(decimal: dimension)
        }
        append("],")
        let isBinary: Bool
        if tensor.isInSharedMemory {
            if case .backend(let runtimeKind) = reader, !runtimeKind.hasSharedMemory {
                throw tensor.inSharedMemory
            }
            isBinary = false
            append(parameters: tensor.parameters)
            truncate(1)
        } else {
            isBinary = try appendData(&tensor, reader, &scratch)
        }
        append(byte: UInt8(ascii: "}"))
        return isBinary
    }

    /// Appends `parameters` and `data`.
    private mutating func appendData(
        _ tensor: inout Tensor,
        _ reader: Reader,
        _ scratch: inout ByteBuffer
    ) throws(InferenceFailure) -> Bool {
        let runtimeKind: RuntimeKind
        var isBinary: Bool
        switch reader {
        case .backend(let backend):
            runtimeKind = backend
            isBinary = backend.tensorForm == .binary
        case .caller(let backend, let requestedFormat):
            runtimeKind = backend
            isBinary = requestedFormat
        }
        // Text for text: no number is read, unless there may be tokens that the backend refuses.
        if !isBinary, case .json(let text) = tensor.data,
            unsafe !mayHaveTokens(text, tensor.datatype, reader)
        {
            // Found by its brackets only; what goes on must be checked first.
            var cursor = unsafe JSONCursor(text)
            do throws(JSONFailure) {
                unsafe try cursor.skip()
                try cursor.finish()
            } catch {
                throw InferenceFailure(
                    "tensor '\(tensor.name)' has data that isn't JSON: \(error.sentence) at byte \(error.offset) of it"
                )
            }
            append(parameters: tensor.parameters)
            append("\"data\":")
            unsafe append(text)
            return false
        }
        let raw = try unsafe tensor.raw(&scratch, runtimeKind)
        if case .backend = reader, runtimeKind.tensorForm == .jsonWherePossible {
            isBinary = unsafe !tensor.isPlainJSON(raw)
        }
        if isBinary {
            tensor.parameters["binary_data_size"] = .int64(Int64(raw.count))
            append(parameters: tensor.parameters)
            truncate(1)
            return true
        }
        if case .backend = reader, !runtimeKind.readsNaNTokens,
            unsafe !tensor.isFinite(raw, orNaN: runtimeKind.nullIsNaN)
        {
            let what = runtimeKind.nullIsNaN ? "infinity" : "NaN or infinity"
            throw InferenceFailure(
                "tensor '\(tensor.name)' has \(what), which the JSON of a \(runtimeKind.rawValue) backend can't carry; give it a gRPC backend",
                .inexpressible
            )
        }
        var form = BytesForm.text
        if tensor.datatype == .bytes {
            if tensor.isBase64(runtimeKind) {
                form = .base64
            } else if unsafe !Tensor.isText(raw) {
                form = .base64
                tensor.parameters["content_type"] = .string("base64")
            }
        }
        append(parameters: tensor.parameters)
        append("\"data\":")
        unsafe append(
            json: raw,
            tensor.datatype,
            shape: [try tensor.elementCount],
            form,
            nullForNaN: runtimeKind.nullIsNaN
        )
        return false
    }

    /// Whether numbers may be written as `NaN` or `Infinity` for a backend that has `null` instead.
    private func mayHaveTokens(
        _ text: UnsafeRawBufferPointer,
        _ datatype: DataType,
        _ reader: Reader
    ) -> Bool {
        guard case .backend(let runtimeKind) = reader, runtimeKind.nullIsNaN, datatype != .bytes
        else {
            return false
        }
        return unsafe text.contains { $0 == UInt8(ascii: "N") || $0 == UInt8(ascii: "I") }
    }
}
