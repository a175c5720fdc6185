package import SluiceGRPC
import SluiceInference
import SluiceWire
import Synchronization

/// How many rows a service was asked for.
package final class RowCounter: Sendable {
    private let total = Atomic<Int>(0)

    /// The rows of all predictions so far: instances, or the first input's dimension 0.
    package var count: Int { total.load(ordering: .relaxed) }

    func add(_ rows: Int) { total.add(rows, ordering: .relaxed) }
}

/// A server's answer over REST.
package struct SampleAnswer: Sendable {
    package var status = 200
    package var contentType: StaticString = "application/json"
    /// `Inference-Header-Content-Length`, when tensors follow the JSON.
    package var headerLength: Int?
    package var body: [UInt8] = []

    static func json(_ value: JSONValue, status: Int = 200) -> SampleAnswer {
        SampleAnswer(status: status, body: value.serialized)
    }

    static func error(_ status: Int, _ sentence: String) -> SampleAnswer {
        .json(.object([.init("error", .string(sentence))]), status: status)
    }
}

/// What the sample server answers, without any network: V1, V2 and gRPC over the same models.
package struct SampleService: Sendable {
    private let models: [String: any SampleModel]
    private let version: String
    /// The rows it was asked for.
    package let rows = RowCounter()

    /// A service over `models`, reporting `version` as their only version.
    package init(models: [any SampleModel], version: String) {
        self.models = Dictionary(models.map { ($0.name, $0) }) { first, _ in first }
        self.version = version
    }

    /// The models' names, sorted.
    package var names: [String] { models.keys.sorted() }

    // MARK: - REST

    /// Answers one REST request, `isReady` deciding readiness.
    package func answer(
        path: [UInt8],
        body: [UInt8],
        headerLength: Int?,
        isReady: Bool
    ) -> SampleAnswer {
        let parsed = unsafe path.withUnsafeBytes { unsafe InferencePath($0) }
        let name = String(decoding: path[parsed.model], as: UTF8.self)
        switch parsed.operation {
        case .v2Live: return .json(.object([.init("live", .bool(true))]))
        case .v2Ready:
            return .json(.object([.init("ready", .bool(isReady))]), status: isReady ? 200 : 503)
        case .v2Server:
            return .json(
                .object([
                    .init("name", .string("sluice-model")), .init("version", .string(version)),
                    .init("extensions", .array([.string("binary_tensor_data")])),
                ])
            )
        case .v1List, .v2List:
            return .json(.object([.init("models", .array(names.map { .string($0) }))]))
        case .v2RepositoryIndex:
            return .json(
                .array(
                    names.map {
                        .object([
                            .init("name", .string($0)), .init("version", .string(version)),
                            .init("state", .string(isReady ? "READY" : "LOADING")),
                            .init("reason", .string("")),
                        ])
                    }
                )
            )
        case .unknown: return .error(404, "no such path")
        default: break
        }
        guard let model = models[name] else {
            return .error(404, "unknown model '\(name)'; known: \(names.joined(separator: ", "))")
        }
        let isUnready = !isReady && parsed.operation != .v2Model
        if isUnready { return .error(503, "model '\(name)' is not ready") }
        do throws(InferenceFailure) {
            switch parsed.operation {
            case .v1Status, .v2ModelReady:
                return .json(.object([.init("name", .string(name)), .init("ready", .bool(true))]))
            case .v1Predict: return try predictV1(model, body)
            case .v2Model: return .json(metadata(model))
            case .v2Infer: return try inferV2(model, body, headerLength)
            default: return .error(501, "the sample server doesn't do that")
            }
        } catch {
            return .error(400, error.sentence)
        }
    }

    private func predictV1(
        _ model: any SampleModel,
        _ body: [UInt8]
    ) throws(InferenceFailure) -> SampleAnswer {
        let document: JSONValue
        do throws(JSONFailure) {
            document = try JSONParser.parse(body)
        } catch {
            throw InferenceFailure(
                "the body is not JSON: \(error.sentence) at byte \(error.offset)"
            )
        }
        guard let rows = document["instances"]?.elements ?? document["inputs"]?.elements else {
            throw InferenceFailure("the body has neither 'instances' nor 'inputs'")
        }
        self.rows.add(rows.count)
        let predictions = try model.predict(instances: rows)
        return .json(.object([.init("predictions", .array(predictions))]))
    }

    private func inferV2(
        _ model: any SampleModel,
        _ body: [UInt8],
        _ headerLength: Int?
    ) throws(InferenceFailure) -> SampleAnswer {
        let request: InferenceRequest
        if headerLength == 0 {
            // A raw request: the body is the one input's bytes, and everything comes back binary.
            request = try InferenceRequest(
                rawBody: body,
                ModelSignature(inputs: model.inputs, outputs: model.outputs)
            )
        } else {
            request = try InferenceRequest(body: body, headerLength: headerLength)
        }
        let (bytes, length) = try infer(model, request).body(for: request)
        return SampleAnswer(
            contentType: length == nil ? "application/json" : "application/octet-stream",
            headerLength: length,
            body: bytes
        )
    }

    private func infer(
        _ model: any SampleModel,
        _ request: InferenceRequest
    ) throws(InferenceFailure) -> InferenceResponse {
        rows.add(max(0, request.inputs.first?.shape.first ?? 0))
        var outputs = try model.predict(request.inputs)
        if !request.outputs.isEmpty {
            var chosen: [Tensor] = []
            for wanted in request.outputs {
                guard let output = outputs.first(where: { $0.name == wanted.name }) else {
                    throw InferenceFailure("'\(model.name)' has no output '\(wanted.name)'")
                }
                chosen.append(output)
            }
            outputs = chosen
        }
        return InferenceResponse(
            modelName: model.name,
            modelVersion: version,
            id: request.id,
            outputs: outputs
        )
    }

    private func metadata(_ model: any SampleModel) -> JSONValue {
        .object([
            .init("name", .string(model.name)), .init("versions", .array([.string(version)])),
            .init("platform", .string("sluice_sample")),
            .init("inputs", .array(model.inputs.map(\.json))),
            .init("outputs", .array(model.outputs.map(\.json))),
        ])
    }

    // MARK: - gRPC

    /// Answers one gRPC message with another, or with a status.
    package func answer(
        _ method: GRPCMethod,
        _ message: [UInt8],
        isReady: Bool
    ) -> Result<[UInt8], SampleStatus> {
        var writer = WireWriter()
        do throws(InferenceFailure) {
            switch method {
            case .serverLive: writer.bool(field: 1, true)
            case .serverReady: writer.bool(field: 1, isReady)
            case .serverMetadata:
                writer.string(field: 1, "sluice-model")
                writer.string(field: 2, version)
            case .modelInfer, .modelStreamInfer:
                let request = try InferenceRequest(message: message)
                guard let model = models[request.modelName] else {
                    return .failure(unknown(request.modelName))
                }
                guard isReady else {
                    return .failure(
                        SampleStatus(.unavailable, "model '\(model.name)' is not ready")
                    )
                }
                let answer = try infer(model, request).message(raw: request.isRaw)
                guard method == .modelStreamInfer else { return .success(answer) }
                writer.bytes(field: 2, answer)
            case .modelReady, .modelMetadata:
                let name = try name(in: message)
                guard let model = models[name] else { return .failure(unknown(name)) }
                if method == .modelReady {
                    writer.bool(field: 1, isReady)
                } else {
                    describe(model, &writer)
                }
            default:
                return .failure(
                    SampleStatus(.unimplemented, "the sample server doesn't do that")
                )
            }
        } catch {
            return .failure(SampleStatus(.invalidArgument, error.sentence))
        }
        return .success(writer.bytes)
    }

    private func unknown(_ name: String) -> SampleStatus {
        SampleStatus(
            .notFound,
            "unknown model '\(name)'; known: \(names.joined(separator: ", "))"
        )
    }

    /// The model's name in a ModelReadyRequest or ModelMetadataRequest (field 1).
    private func name(in message: [UInt8]) throws(InferenceFailure) -> String {
        let found: String? = unsafe message.withUnsafeBytes { bytes in
            var reader = unsafe WireReader(bytes)
            var name: String? = ""
            do throws(WireFailure) {
                while let field = try reader.nextField() {
                    guard field.number == 1, case .bytes(let text) = field.value else { continue }
                    name = unsafe String(decoding: text, as: UTF8.self)
                }
            } catch {
                name = nil
            }
            return name
        }
        guard let found else { throw InferenceFailure("the message is not protobuf") }
        return found
    }

    private func describe(_ model: any SampleModel, _ writer: inout WireWriter) {
        writer.string(field: 1, model.name)
        writer.string(field: 2, version)
        writer.string(field: 3, "sluice_sample")
        for (field, tensors) in [(4, model.inputs), (5, model.outputs)] {
            for tensor in tensors {
                writer.message(field: field) { row in
                    row.string(field: 1, tensor.name)
                    row.string(field: 2, tensor.datatype.rawValue)
                    for dimension in tensor.shape {
                        row.varint(field: 3, UInt64(bitPattern: Int64(dimension)))
                    }
                }
            }
        }
    }
}

/// A gRPC outcome other than OK.
package struct SampleStatus: Error, Sendable {
    package let code: GRPCStatus
    package let sentence: String

    init(_ code: GRPCStatus, _ sentence: String) {
        self.code = code
        self.sentence = sentence
    }
}
