import SluiceCore
import SluiceEgress
import SluiceGRPC
import SluiceHTTP
import SluiceInference

// A model's metadata, asked for in a protocol that its backends don't speak: the question goes to them
// in theirs, and their answer comes back in the caller's, on the path of a translated prediction.
extension Worker {
    /// Whether it asks for a model's metadata in V2's words.
    func isDescription(_ flow: FlowPointer) -> Bool {
        switch unsafe flow.pointee.wire {
        case .v2: unsafe flow.pointee.operation == .v2Model && !flow.pointee.isHead
        case .grpc: unsafe flow.pointee.method == .modelMetadata
        case .v1, .other: false
        }
    }

    /// Puts the question in the words of the revision's backends, if those are others; false when it
    /// was refused.
    func translateQuestion(
        _ flow: FlowPointer,
        _ revision: WorkerRevision,
        _ model: WorkerModel
    ) -> Bool {
        guard unsafe !flow.pointee.isTranslated, let caller = unsafe form(of: flow),
            let head = unsafe flow.pointee.head,
            unsafe flow.pointee.isUnheard || model.translated.contains(caller)
        else { return true }
        let backend = revision.form(for: caller)
        guard backend != caller else { return true }
        if backend == .v1 {
            // V1 describes signatures of its own kind, or nothing.
            unsafe describe(flow, revision, model)
            return false
        }
        let name = revision.plan.backendModelName ?? model.plan.name
        var body: [UInt8] = []
        if backend == .grpc {
            body = GRPCFrame.frame(
                ModelDescription.question(model: name, version: pathVersion(head))
            )
            unsafe setHead(head, "POST", GRPCMethod.modelMetadata.path.utf8Bytes)
            head.append(.contentType, "application/grpc")
        } else {
            var path = "/v2/models/\(PathSegment.escaped(name))"
            do throws(InferenceFailure) {
                let question = unsafe PredictCodec.message(flow.pointee.held.bytes)
                let version = try unsafe ModelDescription.version(in: question)
                if !version.isEmpty { path += "/versions/\(PathSegment.escaped(version))" }
            } catch {
                unsafe refuse(flow, .untranslatable(error))
                return false
            }
            unsafe Array(path.utf8).withUnsafeBytes { unsafe setHead(head, "GET", $0) }
            head.remove(.grpcTimeout)
        }
        unsafe flow.pointee.held.release(to: buffers)
        unsafe body.withUnsafeBytes { unsafe flow.pointee.held.append($0, pool: buffers) }
        unsafe flow.pointee.backendWire = backend == .grpc ? .grpc : .v2
        unsafe flow.pointee.credited = body.count
        unsafe flow.pointee.isTranslated = true
        unsafe flow.pointee.prefixLength = 0
        return true
    }

    /// Answers for a server that speaks V1 only, with what is known of its model.
    private func describe(_ flow: FlowPointer, _ revision: WorkerRevision, _ model: WorkerModel) {
        guard let signature = revision.plan.signature.signature else {
            unsafe refuse(flow, .undescribed(model.plan.name))
            return
        }
        let description = ModelDescription(name: model.plan.name, signature)
        let isGRPC = unsafe flow.pointee.wire == .grpc
        unsafe reply(
            flow,
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
    func replyDescription(_ flow: FlowPointer) {
        let told = unsafe flow.pointee.cache.captured.bytes
        do throws(InferenceFailure) {
            let answer: RenderedAnswer
            if unsafe flow.pointee.backendWire == .grpc {
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
            unsafe reply(flow, answer, cacheStatus: nil)
        } catch {
            unsafe refuse(flow, .answerUntranslatable(error))
        }
    }
}
