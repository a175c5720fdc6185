import SluiceCore
import SluiceInference

/// What V1 means to a revision whose backends speak V2: there its requests share their entries with
/// every other form.
struct V1Meaning: Sendable {
    let signature: ModelSignature
    let runtimeKind: RuntimeKind

    /// A request's V2 meaning and what its caller wants; nil where the signature doesn't settle it.
    func read(
        _ text: V1Request,
        version: String,
        scratch: inout ByteBuffer
    ) -> (request: InferenceRequest, responseFormat: ResponseFormat)? {
        guard
            var request = try? InferenceRequest(text, signature, runtimeKind, scratch: &scratch)
        else { return nil }
        request.modelVersion = version
        var responseFormat = ResponseFormat(.v1, request)
        if text.isRows(runtimeKind) {
            responseFormat.layout = .rows(count: request.inputs.first?.shape.first ?? 0)
        }
        return (request, responseFormat)
    }
}
