package import SluiceInference
package import SluiceWire

/// A model small enough to live in the source.
package protocol SampleModel: Sendable {
    /// The name clients call it by.
    var name: String { get }
    /// What it takes: name, datatype, shape with -1 for the batch.
    var inputs: [TensorSignature] { get }
    /// What it gives.
    var outputs: [TensorSignature] { get }
    /// V2: tensors in, tensors out.
    func predict(_ inputs: [Tensor]) throws(InferenceFailure) -> [Tensor]
    /// V1: one prediction for each instance.
    func predict(instances: [JSONValue]) throws(InferenceFailure) -> [JSONValue]
}

extension TensorSignature {
    /// As `GET /v2/models/{m}` lists it.
    var json: JSONValue {
        .object([
            .init("name", .string(name)), .init("datatype", .string(datatype.rawValue)),
            .init("shape", .array(shape.map { .number(String($0)) })),
        ])
    }
}

/// Gives back what it is given, in every datatype.
package struct EchoModel: SampleModel {
    /// The echo.
    package init() {}

    package var name: String { "echo" }
    package var inputs: [TensorSignature] { [TensorSignature("input", .fp32, [-1])] }
    package var outputs: [TensorSignature] { [TensorSignature("input", .fp32, [-1])] }

    package func predict(_ inputs: [Tensor]) throws(InferenceFailure) -> [Tensor] { inputs }

    package func predict(instances: [JSONValue]) throws(InferenceFailure) -> [JSONValue] {
        instances
    }
}
