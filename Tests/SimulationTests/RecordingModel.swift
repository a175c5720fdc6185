import SluiceInference
import SluiceSampleModels
import SluiceWire
import Synchronization

/// The echo model, which also remembers how often it was asked by whom.
final class RecordingModel: SampleModel {
    private let echo = EchoModel()
    /// Whether it finds something wrong with all that it is asked.
    let refuses: Bool
    private let asked = Mutex<[String: Int]>([:])

    init(refuses: Bool = false) { self.refuses = refuses }

    var name: String { echo.name }
    var inputs: [TensorSignature] { echo.inputs }
    var outputs: [TensorSignature] { echo.outputs }

    /// How often each request, by its identifier, has reached any backend.
    var counts: [String: Int] { asked.withLock { $0 } }

    func predict(_ inputs: [Tensor]) throws(InferenceFailure) -> [Tensor] {
        if let name = inputs.first?.name { note(name) }
        if refuses { throw InferenceFailure("not like this") }
        return try echo.predict(inputs)
    }

    func predict(instances: [JSONValue]) throws(InferenceFailure) -> [JSONValue] {
        if let name = instances.first?.text { note(name) }
        if refuses { throw InferenceFailure("not like this") }
        return try echo.predict(instances: instances)
    }

    private func note(_ id: String) { asked.withLock { $0[id, default: 0] += 1 } }
}
