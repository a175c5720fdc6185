package import SluiceInference
package import SluiceWire

/// A model small enough to live in the source.
package protocol SampleModel: Sendable {
    /// The name clients call it by.
    var name: String { get }
    /// What it takes: name, datatype, shape with -1 for the batch.
    var inputs: [TensorDescription] { get }
    /// What it gives.
    var outputs: [TensorDescription] { get }
    /// V2: tensors in, tensors out.
    func predict(_ inputs: [Tensor]) throws(InferenceFailure) -> [Tensor]
    /// V1: one prediction for each instance.
    func predict(instances: [JSONValue]) throws(InferenceFailure) -> [JSONValue]
}

/// A tensor's metadata (Open Inference Protocol v2, "Model Metadata").
package struct TensorDescription: Sendable {
    package var name: String
    package var datatype: DataType
    package var shape: [Int]

    /// A description.
    package init(_ name: String, _ datatype: DataType, _ shape: [Int]) {
        self.name = name
        self.datatype = datatype
        self.shape = shape
    }

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
    package var inputs: [TensorDescription] { [TensorDescription("input", .fp32, [-1])] }
    package var outputs: [TensorDescription] { [TensorDescription("input", .fp32, [-1])] }

    package func predict(_ inputs: [Tensor]) throws(InferenceFailure) -> [Tensor] { inputs }

    package func predict(instances: [JSONValue]) throws(InferenceFailure) -> [JSONValue] {
        instances
    }
}
