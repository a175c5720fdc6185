import SluiceWire

/// A tensor's metadata (Open Inference Protocol v2, "Model Metadata").
package struct TensorSignature: Equatable, Sendable {
    package var name: String
    package var datatype: DataType
    /// -1 stands for any size.
    package var shape: [Int]

    /// A description.
    package init(_ name: String, _ datatype: DataType, _ shape: [Int]) {
        self.name = name
        self.datatype = datatype
        self.shape = shape
    }
}

/// What a model takes and gives: the facts that V1 leaves out and V2 needs.
package struct ModelSignature: Equatable, Sendable {
    package var inputs: [TensorSignature]
    package var outputs: [TensorSignature]

    /// A signature.
    package init(inputs: [TensorSignature], outputs: [TensorSignature]) {
        self.inputs = inputs
        self.outputs = outputs
    }

    /// Reads `GET /v2/models/{m}`, or TensorFlow Serving's `GET /v1/models/{m}/metadata`
    /// (`serving_default`, or its only signature).
    package init(json body: [UInt8]) throws(InferenceFailure) {
        let document: JSONValue
        do throws(JSONFailure) {
            document = try JSONParser.parse(body)
        } catch {
            throw InferenceFailure(
                "the metadata is not JSON: \(error.sentence) at byte \(error.offset)"
            )
        }
        if case .object(let all)? = document["metadata"]?["signature_def"]?["signature_def"] {
            let one =
                all.first { $0.name == "serving_default" } ?? (all.count == 1 ? all.first : nil)
            guard let one else {
                throw InferenceFailure(
                    "the metadata has several signatures, none called 'serving_default'"
                )
            }
            inputs = try ModelSignature.tensorFlow(one.value["inputs"])
            outputs = try ModelSignature.tensorFlow(one.value["outputs"])
            return
        }
        inputs = try ModelSignature.tensors(document["inputs"])
        outputs = try ModelSignature.tensors(document["outputs"])
    }

    /// Reads a ModelMetadataResponse.
    package init(protobuf message: UnsafeRawBufferPointer) throws(InferenceFailure) {
        inputs = []
        outputs = []
        var reader = unsafe WireReader(message)
        while let field = try reader.next() {
            guard field.number == 4 || field.number == 5 else { continue }
            var (name, typeName, shape) = ("", "", [Int]())
            var tensor = unsafe WireReader(try unsafe field.bytes("a tensor's metadata"))
            while let part = try tensor.next() {
                switch part.number {
                case 1: name = try part.text("a tensor's 'name'")
                case 2: typeName = try part.text("a tensor's 'datatype'")
                case 3: try InferMessageReader.shape(part, &shape)
                default: break
                }
            }
            let found = TensorSignature(name, try DataType(typeName, of: name), shape)
            if field.number == 4 { inputs.append(found) } else { outputs.append(found) }
        }
    }

    private static func tensors(_ value: JSONValue?) throws(InferenceFailure) -> [TensorSignature] {
        var found: [TensorSignature] = []
        for tensor in value?.elements ?? [] {
            guard let name = tensor["name"]?.text else {
                throw InferenceFailure("the metadata has a tensor without a 'name'")
            }
            found.append(
                TensorSignature(
                    name,
                    try DataType(tensor["datatype"]?.text ?? "", of: name),
                    (tensor["shape"]?.elements ?? []).map { $0.integer ?? -1 }
                )
            )
        }
        return found
    }

    /// `{"x": {"dtype": "DT_FLOAT", "tensor_shape": {"dim": [{"size": "-1"}, …]}}, …}`.
    private static func tensorFlow(
        _ value: JSONValue?
    ) throws(InferenceFailure) -> [TensorSignature] {
        guard case .object(let members)? = value else { return [] }
        var found: [TensorSignature] = []
        for member in members {
            let datatype: DataType? =
                switch member.value["dtype"]?.text {
                case "DT_FLOAT": .fp32
                case "DT_DOUBLE": .fp64
                case "DT_HALF": .fp16
                case "DT_BFLOAT16": .bf16
                case "DT_STRING": .bytes
                case "DT_BOOL": .bool
                case let name?: DataType(rawValue: String(name.dropFirst(3)))
                case nil: nil
                }
            guard let datatype else {
                throw InferenceFailure("tensor '\(member.name)' has a dtype that V2 doesn't know")
            }
            let shape = (member.value["tensor_shape"]?["dim"]?.elements ?? []).map {
                $0["size"]?.integer ?? $0["size"]?.text.flatMap { Int($0) } ?? -1
            }
            found.append(TensorSignature(member.name, datatype, shape))
        }
        return found
    }
}
