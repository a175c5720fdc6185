import SluiceCore
import SluiceEgress
import SluiceGRPC
import SluiceHTTP
import SluiceInference

// A model's metadata, asked for in a protocol that its backends don't speak: the request goes to them
// in theirs, and their answer comes back in the caller's, on the path of a translated prediction.
extension Worker {
    /// Whether it asks for a model's metadata in V2's words.
    func isDescription(_ request: Request) -> Bool {
        switch unsafe request.pointee.callerProtocol {
        case .v2: unsafe request.pointee.operation == .v2Model && !request.pointee.isHead
        case .grpc: unsafe request.pointee.method == .modelMetadata
        case .v1, .other: false
        }
    }

    /// Puts the request in the words of the revision's backends, if those are others; false when it
    /// was refused.
    func translateDescription(
        _ request: Request,
        _ revision: WorkerRevision,
        _ model: WorkerModel
    ) -> Bool {
        guard unsafe !request.pointee.isTranslated, let caller = unsafe form(of: request),
            let head = unsafe request.pointee.head,
            unsafe request.pointee.isInternal || model.translated.contains(caller)
        else { return true }
        let backend = revision.form(for: caller)
        guard backend != caller else { return true }
        if backend == .v1 {
            // V1 describes signatures of its own kind, or nothing.
            unsafe describe(request, revision, model)
            return false
        }
        let name = revision.plan.backendModelName ?? model.plan.name
        var body: [UInt8] = []
        if backend == .grpc {
            body = GRPCFrame.frame(
                ModelDescription.requestMessage(model: name, version: pathVersion(head))
            )
            unsafe setHead(head, "POST", GRPCMethod.modelMetadata.path.utf8Bytes)
            head.append(.contentType, "application/grpc")
        } else {
            var path = "/v2/models/\(PathSegment.escaped(name))"
            do throws(InferenceFailure) {
                let requestMessage = unsafe PredictCodec.message(
                    request.pointee.body.buffered.bytes
                )
                let version = try unsafe ModelDescription.version(in: requestMessage)
                if !version.isEmpty { path += "/versions/\(PathSegment.escaped(version))" }
            } catch {
                unsafe replyWithError(request, .untranslatable(error))
                return false
            }
            unsafe Array(path.utf8).withUnsafeBytes { unsafe setHead(head, "GET", $0) }
            head.remove(.grpcTimeout)
        }
        unsafe request.pointee.body.buffered.release(to: buffers)
        unsafe body.withUnsafeBytes {
            unsafe request.pointee.body.buffered.append($0, pool: buffers)
        }
        unsafe request.pointee.attempt.translatedProtocol = backend == .grpc ? .grpc : .v2
        unsafe request.pointee.body.acknowledged = body.count
        unsafe request.pointee.isTranslated = true
        unsafe request.existing(PathParts.self)?.pointee.prefixLength = 0
        return true
    }

    /// Answers for a server that speaks V1 only, with what is known of its model.
    private func describe(_ request: Request, _ revision: WorkerRevision, _ model: WorkerModel) {
        guard let signature = revision.plan.signature.signature else {
            unsafe replyWithError(request, .undescribed(model.plan.name))
            return
        }
        let description = ModelDescription(name: model.plan.name, signature)
        let isGRPC = unsafe request.pointee.callerProtocol == .grpc
        unsafe reply(
            request,
            RenderedAnswer(
                contentType: isGRPC ? "application/grpc" : "application/json",
                body: isGRPC ? GRPCFrame.frame(description.protobuf) : description.json
            ),
            cacheStatus: nil
        )
    }

    private func setHead(
        _ head: FieldBlock,
        _ method: StaticString,
        _ path: UnsafeRawBufferPointer
    ) {
        for field in [
            FieldName.contentType, .contentLength, .transferCodings, .grpcEncoding,
            .grpcAcceptEncoding, .accept, .acceptEncoding,
        ] { head.remove(field) }
        unsafe head.set(.method, method.utf8Bytes)
        unsafe head.set(.path, path)
    }

    /// Answers with what the backend said of the model.
    func replyDescription(_ request: Request) {
        let told = unsafe request.lookup.pointee.captured.bytes
        do throws(InferenceFailure) {
            let answer: RenderedAnswer
            if unsafe request.pointee.attempt.translatedProtocol == .grpc {
                let description = try unsafe ModelDescription(
                    protobuf: PredictCodec.message(told)
                )
                answer = RenderedAnswer(contentType: "application/json", body: description.json)
            } else {
                let description = try ModelDescription(json: unsafe [UInt8](told))
                answer = RenderedAnswer(
                    contentType: "application/grpc",
                    body: GRPCFrame.frame(description.protobuf)
                )
            }
            unsafe reply(request, answer, cacheStatus: nil)
        } catch {
            unsafe replyWithError(request, .answerUntranslatable(error))
        }
    }
}
