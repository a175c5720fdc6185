import SluiceWire

/// A model's metadata as V2 tells it over REST and gRPC, to carry it from one to the other.
///
/// Unlike ``ModelSignature`` it keeps datatypes that nobody here knows. Parameters, which the runtimes
/// number differently, are left behind (Open Inference Protocol v2, "Model Metadata").
package struct ModelDescription: Equatable, Sendable {
    private struct Tensor: Equatable, Sendable {
        var name = ""
        var datatype = ""
        var shape: [Int] = []

        init(name: String = "", datatype: String = "", shape: [Int] = []) {
            self.name = name
            self.datatype = datatype
            self.shape = shape
        }

        init(_ tensor: TensorSignature) {
            self.init(
                name: tensor.name,
                datatype: tensor.datatype.rawValue,
                shape: tensor.shape
            )
        }
    }

    private var name = ""
    private var versions: [String] = []
    private var platform = ""
    private var inputs: [Tensor] = []
    private var outputs: [Tensor] = []

    /// A model that is described by its signature only.
    package init(name: String, _ signature: ModelSignature) {
        self.name = name
        inputs = signature.inputs.map(Tensor.init)
        outputs = signature.outputs.map(Tensor.init)
    }

    // MARK: - JSON

    /// Reads the answer to `GET /v2/models/{m}`; throws for what isn't JSON or names no model.
    package init(json body: [UInt8]) throws(InferenceFailure) {
        let document: JSONValue
        do throws(JSONFailure) {
            document = try JSONParser.parse(body)
        } catch {
            throw InferenceFailure(error)
        }
        guard let name = document["name"]?.text else {
            throw InferenceFailure("the metadata names no model")
        }
        self.name = name
        versions = (document["versions"]?.elements ?? []).compactMap(\.text)
        platform = document["platform"]?.text ?? ""
        inputs = ModelDescription.tensors(document["inputs"])
        outputs = ModelDescription.tensors(document["outputs"])
    }

    private static func tensors(_ value: JSONValue?) -> [Tensor] {
        (value?.elements ?? []).map {
            Tensor(
                name: $0["name"]?.text ?? "",
                datatype: $0["datatype"]?.text ?? "",
                shape: ($0["shape"]?.elements ?? []).map { $0.integer ?? -1 }
            )
        }
    }

    /// The body of an answer to `GET /v2/models/{m}`.
    package var json: [UInt8] {
        let members: [JSONValue.Member] = [
            .init("name", .string(name)),
            .init("versions", .array(versions.map { .string($0) })),
            .init("platform", .string(platform)),
            .init("inputs", .array(inputs.map(ModelDescription.json))),
            .init("outputs", .array(outputs.map(ModelDescription.json))),
        ]
        return JSONValue.object(members).serialized
    }

    private static func json(_ tensor: Tensor) -> JSONValue {
        .object([
            .init("name", .string(tensor.name)),
            .init("datatype", .string(tensor.datatype)),
            .init("shape", .array(tensor.shape.map { .number("\($0)") })),
        ])
    }

    // MARK: - Protobuf

    /// Reads a ModelMetadataResponse.
    package init(protobuf message: UnsafeRawBufferPointer) throws(InferenceFailure) {
        var reader = unsafe WireReader(message)
        while let field = try reader.next() {
            switch field.number {
            case 1: name = try field.text("'name'")
            case 2: versions.append(try field.text("'versions'"))
            case 3: platform = try field.text("'platform'")
            case 4: inputs.append(try ModelDescription.tensor(field))
            case 5: outputs.append(try ModelDescription.tensor(field))
            default: break
            }
        }
    }

    private static func tensor(_ field: WireField) throws(InferenceFailure) -> Tensor {
        var tensor = Tensor()
        var reader = unsafe WireReader(try unsafe field.bytes("a tensor's metadata"))
        while let part = try reader.next() {
            switch part.number {
            case 1: tensor.name = try part.text("a tensor's 'name'")
            case 2: tensor.datatype = try part.text("a tensor's 'datatype'")
            case 3: try InferMessageReader.shape(part, &tensor.shape)
            default: break
            }
        }
        return tensor
    }

    /// A ModelMetadataResponse.
    package var protobuf: [UInt8] {
        var writer = WireWriter()
        writer.string(field: 1, name)
        for version in versions { writer.string(field: 2, version) }
        writer.string(field: 3, platform)
        for (field, tensors) in [(4, inputs), (5, outputs)] {
            for tensor in tensors {
                writer.message(field: field) { message in
                    message.string(field: 1, tensor.name)
                    message.string(field: 2, tensor.datatype)
                    message.message(field: 3) { packed in
                        for dimension in tensor.shape {
                            packed.raw(varint: UInt64(bitPattern: Int64(dimension)))
                        }
                    }
                }
            }
        }
        return writer.bytes
    }

    // MARK: - Questions

    /// A ModelMetadataRequest for a model and, unless it is empty, its version.
    package static func requestMessage(model: String, version: String) -> [UInt8] {
        var writer = WireWriter()
        writer.string(field: 1, model)
        if !version.isEmpty { writer.string(field: 2, version) }
        return writer.bytes
    }

    /// The version that a ModelMetadataRequest asks for, or "".
    package static func version(
        in requestMessage: UnsafeRawBufferPointer
    ) throws(InferenceFailure) -> String {
        var version = ""
        var reader = unsafe WireReader(requestMessage)
        while let field = try reader.next() {
            if field.number == 2 { version = try field.text("'version'") }
        }
        return version
    }
}
