import SluiceWire

// ModelInferRequest and ModelInferResponse as a server reads and writes them (`protocols.md` §3:
// field numbers of the Open Inference Protocol's gRPC form).

extension V2Request {
    /// Reads a ModelInferRequest.
    package init(message: [UInt8]) throws(InferenceFailure) {
        self.init()
        var raw: [[UInt8]] = []
        var hasContents = false
        for field in try Fields(message) {
            switch field.number {
            case 1: modelName = field.text
            case 2: modelVersion = field.text
            case 3: id = field.text
            case 5: inputs.append(try V2Request.input(field.bytes, &hasContents))
            case 6:
                let name = try Array(Fields(field.bytes)).last { $0.number == 1 }?.text ?? ""
                outputs.append(RequestedOutput(name: name, isBinary: nil))
            case 7: raw.append(field.bytes)
            default: break
            }
        }
        if !raw.isEmpty {
            guard !hasContents else {
                throw InferenceFailure("raw_input_contents and contents can't be mixed")
            }
            guard raw.count == inputs.count else {
                throw InferenceFailure(
                    "raw_input_contents has \(raw.count) entries for \(inputs.count) inputs")
            }
            for index in inputs.indices { inputs[index].bytes = raw[index] }
            isRaw = true
        }
        for input in inputs { try input.validate() }
    }

    fileprivate static func input(
        _ message: [UInt8], _ hasContents: inout Bool
    ) throws(InferenceFailure) -> Tensor {
        var (name, typeName, shape) = ("", "", [Int]())
        var contents: [UInt8]?
        for field in try Fields(message) {
            switch field.number {
            case 1: name = field.text
            case 2: typeName = field.text
            case 3: shape += try field.varints().map { Int(truncatingIfNeeded: $0) }
            case 5: contents = field.bytes
            default: break
            }
        }
        guard let datatype = DataType(rawValue: typeName) else {
            throw InferenceFailure("input '\(name)' has no known datatype ('\(typeName)')")
        }
        var tensor = Tensor(name: name, datatype: datatype, shape: shape, bytes: [])
        if let contents {
            hasContents = true
            tensor.bytes = try V2Request.typed(contents, datatype, name)
        }
        return tensor
    }

    /// InferTensorContents: which field holds what follows from the datatype.
    private static func typed(
        _ message: [UInt8], _ datatype: DataType, _ name: String
    ) throws(InferenceFailure) -> [UInt8] {
        var bytes: [UInt8] = []
        for field in try Fields(message) {
            switch (datatype, field.number) {
            case (.bool, 1): for value in try field.varints() { bytes.append(value == 0 ? 0 : 1) }
            case (.int8, 2), (.int16, 2), (.int32, 2), (.uint8, 4), (.uint16, 4), (.uint32, 4),
                (.int64, 3), (.uint64, 5):
                let size = datatype.size ?? 1
                for value in try field.varints() {
                    for shift in 0..<size {
                        bytes.append(UInt8(truncatingIfNeeded: value >> UInt64(8 * shift)))
                    }
                }
            case (.fp32, 6): bytes += field.packed
            case (.fp64, 7): bytes += field.packed
            case (.bytes, 8):
                bytes.appendLittleEndian(UInt32(truncatingIfNeeded: field.bytes.count))
                bytes += field.bytes
            default:
                throw InferenceFailure(
                    "input '\(name)' is \(datatype.rawValue), but its contents are in field \(field.number)"
                )
            }
        }
        return bytes
    }
}

extension V2Response {
    /// Writes a ModelInferResponse; `raw` puts all outputs into raw_output_contents.
    package func message(raw: Bool) throws(InferenceFailure) -> [UInt8] {
        var writer = WireWriter()
        writer.string(field: 1, modelName)
        if !modelVersion.isEmpty { writer.string(field: 2, modelVersion) }
        if !id.isEmpty { writer.string(field: 3, id) }
        let asRaw = raw || outputs.contains { $0.datatype == .fp16 || $0.datatype == .bf16 }
        for output in outputs {
            let contents = asRaw ? nil : try output.contents()
            writer.message(field: 5) { tensor in
                tensor.string(field: 1, output.name)
                tensor.string(field: 2, output.datatype.rawValue)
                for dimension in output.shape {
                    tensor.varint(field: 3, UInt64(bitPattern: Int64(dimension)))
                }
                if let contents { tensor.bytes(field: 5, contents) }
            }
        }
        if asRaw { for output in outputs { writer.bytes(field: 6, output.bytes) } }
        return writer.bytes
    }
}

extension Tensor {
    /// The tensor as InferTensorContents.
    func contents() throws(InferenceFailure) -> [UInt8] {
        var writer = WireWriter()
        guard let size = datatype.size else {
            for element in try elements() { writer.bytes(field: 8, element) }
            return writer.bytes
        }
        switch datatype {
        case .fp32: writer.bytes(field: 6, bytes)
        case .fp64: writer.bytes(field: 7, bytes)
        default:
            var packed = WireWriter()
            for offset in stride(from: 0, to: bytes.count, by: size) {
                var value: UInt64 = 0
                for step in 0..<size {
                    value |= UInt64(bytes[offset + step]) << UInt64(8 * step)
                }
                // Signed numbers are sign-extended to 64 bits on the wire.
                let isSigned = [.int8, .int16, .int32].contains(datatype)
                if isSigned, value >> UInt64(8 * size - 1) & 1 == 1 {
                    value |= ~0 << UInt64(8 * size)
                }
                packed.raw(varint: value)
            }
            let field =
                switch datatype {
                case .bool: 1
                case .int8, .int16, .int32: 2
                case .int64: 3
                case .uint64: 5
                default: 4
                }
            writer.bytes(field: field, packed.bytes)
        }
        return writer.bytes
    }
}

/// A message's fields with their values copied out; for servers, where clarity beats speed.
struct Fields: Sequence, IteratorProtocol {
    struct Field {
        let number: Int
        let bytes: [UInt8]
        let single: UInt64?
        /// A packed or single run of fixed-size numbers.
        let packed: [UInt8]

        var text: String { String(decoding: bytes, as: UTF8.self) }

        /// Packed and unpacked integers alike.
        func varints() throws(InferenceFailure) -> [UInt64] {
            if let single { return [single] }
            let result: Result<[UInt64], InferenceFailure> = unsafe bytes.withUnsafeBytes { raw in
                var reader = unsafe WireReader(raw)
                var values: [UInt64] = []
                do throws(WireFailure) {
                    while !reader.isAtEnd { values.append(try reader.varint()) }
                } catch {
                    return .failure(InferenceFailure("a packed field is broken"))
                }
                return .success(values)
            }
            return try result.get()
        }
    }

    private var fields: [Field] = []
    private var index = 0

    init(_ message: [UInt8]) throws(InferenceFailure) {
        let result: Result<[Field], InferenceFailure> = unsafe message.withUnsafeBytes { raw in
            var reader = unsafe WireReader(raw)
            var found: [Field] = []
            do throws(WireFailure) {
                while let field = try reader.nextField() {
                    switch field.value {
                    case .varint(let value):
                        found.append(
                            Field(number: field.number, bytes: [], single: value, packed: []))
                    case .fixed32(let value):
                        var bytes: [UInt8] = []
                        bytes.appendLittleEndian(value)
                        found.append(
                            Field(number: field.number, bytes: [], single: nil, packed: bytes))
                    case .fixed64(let value):
                        var bytes: [UInt8] = []
                        bytes.appendLittleEndian(value)
                        found.append(
                            Field(number: field.number, bytes: [], single: nil, packed: bytes))
                    case .bytes(let value):
                        let bytes = unsafe [UInt8](value)
                        found.append(
                            Field(number: field.number, bytes: bytes, single: nil, packed: bytes))
                    }
                }
            } catch {
                return .failure(
                    InferenceFailure(
                        "the message is not protobuf: \(error.sentence) at byte \(error.offset)"))
            }
            return .success(found)
        }
        fields = try result.get()
    }

    mutating func next() -> Field? {
        guard index < fields.count else { return nil }
        defer { index += 1 }
        return fields[index]
    }
}

extension V2Request {
    /// The model's name in a ModelReadyRequest or ModelMetadataRequest (field 1).
    package static func name(in message: [UInt8]) throws(InferenceFailure) -> String {
        try Array(Fields(message)).last { $0.number == 1 }?.text ?? ""
    }
}

extension V2Request {
    /// The request as a ModelInferRequest with raw contents.
    package var message: [UInt8] {
        var writer = WireWriter()
        writer.string(field: 1, modelName)
        if !modelVersion.isEmpty { writer.string(field: 2, modelVersion) }
        if !id.isEmpty { writer.string(field: 3, id) }
        for input in inputs {
            writer.message(field: 5) { tensor in
                tensor.string(field: 1, input.name)
                tensor.string(field: 2, input.datatype.rawValue)
                for dimension in input.shape {
                    tensor.varint(field: 3, UInt64(bitPattern: Int64(dimension)))
                }
            }
        }
        for output in outputs {
            writer.message(field: 6) { $0.string(field: 1, output.name) }
        }
        for input in inputs { writer.bytes(field: 7, input.bytes) }
        return writer.bytes
    }
}

extension V2Response {
    /// Reads a ModelInferResponse with raw or typed contents.
    package init(message: [UInt8]) throws(InferenceFailure) {
        self.init(modelName: "", modelVersion: "", id: "", outputs: [])
        var raw: [[UInt8]] = []
        for field in try Fields(message) {
            switch field.number {
            case 1: modelName = field.text
            case 2: modelVersion = field.text
            case 3: id = field.text
            case 5:
                var hasContents = false
                outputs.append(try V2Request.input(field.bytes, &hasContents))
            case 6: raw.append(field.bytes)
            default: break
            }
        }
        guard raw.isEmpty || raw.count == outputs.count else {
            throw InferenceFailure(
                "raw_output_contents has \(raw.count) entries for \(outputs.count) outputs")
        }
        for index in raw.indices { outputs[index].bytes = raw[index] }
        for output in outputs { try output.validate() }
    }
}
