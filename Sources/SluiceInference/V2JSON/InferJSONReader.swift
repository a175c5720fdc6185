import SluiceCore
import SluiceWire

// V2 over REST: a JSON object, and behind it the bytes of tensors whose data isn't in the JSON (Open
// Inference Protocol v2, "Inference"; binary tensor extension).

extension InferenceRequest {
    /// Reads a body, which must stay where it is while the tensors are in use.
    ///
    /// `headerLength` is `Inference-Header-Content-Length`, if it was sent: the JSON part's length, with
    /// content encodings undone. Data is found, not read. Throws for what isn't the protocol's JSON, for
    /// members that repeat, and for binary sizes that don't add up to the body.
    package init(
        json body: UnsafeRawBufferPointer,
        headerLength: Int? = nil
    ) throws(InferenceFailure) {
        self.init()
        var reader = unsafe try InferJSONReader(body, headerLength, tensors: "inputs")
        try reader.read()
        id = reader.id
        parameters = reader.parameters
        inputs = reader.tensors
        outputs = reader.requested
        hasUnknownMembers = reader.hasUnknownMembers
        prefersBinary = parameters.takeFlag("binary_data_output") ?? false
        for index in outputs.indices {
            outputs[index].isBinary = outputs[index].parameters.takeFlag("binary_data")
        }
        try check()
    }

    /// Reads a raw request (`Inference-Header-Content-Length: 0`): the body is the one input of a batch
    /// of one, and all outputs come back binary.
    ///
    /// The model must have one input, with at most one dimension beside the batch that varies.
    package init(
        rawBody body: UnsafeRawBufferPointer,
        _ signature: ModelSignature
    ) throws(InferenceFailure) {
        self.init()
        guard signature.inputs.count == 1, let input = signature.inputs.first else {
            throw InferenceFailure(
                "a raw request needs a model with one input, not \(signature.inputs.count); send JSON with binary tensors"
            )
        }
        var shape = input.shape
        if shape.count > 1, shape.first == -1 { shape[0] = 1 }
        let open = shape.indices.filter { shape[$0] < 0 }
        let known = try Tensor(
            name: input.name,
            datatype: input.datatype,
            shape: shape.filter { $0 >= 0 },
            data: .absent
        ).elementCount
        guard open.count <= 1, known > 0 else {
            throw InferenceFailure(
                "input '\(input.name)' has shape \(input.shape), which a raw request can't settle; send JSON with binary tensors"
            )
        }
        if let index = open.first {
            shape[index] = body.count / ((input.datatype.size ?? 1) * known)
        }
        // BYTES has no size to divide by: a raw request is one element, whole.
        if input.datatype == .bytes, let index = open.first { shape[index] = 1 }
        inputs = [
            unsafe Tensor(
                name: input.name,
                datatype: input.datatype,
                shape: shape,
                data: .raw(body)
            )
        ]
        prefersBinary = true
        try check()
    }
}

extension InferenceResponse {
    /// Reads a body, which must stay where it is while the tensors are in use.
    ///
    /// Throws as ``InferenceRequest/init(json:headerLength:)`` does.
    package init(
        json body: UnsafeRawBufferPointer,
        headerLength: Int? = nil
    ) throws(InferenceFailure) {
        self.init()
        var reader = unsafe try InferJSONReader(body, headerLength, tensors: "outputs")
        try reader.read()
        modelName = reader.modelName
        modelVersion = reader.modelVersion
        id = reader.id
        parameters = reader.parameters
        outputs = reader.tensors
        hasUnknownMembers = reader.hasUnknownMembers
        try Tensor.check(outputs, "outputs")
    }
}

/// Reads both messages: they differ in whether `outputs` are requested formats or tensors.
@safe
private struct InferJSONReader {
    private(set) var modelName = ""
    private(set) var modelVersion = ""
    private(set) var id = ""
    private(set) var parameters = Parameters()
    private(set) var tensors: [Tensor] = []
    private(set) var requested: [RequestedOutput] = []
    private(set) var hasUnknownMembers = false
    private let tensorsName: StaticString
    private var cursor: JSONCursor
    /// What of the binary part no tensor has taken yet.
    private var binary: UnsafeRawBufferPointer
    private let hasBinary: Bool

    init(
        _ body: UnsafeRawBufferPointer,
        _ headerLength: Int?,
        tensors: StaticString
    ) throws(InferenceFailure) {
        let length = headerLength ?? body.count
        guard length >= 0, length <= body.count else {
            throw InferenceFailure(
                "Inference-Header-Content-Length is \(length), but the body has \(body.count) bytes"
            )
        }
        cursor = unsafe JSONCursor(UnsafeRawBufferPointer(rebasing: body[..<length]))
        unsafe binary = UnsafeRawBufferPointer(rebasing: body[length...])
        hasBinary = headerLength != nil
        tensorsName = tensors
    }

    mutating func read() throws(InferenceFailure) {
        var hasTensors = false
        var found = MemberSet("the body")
        try enterObject("the body")
        while let name = try member() {
            if name.equals(tensorsName) {
                try found.insert(0, tensorsName)
                hasTensors = true
                try array { reader throws(InferenceFailure) in try reader.tensor() }
                continue
            }
            switch name {
            case "id":
                try found.insert(1, "id")
                id = try text("'id'")
            case "model_name": modelName = try text("'model_name'")
            case "model_version": modelVersion = try text("'model_version'")
            case "parameters":
                try found.insert(2, "parameters")
                parameters = try self.parameters("the body")
            case "outputs":
                try found.insert(3, "outputs")
                try array { reader throws(InferenceFailure) in try reader.output() }
            default: try skip()
            }
        }
        do throws(JSONFailure) { try cursor.finish() } catch { throw notJSON(error) }
        guard hasTensors else { throw InferenceFailure("the body has no '\(tensorsName)' array") }
        guard unsafe binary.isEmpty else {
            throw InferenceFailure(
                "\(unsafe binary.count) bytes behind the JSON belong to no tensor; binary_data_size must add up to them"
            )
        }
    }

    private mutating func tensor() throws(InferenceFailure) {
        var tensor = Tensor(name: "", datatype: .bytes, shape: [], data: .absent)
        var typeName = ""
        var text: UnsafeRawBufferPointer?
        var found = MemberSet("a tensor")
        try enterObject("a tensor")
        while let name = try member() {
            switch name {
            case "name":
                try found.insert(0, "name")
                tensor.name = try self.text("a tensor's 'name'")
            case "datatype":
                try found.insert(1, "datatype")
                typeName = try self.text("a tensor's 'datatype'")
            case "shape":
                try found.insert(2, "shape")
                tensor.shape = try shape(tensor.name)
            case "parameters":
                try found.insert(3, "parameters")
                tensor.parameters = try parameters("tensor '\(tensor.name)'")
            case "data":
                try found.insert(4, "data")
                // Brackets are matched now; what is between them is checked when it is read.
                do throws(JSONFailure) { unsafe text = try cursor.skim() } catch {
                    throw notJSON(error)
                }
            default: try skip()
            }
        }
        for (bit, name) in [(0, "name"), (1, "datatype"), (2, "shape")] where !found.contains(bit) {
            throw InferenceFailure(
                "tensor '\(tensor.name)' (number \(tensors.count)) has no '\(name)'"
            )
        }
        tensor.datatype = try DataType(typeName, of: tensor.name)
        if let size = tensor.parameters["binary_data_size"] {
            // Triton leaves the header out when no tensor has an element.
            guard unsafe text == nil, case .int64(let wanted) = size,
                let count = Int(exactly: wanted), hasBinary || count == 0,
                count >= 0, unsafe count <= binary.count
            else {
                throw InferenceFailure(
                    "tensor '\(tensor.name)' has a binary_data_size, but not so many bytes of its own behind the JSON: \(unsafe binary.count) are left"
                )
            }
            unsafe tensor.data = .raw(UnsafeRawBufferPointer(rebasing: binary[..<count]))
            unsafe binary = UnsafeRawBufferPointer(rebasing: binary[count...])
            tensor.parameters["binary_data_size"] = nil
        } else if let text = unsafe text {
            unsafe tensor.data = .json(text)
        } else if !tensor.isInSharedMemory {
            throw InferenceFailure("tensor '\(tensor.name)' has no 'data'")
        }
        tensors.append(tensor)
    }

    private mutating func output() throws(InferenceFailure) {
        var output = RequestedOutput(name: "")
        var found = MemberSet("a requested output")
        try enterObject("a requested output")
        while let name = try member() {
            switch name {
            case "name":
                try found.insert(0, "name")
                output.name = try text("a requested output's 'name'")
            case "parameters":
                try found.insert(1, "parameters")
                output.parameters = try parameters("output '\(output.name)'")
            default: try skip()
            }
        }
        guard found.contains(0) else { throw InferenceFailure("a requested output has no 'name'") }
        requested.append(output)
    }

    // MARK: - Pieces

    private mutating func shape(_ name: String) throws(InferenceFailure) -> [Int] {
        var shape: [Int] = []
        do throws(JSONFailure) {
            try cursor.enterArray()
            while try cursor.nextElement() {
                let number = try cursor.number()
                // Some write 2.0 for 2.
                guard
                    let dimension = number.int64
                        ?? number.double.flatMap({ Int64(exactly: $0) })
                else { throw cursor.failure("not a whole number") }
                shape.append(Int(dimension))
            }
        } catch {
            throw InferenceFailure(
                "tensor '\(name)' has a 'shape' that is no list of whole numbers"
            )
        }
        return shape
    }

    private mutating func parameters(_ owner: String) throws(InferenceFailure) -> Parameters {
        var parameters = Parameters()
        guard try !isNull() else { return parameters }
        try enterObject("'parameters' of \(owner)")
        while let name = try member() {
            // A null is no value: clients that dump whole records write them.
            guard try !isNull() else { continue }
            let value: InferenceParameter
            do throws(JSONFailure) {
                switch try cursor.peek() {
                case .bool: value = .bool(try cursor.bool())
                case .string: value = .string(try cursor.string().string)
                case .number:
                    let number = try cursor.number()
                    if let whole = number.int64 {
                        value = .int64(whole)
                    } else if let whole = number.uint64 {
                        value = .uint64(whole)
                    } else if let fraction = number.double {
                        value = .double(fraction)
                    } else {
                        throw cursor.failure("a number beyond 64 bits")
                    }
                default:
                    value = .json(unsafe String(decoding: try cursor.skip(), as: UTF8.self))
                }
            } catch {
                throw notJSON(error)
            }
            try parameters.read(name.string, value)
        }
        return parameters
    }

    /// A string; null counts as an empty one.
    private mutating func text(_ what: StaticString) throws(InferenceFailure) -> String {
        guard try !isNull() else { return "" }
        do throws(JSONFailure) {
            return try cursor.string().string
        } catch {
            throw InferenceFailure("\(what) must be text")
        }
    }

    private mutating func array(
        _ element: (inout InferJSONReader) throws(InferenceFailure) -> Void
    ) throws(InferenceFailure) {
        guard try !isNull() else { return }
        do throws(JSONFailure) { try cursor.enterArray() } catch { throw notJSON(error) }
        while try nextElement() { try element(&self) }
    }

    private mutating func nextElement() throws(InferenceFailure) -> Bool {
        do throws(JSONFailure) { return try cursor.nextElement() } catch { throw notJSON(error) }
    }

    private mutating func isNull() throws(InferenceFailure) -> Bool {
        do throws(JSONFailure) {
            guard try cursor.peek() == .null else { return false }
            try cursor.null()
            return true
        } catch {
            throw notJSON(error)
        }
    }

    private mutating func enterObject(_ what: String) throws(InferenceFailure) {
        do throws(JSONFailure) {
            try cursor.enterObject()
        } catch {
            throw InferenceFailure(
                "\(what) must be a JSON object (\(error.sentence) at byte \(error.offset))"
            )
        }
    }

    private mutating func member() throws(InferenceFailure) -> JSONString? {
        do throws(JSONFailure) { return try cursor.nextMember() } catch { throw notJSON(error) }
    }

    /// Steps over the value of a member that isn't the protocol's.
    private mutating func skip() throws(InferenceFailure) {
        hasUnknownMembers = true
        do throws(JSONFailure) { _ = unsafe try cursor.skip() } catch { throw notJSON(error) }
    }

    private func notJSON(_ error: JSONFailure) -> InferenceFailure { InferenceFailure(error) }
}

extension InferenceFailure {
    /// A text that isn't JSON.
    init(_ error: JSONFailure) {
        self.init("the body is not JSON: \(error.sentence) at byte \(error.offset)")
    }
}

/// Which members an object had: one that repeats could mean one thing here and another behind us.
struct MemberSet {
    private var bits: UInt8 = 0
    private let owner: StaticString

    init(_ owner: StaticString) { self.owner = owner }

    mutating func insert(_ bit: Int, _ name: StaticString) throws(InferenceFailure) {
        guard !contains(bit) else { throw InferenceFailure("\(owner) has '\(name)' twice") }
        bits |= 1 << UInt8(bit)
    }

    func contains(_ bit: Int) -> Bool { bits >> UInt8(bit) & 1 == 1 }
}
