import SluiceCore
import SluiceInference

// Whole requests and answers in another form than they came in; see ``Transcoder``.
extension PredictCodec {
    /// What a request is to be turned into, and from what.
    struct TranslationOrder: Sendable {
        var headerLength: Int?
        var caller: ResponseFormat.APIForm
        var backend: ResponseFormat.APIForm
        /// Another form that the backend takes, for what the first can't express.
        var other: ResponseFormat.APIForm?
        var runtimeKind: RuntimeKind
        var signature: ModelSignature?
        var model: String
        var version: String
        /// The model's name at the backend.
        var backendName: String
    }

    /// A request in the form of its backend.
    struct Translation {
        /// What it was turned into.
        var form: ResponseFormat.APIForm
        /// Its holder gives it back.
        var body: PooledBytes
        var headerLength: Int?
        /// Where it goes over REST.
        var path: String
        var responseFormat: ResponseFormat
    }

    /// Turns a whole request into another form.
    mutating func translate(
        _ body: UnsafeRawBufferPointer,
        _ order: TranslationOrder
    ) -> Result<Translation, InferenceFailure> {
        let transcoder = Transcoder(
            caller: order.caller,
            backend: order.backend,
            order.runtimeKind,
            signature: order.signature
        )
        var output = ByteBuffer(pool: pool)
        do throws(InferenceFailure) {
            if order.backend == .grpc { PredictCodec.beginFrame(&output) }
            let call = try unsafe transcoder.request(
                order.caller == .grpc ? PredictCodec.message(body) : body,
                headerLength: order.headerLength,
                model: order.model,
                version: order.version,
                modelName: order.backendName,
                to: &output,
                scratch: &scratch
            )
            if order.backend == .grpc { PredictCodec.endFrame(&output) }
            return .success(
                Translation(
                    form: order.backend,
                    body: output.takeContent(),
                    headerLength: call.headerLength,
                    path: order.backend == .v1
                        ? RuntimeKind.predictPath(
                            model: order.backendName,
                            version: call.version
                        )
                        : order.runtimeKind.inferPath(
                            model: order.backendName,
                            version: call.version
                        ),
                    responseFormat: call.responseFormat
                )
            )
        } catch {
            guard let other = order.other, error.kind == .inexpressible else {
                return .failure(error)
            }
            var order = order
            (order.backend, order.other) = (other, nil)
            return unsafe translate(body, order)
        }
    }

    /// What an answer is to be turned into, and from what.
    struct AnswerOrder: Sendable {
        var headerLength: Int?
        var backend: ResponseFormat.APIForm
        var runtimeKind: RuntimeKind
        var signature: ModelSignature?
        var responseFormat: ResponseFormat

        /// The way back.
        var transcoder: Transcoder {
            Transcoder(
                caller: responseFormat.form,
                backend: backend,
                runtimeKind,
                signature: signature
            )
        }
    }

    /// Turns a whole answer into the caller's form.
    mutating func answer(
        _ body: UnsafeRawBufferPointer,
        _ order: AnswerOrder
    ) -> Result<RenderedAnswer, InferenceFailure> {
        let responseFormat = order.responseFormat
        let transcoder = order.transcoder
        var output = ByteBuffer(pool: pool)
        do throws(InferenceFailure) {
            if responseFormat.form == .grpc { PredictCodec.beginFrame(&output) }
            let length = try unsafe transcoder.answer(
                order.backend == .grpc ? PredictCodec.message(body) : body,
                headerLength: order.headerLength,
                for: responseFormat,
                to: &output,
                scratch: &scratch
            )
            if responseFormat.form == .grpc { PredictCodec.endFrame(&output) }
            let type: StaticString =
                responseFormat.form == .grpc
                ? "application/grpc"
                : length == nil ? "application/json" : "application/octet-stream"
            return unsafe .success(
                RenderedAnswer(
                    contentType: type,
                    body: [UInt8](output.bytes),
                    headerLength: length ?? -1
                )
            )
        } catch {
            return .failure(error)
        }
    }
}
