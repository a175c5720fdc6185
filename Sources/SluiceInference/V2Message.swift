import SluiceWire

/// A V2 inference request, whichever form it came in.
package struct V2Request: Equatable, Sendable {
    /// An output the caller asks for.
    package struct RequestedOutput: Equatable, Sendable {
        package var name: String
        /// Whether it wants this output as binary data (REST); nil leaves it to the request.
        package var isBinary: Bool?
    }

    package var modelName = ""
    package var modelVersion = ""
    package var id = ""
    package var inputs: [Tensor] = []
    package var outputs: [RequestedOutput] = []
    /// Whether outputs are to be binary unless they say otherwise (REST).
    package var prefersBinary = false
    /// Whether the inputs came as raw bytes; servers answer in kind (gRPC).
    package var isRaw = false

    /// An empty request.
    package init() {}
}

/// A V2 inference answer, before it takes a form.
package struct V2Response: Equatable, Sendable {
    package var modelName: String
    package var modelVersion: String
    package var id: String
    package var outputs: [Tensor]

    /// An answer to a request with this `id`.
    package init(modelName: String, modelVersion: String, id: String, outputs: [Tensor]) {
        self.modelName = modelName
        self.modelVersion = modelVersion
        self.id = id
        self.outputs = outputs
    }
}

// MARK: - JSON and binary tensors (Open Inference Protocol v2, "Inference"; binary tensor extension)

extension V2Request {
    /// Reads a REST body; `headerLength` is `Inference-Header-Content-Length`, if it was sent.
    package init(body: [UInt8], headerLength: Int?) throws(InferenceFailure) {
        self.init()
        let jsonLength = headerLength ?? body.count
        guard jsonLength >= 0, jsonLength <= body.count else {
            throw InferenceFailure(
                "Inference-Header-Content-Length is \(jsonLength), but the body has \(body.count) bytes"
            )
        }
        let document: JSONValue
        do throws(JSONFailure) {
            document = try JSONParser.parse(Array(body[..<jsonLength]))
        } catch {
            throw InferenceFailure("the body is not JSON: \(error.sentence) at byte \(error.offset)")
        }
        guard case .object = document else {
            throw InferenceFailure("the body must be a JSON object")
        }
        id = document["id"]?.text ?? ""
        prefersBinary = document["parameters"]?["binary_data_output"]?.flag ?? false
        guard let inputs = document["inputs"]?.elements else {
            throw InferenceFailure("the body has no 'inputs' array")
        }
        var binary = body[jsonLength...]
        for input in inputs {
            self.inputs.append(try V2Request.tensor(input, &binary))
        }
        guard binary.isEmpty else {
            throw InferenceFailure("\(binary.count) bytes of binary data belong to no input")
        }
        for output in document["outputs"]?.elements ?? [] {
            guard let name = output["name"]?.text else {
                throw InferenceFailure("a requested output has no 'name'")
            }
            outputs.append(
                RequestedOutput(
                    name: name, isBinary: output["parameters"]?["binary_data"]?.flag))
        }
    }

    private static func tensor(
        _ input: JSONValue, _ binary: inout ArraySlice<UInt8>
    ) throws(InferenceFailure) -> Tensor {
        guard let name = input["name"]?.text else { throw InferenceFailure("an input has no 'name'") }
        guard let typeName = input["datatype"]?.text, let datatype = DataType(rawValue: typeName)
        else { throw InferenceFailure("input '\(name)' has no known 'datatype'") }
        var shape: [Int] = []
        for dimension in input["shape"]?.elements ?? [] {
            guard let size = dimension.integer else {
                throw InferenceFailure("input '\(name)' has a 'shape' that is not whole numbers")
            }
            shape.append(size)
        }
        guard input["shape"]?.elements != nil else {
            throw InferenceFailure("input '\(name)' has no 'shape'")
        }
        if let size = input["parameters"]?["binary_data_size"]?.integer {
            guard size >= 0, size <= binary.count else {
                throw InferenceFailure(
                    "input '\(name)' has binary_data_size \(size), but \(binary.count) bytes are left"
                )
            }
            let bytes = Array(binary.prefix(size))
            binary = binary.dropFirst(size)
            let tensor = Tensor(name: name, datatype: datatype, shape: shape, bytes: bytes)
            try tensor.validate()
            return tensor
        }
        guard let data = input["data"] else { throw InferenceFailure("input '\(name)' has no 'data'") }
        return try Tensor(name: name, datatype: datatype, shape: shape, data: data)
    }
}

extension V2Response {
    /// The REST body and, when tensors follow the JSON, the JSON part's length.
    package func body(for request: V2Request) throws(InferenceFailure) -> (
        bytes: [UInt8], headerLength: Int?
    ) {
        var members: [JSONValue.Member] = [.init("model_name", .string(modelName))]
        if !modelVersion.isEmpty { members.append(.init("model_version", .string(modelVersion))) }
        if !id.isEmpty { members.append(.init("id", .string(id))) }
        var binary: [UInt8] = []
        var rows: [JSONValue] = []
        var hasBinary = false
        for output in outputs {
            let wanted = request.outputs.first { $0.name == output.name }?.isBinary
            var row: [JSONValue.Member] = [
                .init("name", .string(output.name)),
                .init("datatype", .string(output.datatype.rawValue)),
                .init("shape", .array(output.shape.map { .number(String($0)) })),
            ]
            if wanted ?? request.prefersBinary {
                hasBinary = true
                row.append(
                    .init(
                        "parameters",
                        .object([
                            .init("binary_data_size", .number(String(output.bytes.count)))
                        ])))
                binary.append(contentsOf: output.bytes)
            } else {
                row.append(.init("data", try output.jsonData()))
            }
            rows.append(.object(row))
        }
        members.append(.init("outputs", .array(rows)))
        let json = JSONValue.object(members).serialized
        return hasBinary ? (json + binary, json.count) : (json, nil)
    }
}
