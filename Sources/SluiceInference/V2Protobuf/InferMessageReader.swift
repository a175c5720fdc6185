import SluiceCore
import SluiceWire

// ModelInferRequest and ModelInferResponse (`inference.proto` of the Open Inference Protocol). The two
// differ in three field numbers, so one reader does both.

extension InferenceRequest {
    /// Reads a ModelInferRequest, which must stay where it is while the tensors are in use.
    ///
    /// Throws for what isn't protobuf, for raw contents that don't match the inputs (`raw_input_contents`
    /// holds one entry for each, in order, but for those in shared memory), and for raw and typed
    /// contents in one message, unless the backend's dialect mixes them.
    package init(
        protobuf message: UnsafeRawBufferPointer,
        _ runtimeKind: RuntimeKind = .generic
    ) throws(InferenceFailure) {
        self.init()
        var reader = unsafe InferMessageReader(message, tensors: 5, raw: 7)
        while let field = try reader.next() {
            guard field.number == 6 else {
                hasUnknownMembers = true
                continue
            }
            outputs.append(try unsafe reader.output(field.bytes("'outputs'")))
        }
        hasUnknownMembers = hasUnknownMembers || reader.hasUnknownFields
        (modelName, modelVersion, id) = (reader.modelName, reader.modelVersion, reader.id)
        parameters = reader.parameters
        isRaw = reader.hasRaw || !reader.hasContents
        inputs = try reader.finish(runtimeKind)
        _ = parameters.takeFlag("binary_data_output")
        try check()
    }
}

extension InferenceResponse {
    /// Reads a ModelInferResponse, which must stay where it is while the tensors are in use.
    ///
    /// Throws as ``InferenceRequest/init(protobuf:_:)`` does.
    package init(
        protobuf message: UnsafeRawBufferPointer,
        _ runtimeKind: RuntimeKind = .generic
    ) throws(InferenceFailure) {
        self.init()
        var reader = unsafe InferMessageReader(message, tensors: 5, raw: 6)
        while try reader.next() != nil { hasUnknownMembers = true }
        hasUnknownMembers = hasUnknownMembers || reader.hasUnknownFields
        (modelName, modelVersion, id) = (reader.modelName, reader.modelVersion, reader.id)
        parameters = reader.parameters
        outputs = try reader.finish(runtimeKind)
        try Tensor.check(outputs, "outputs")
    }
}

/// What both messages have in common.
@safe
struct InferMessageReader {
    private(set) var modelName = ""
    private(set) var modelVersion = ""
    private(set) var id = ""
    private(set) var parameters = Parameters()
    private(set) var hasContents = false
    /// Whether a tensor, a requested output or a parameter had a field that isn't known.
    private(set) var hasUnknownFields = false
    var hasRaw: Bool { unsafe !raw.isEmpty }
    private var tensors: [Tensor] = []
    private var raw: [UnsafeRawBufferPointer] = unsafe []
    private var reader: WireReader
    private let tensorField: Int
    private let rawField: Int

    init(_ message: UnsafeRawBufferPointer, tensors: Int, raw: Int) {
        reader = unsafe WireReader(message)
        tensorField = tensors
        rawField = raw
    }

    /// Reads on; returns the next field that only one of the messages has, or nil at the end.
    mutating func next() throws(InferenceFailure) -> WireField? {
        while let field = try reader.next() {
            switch field.number {
            case 1: modelName = try field.text("'model_name'")
            case 2: modelVersion = try field.text("'model_version'")
            case 3: id = try field.text("'id'")
            case 4:
                if try InferMessageReader.parameter(field, &parameters) { hasUnknownFields = true }
            case tensorField: tensors.append(try unsafe tensor(field.bytes("a tensor")))
            case rawField: unsafe raw.append(try unsafe field.bytes("raw contents"))
            default: return field
            }
        }
        return nil
    }

    /// The tensors, each with its data.
    mutating func finish(_ runtimeKind: RuntimeKind) throws(InferenceFailure) -> [Tensor] {
        var next = 0
        for index in tensors.indices {
            if tensors[index].isInSharedMemory {
                tensors[index].data = .absent
                continue
            }
            guard unsafe !raw.isEmpty else { continue }
            // Contents without an element say nothing: MLServer leaves them in beside raw ones.
            if case .typed(let contents) = tensors[index].data, unsafe !contents.isEmpty {
                guard runtimeKind.mixesRawAndTyped else {
                    throw InferenceFailure(
                        "tensor '\(tensors[index].name)' has contents beside raw contents; use one of the two for all tensors"
                    )
                }
                continue
            }
            guard unsafe next < raw.count else {
                throw InferenceFailure(
                    "tensor '\(tensors[index].name)' has no entry in the raw contents, which are \(unsafe raw.count)"
                )
            }
            unsafe tensors[index].data = .raw(raw[next])
            next += 1
        }
        guard unsafe next == raw.count else {
            throw InferenceFailure(
                "there are \(unsafe raw.count) raw contents for \(next) tensors; send one for each"
            )
        }
        return tensors
    }

    private mutating func tensor(
        _ message: UnsafeRawBufferPointer
    ) throws(InferenceFailure) -> Tensor {
        var tensor = Tensor(name: "", datatype: .bytes, shape: [], data: .absent)
        var typeName = ""
        var contents = unsafe UnsafeRawBufferPointer(start: nil, count: 0)
        var reader = unsafe WireReader(message)
        while let field = try reader.next() {
            switch field.number {
            case 1: tensor.name = try field.text("a tensor's 'name'")
            case 2: typeName = try field.text("a tensor's 'datatype'")
            case 3: try InferMessageReader.shape(field, &tensor.shape)
            case 4:
                if try InferMessageReader.parameter(field, &tensor.parameters) {
                    hasUnknownFields = true
                }
            case 5:
                guard unsafe contents.baseAddress == nil else {
                    throw InferenceFailure(
                        "tensor '\(tensor.name)' has its contents twice; send them once"
                    )
                }
                unsafe contents = try unsafe field.bytes("'contents'")
                hasContents = true
            default: hasUnknownFields = true
            }
        }
        tensor.datatype = try DataType(typeName, of: tensor.name)
        tensor.parameters["binary_data_size"] = nil
        unsafe tensor.data = .typed(contents)
        return tensor
    }

    mutating func output(
        _ message: UnsafeRawBufferPointer
    ) throws(InferenceFailure) -> RequestedOutput {
        var output = RequestedOutput(name: "")
        var reader = unsafe WireReader(message)
        while let field = try reader.next() {
            switch field.number {
            case 1: output.name = try field.text("a requested output's 'name'")
            case 2:
                if try InferMessageReader.parameter(field, &output.parameters) {
                    hasUnknownFields = true
                }
            default: hasUnknownFields = true
            }
        }
        output.isBinary = output.parameters.takeFlag("binary_data")
        return output
    }

    /// Appends dimensions, packed or single.
    static func shape(_ field: WireField, _ shape: inout [Int]) throws(InferenceFailure) {
        if case .varint(let single) = field.value {
            shape.append(Int(truncatingIfNeeded: single))
            return
        }
        var packed = unsafe WireReader(try unsafe field.bytes("a tensor's 'shape'"))
        while !packed.isAtEnd {
            do throws(WireFailure) {
                shape.append(Int(truncatingIfNeeded: try packed.varint()))
            } catch {
                throw InferenceFailure("a tensor's 'shape' is broken")
            }
        }
    }

    /// Reads one entry of a `map<string, InferParameter>`; a value that isn't known is skipped.
    ///
    /// True when that was so.
    static func parameter(
        _ field: WireField,
        _ parameters: inout Parameters
    ) throws(InferenceFailure) -> Bool {
        var name = ""
        var value: InferenceParameter?
        var entry = unsafe WireReader(try unsafe field.bytes("'parameters'"))
        while let part = try entry.next() {
            if part.number == 1 { name = try part.text("a parameter's name") }
            guard part.number == 2 else { continue }
            var choice = unsafe WireReader(try unsafe part.bytes("a parameter"))
            while let part = try choice.next() {
                switch part.number {
                case 1: value = .bool(try part.integer("a parameter") != 0)
                case 2: value = .int64(Int64(bitPattern: try part.integer("a parameter")))
                case 3: value = .string(try part.text("a parameter"))
                case 4:
                    guard case .fixed64(let bits) = part.value else {
                        throw InferenceFailure("parameter '\(name)' has the wrong wire type")
                    }
                    value = .double(Double(bitPattern: bits))
                case 5: value = InferenceParameter(unsigned: try part.integer("a parameter"))
                default: break
                }
            }
        }
        guard let value else { return true }
        try parameters.read(name, value)
        return false
    }
}

extension DataType {
    /// The datatype called `name`; throws, naming the tensor, when there is none.
    init(_ name: String, of tensor: String) throws(InferenceFailure) {
        guard let known = DataType(rawValue: name) else {
            throw InferenceFailure(
                "tensor '\(tensor)' has no known datatype ('\(name)'); BOOL, INT32, FP32, BYTES and their kin are"
            )
        }
        self = known
    }
}
