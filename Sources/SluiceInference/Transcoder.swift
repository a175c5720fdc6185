package import SluiceCore

/// Carries a call from the form its caller speaks to the form its backend speaks, and the answer back.
///
/// ```swift
/// let codec = Transcoder(caller: .v2, backend: .grpc, .triton)
/// let call = try codec.request(body, headerLength: n, model: "iris", to: &out, scratch: &scratch)
/// // … send `out`; keep `call.responseFormat` …
/// let length = try codec.answer(reply, for: call.responseFormat, to: &out, scratch: &scratch)
/// ```
///
/// Where both forms are the same the body passes verbatim and this isn't needed; ``AnswerID`` puts
/// another caller's `id` into a remembered answer. A failure of `request` is the caller's, one of `answer`
/// the backend's (``StatusTable/badAnswer``).
package struct Transcoder: Sendable {
    /// A form that a message takes.
    package typealias APIForm = ResponseFormat.APIForm

    /// What was written, and what the answer must know.
    package struct Call: Sendable {
        /// `Inference-Header-Content-Length` of what was written, when tensors follow its JSON.
        package let headerLength: Int?
        /// The version asked for, from path or message, for a REST backend's path; may be empty.
        package let version: String
        package let responseFormat: ResponseFormat
    }

    package let caller: APIForm
    package let backend: APIForm
    package let runtimeKind: RuntimeKind
    package let signature: ModelSignature?

    /// A way from `caller` to `backend`; only V1 on one side (and raw requests) needs a signature.
    package init(
        caller: APIForm,
        backend: APIForm,
        _ runtimeKind: RuntimeKind,
        signature: ModelSignature? = nil
    ) {
        self.caller = caller
        self.backend = backend
        self.runtimeKind = runtimeKind
        self.signature = signature
    }

    // MARK: - Requests

    /// Reads a caller's request, borrowing from `body`; V1 becomes the V2 it stands for.
    ///
    /// `model` and `version` are those of the path; gRPC has its own in the message. Throws for what
    /// can't be read, and for V1 that the signature doesn't settle.
    package func read(
        _ body: UnsafeRawBufferPointer,
        headerLength: Int? = nil,
        model: String,
        version: String = "",
        scratch: inout ByteBuffer
    ) throws(InferenceFailure) -> (request: InferenceRequest, responseFormat: ResponseFormat) {
        var request: InferenceRequest
        var layout = ResponseFormat.Layout.columns
        switch caller {
        case .grpc: request = try unsafe InferenceRequest(protobuf: body, runtimeKind)
        case .v2:
            request =
                headerLength == 0
                ? try unsafe InferenceRequest(rawBody: body, try settled())
                : try unsafe InferenceRequest(json: body, headerLength: headerLength)
        case .v1:
            let text = try unsafe V1Request(body)
            request = try InferenceRequest(text, try settled(), runtimeKind, scratch: &scratch)
            if text.isRows(runtimeKind) {
                layout = .rows(count: request.inputs.first?.shape.first ?? 0)
            }
        }
        if caller != .grpc {
            request.modelName = model
            request.modelVersion = version
        }
        var responseFormat = ResponseFormat(caller, request)
        responseFormat.layout = layout
        return (request, responseFormat)
    }

    /// Appends `request` in the backend's form; returns its `Inference-Header-Content-Length` if it has
    /// one.
    package func write(
        _ request: InferenceRequest,
        to output: inout ByteBuffer,
        scratch: inout ByteBuffer
    ) throws(InferenceFailure) -> Int? {
        switch backend {
        case .grpc:
            try request.writeProtobuf(to: &output, scratch: &scratch, runtimeKind)
            return nil
        case .v2: return try request.writeJSON(to: &output, scratch: &scratch, runtimeKind)
        case .v1:
            _ = try settled()
            try request.writeV1(to: &output, scratch: &scratch, runtimeKind)
            return nil
        }
    }

    /// Reads a caller's request and appends it in the backend's form.
    ///
    /// `modelName` is the model's name at the backend, if it differs. Once this returns, `body` may go.
    package func request(
        _ body: UnsafeRawBufferPointer,
        headerLength: Int? = nil,
        model: String,
        version: String = "",
        modelName: String? = nil,
        to output: inout ByteBuffer,
        scratch: inout ByteBuffer
    ) throws(InferenceFailure) -> Call {
        var (request, responseFormat) = try unsafe read(
            body,
            headerLength: headerLength,
            model: model,
            version: version,
            scratch: &scratch
        )
        if let modelName { request.modelName = modelName }
        let length = try write(request, to: &output, scratch: &scratch)
        if responseFormat.modelName.isEmpty { responseFormat.modelName = model }
        return Call(
            headerLength: length,
            version: request.modelVersion,
            responseFormat: responseFormat
        )
    }

    private func settled() throws(InferenceFailure) -> ModelSignature {
        guard let signature else {
            throw InferenceFailure(
                "the model's metadata isn't known, and without it nobody can say which tensors are meant; call it in the backend's own protocol, or name its tensors in the configuration (`tensors:`)",
                .inexpressible
            )
        }
        return signature
    }

    // MARK: - Answers

    /// Reads a backend's answer, borrowing from `body`; V1 becomes the V2 it stands for.
    package func readAnswer(
        _ body: UnsafeRawBufferPointer,
        headerLength: Int? = nil,
        for responseFormat: ResponseFormat,
        scratch: inout ByteBuffer
    ) throws(InferenceFailure) -> InferenceResponse {
        switch backend {
        case .grpc: try unsafe InferenceResponse(protobuf: body, runtimeKind)
        case .v2: try unsafe InferenceResponse(json: body, headerLength: headerLength)
        case .v1:
            try unsafe InferenceResponse(v1: body, try settled(), responseFormat, scratch: &scratch)
        }
    }

    /// Appends `response` in the caller's form with the caller's `id`; returns its
    /// `Inference-Header-Content-Length` if it has one.
    package func writeAnswer(
        _ response: InferenceResponse,
        for responseFormat: ResponseFormat,
        to output: inout ByteBuffer,
        scratch: inout ByteBuffer
    ) throws(InferenceFailure) -> Int? {
        var response = response
        response.id = responseFormat.id
        switch responseFormat.form {
        case .grpc:
            try response.writeProtobuf(
                raw: responseFormat.isRaw,
                to: &output,
                scratch: &scratch,
                runtimeKind
            )
            return nil
        case .v2:
            return try response.writeJSON(
                for: responseFormat,
                to: &output,
                scratch: &scratch,
                runtimeKind
            )
        case .v1:
            try response.writeV1(for: responseFormat, to: &output, scratch: &scratch, runtimeKind)
            return nil
        }
    }

    /// Reads a backend's answer and appends it in the caller's form, with the caller's `id`.
    package func answer(
        _ body: UnsafeRawBufferPointer,
        headerLength: Int? = nil,
        for responseFormat: ResponseFormat,
        to output: inout ByteBuffer,
        scratch: inout ByteBuffer
    ) throws(InferenceFailure) -> Int? {
        let response = try unsafe readAnswer(
            body,
            headerLength: headerLength,
            for: responseFormat,
            scratch: &scratch
        )
        return try writeAnswer(response, for: responseFormat, to: &output, scratch: &scratch)
    }
}
