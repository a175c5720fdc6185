/// What of a request its answer must know, without the request's bytes.
package struct ResponseFormat: Equatable, Sendable {
    /// A form that a message takes.
    package enum APIForm: Equatable, Sendable {
        /// `instances` or `inputs`.
        case v1
        /// V2 over REST, binary tensors included.
        case v2
        /// ModelInferRequest.
        case grpc
    }

    /// How a V1 caller laid out its data, and so its answer.
    package enum Layout: Equatable, Sendable {
        /// `instances`, answered by as many `predictions`.
        case rows(count: Int)
        /// `inputs`, answered by `outputs`.
        case columns
    }

    /// The form of the answer.
    package var form: APIForm
    package var modelName = ""
    /// The caller's own, to be echoed.
    package var id = ""
    /// Outputs asked for, each with the format asked for; empty asks for all.
    package var outputs: [RequestedOutput] = []
    package var prefersBinary = false
    package var isRaw = true
    package var layout = Layout.columns

    /// The form alone.
    init(_ form: APIForm) { self.form = form }

    /// The format that `request` asks for, which came as `form`.
    package init(_ form: APIForm, _ request: InferenceRequest) {
        self.init(form)
        modelName = request.modelName
        id = request.id
        outputs = request.outputs
        prefersBinary = request.prefersBinary
        isRaw = request.isRaw
    }

    /// Whether REST is to get output `name` as binary data.
    func wantsBinary(_ name: String) -> Bool {
        outputs.first { $0.name == name }?.isBinary ?? prefersBinary
    }
}
