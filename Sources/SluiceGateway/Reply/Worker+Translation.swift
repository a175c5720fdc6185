import SluiceBalancing
import SluiceCache
import SluiceCore
import SluiceEgress
import SluiceGRPC
import SluiceHTTP
import SluiceInference

// The caller speaks one protocol and the backend another: the whole request is turned into the
// backend's form before a connection is asked for, and the whole answer into the caller's.
extension Worker {
    /// Whether this call may have to be turned into another form, so that it must be whole.
    func mayTranslate(_ request: Request) -> Bool {
        guard unsafe isPrediction(request) || isDescription(request),
            let form = unsafe form(of: request)
        else { return false }
        return unsafe request.pointee.model?._withUnsafeGuaranteedRef {
            if unsafe $0.translated.contains(form) || $0.readsOnlyJSON && hasBinaryTensors(request)
            {
                unsafe noteCoding(request)
                return true
            }
            return unsafe ($0.lacksDecoding || $0.renames) && mustDecode(request, $0)
        } ?? false
    }

    /// Notes that a REST body must be decoded before it is translated.
    private func noteCoding(_ request: Request) {
        guard unsafe request.pointee.callerProtocol != .grpc, let head = unsafe request.pointee.head
        else { return }
        unsafe request.pointee.isCoded = NamedCoding(head, .contentEncoding).coding != nil
    }

    /// Whether tensors follow the JSON of a V2 request, as its head says.
    func hasBinaryTensors(_ request: Request) -> Bool {
        guard unsafe request.pointee.operation == .v2Infer else { return false }
        return unsafe request.pointee.head?.index(of: .inferenceHeaderContentLength) != nil
    }

    /// Turns the request into the form of the revision's backends, if that is another; false when
    /// it was refused.
    func translate(_ request: Request, _ revision: WorkerRevision, _ model: WorkerModel) -> Bool {
        if unsafe isDescription(request) {
            return unsafe translateDescription(request, revision, model)
        }
        // Only what was gathered can be translated: see `mayTranslate(_:)`.
        guard unsafe isPrediction(request), unsafe !request.pointee.isTranslated,
            let caller = unsafe form(of: request), let head = unsafe request.pointee.head,
            unsafe request.pointee.isInternal || model.translated.contains(caller)
                || model.readsOnlyJSON
        else { return true }
        var backend = revision.form(for: caller)
        var other: ResponseFormat.APIForm?
        if backend == caller {
            guard unsafe revision.readsOnlyJSON && hasBinaryTensors(request) else { return true }
            (backend, other) = unsafe revision.formsOfBinary(
                count: request.pointee.body.buffered.count
            )
        }
        guard
            unsafe request.pointee.callerProtocol == .grpc
                || NamedCoding(head, .contentEncoding) == .none
        else {
            unsafe replyWithError(request, .codedBody(head))
            return false
        }
        let order = PredictCodec.TranslationOrder(
            headerLength: requestHeaderLength(head),
            caller: caller,
            backend: backend,
            other: other,
            runtimeKind: revision.plan.runtimeKind,
            signature: revision.plan.signature.signature,
            model: model.plan.name,
            version: pathVersion(head),
            backendName: revision.plan.backendModelName ?? model.plan.name
        )
        if unsafe request.pointee.body.buffered.count > turnLimit {
            unsafe offload(request, .request, on: .buffered) { codec, body in
                unsafe Handed(codec.translate(body, order))
            } then: { worker, request, result in
                guard let request = unsafe request else {
                    if case .success(var made) = result { made.body.release(to: worker.buffers) }
                    return
                }
                guard unsafe worker.translated(request, order, result) else { return }
                unsafe worker.chooseTranslated(request)
            }
            return false
        }
        return unsafe translated(
            request,
            order,
            codec.translate(request.pointee.body.buffered.bytes, order)
        )
    }

    /// Goes on with a request that a helper thread has translated.
    private func chooseTranslated(_ request: Request) {
        unsafe request.pointee.revision?._withUnsafeGuaranteedRef { revision in
            unsafe request.pointee.model?._withUnsafeGuaranteedRef {
                unsafe choose(request, revision, $0)
            }
        }
    }

    /// Puts a translated request into the place of the caller's; false when it was refused.
    private func translated(
        _ request: Request,
        _ order: PredictCodec.TranslationOrder,
        _ result: Result<PredictCodec.Translation, InferenceFailure>
    ) -> Bool {
        guard let head = unsafe request.pointee.head else { return false }
        switch result {
        case .failure(let failure):
            unsafe replyWithError(request, .untranslatable(failure))
            return false
        case .success(let made):
            unsafe request.pointee.body.buffered.release(to: buffers)
            unsafe request.pointee.body.buffered = made.body
            if let cacheable = unsafe request.cacheable {
                // A V2 response format is the caller's, whatever part of its request goes out.
                if order.caller == .v1 {
                    unsafe cacheable._withUnsafeGuaranteedRef {
                        $0.learnLayout(from: made.responseFormat)
                    }
                }
            } else {
                unsafe request.lookup.pointee.cacheable = .passRetained(
                    CacheableRequest(made.responseFormat)
                )
            }
            unsafe request.pointee.attempt.translatedProtocol =
                made.form == .grpc ? .grpc : made.form == .v1 ? .v1 : .v2
            // The caller has heard of all it sent.
            unsafe request.pointee.body.acknowledged = made.body.count
            unsafe request.pointee.isTranslated = true
            unsafe rewrite(head, request, made)
            return true
        }
    }

    /// Makes the head one of the backend's protocol.
    private func rewrite(
        _ head: FieldBlock,
        _ request: Request,
        _ made: PredictCodec.Translation
    ) {
        for field in [
            FieldName.contentType, .contentLength, .transferCodings, .grpcEncoding,
            .grpcAcceptEncoding, .inferenceHeaderContentLength, .accept, .acceptEncoding,
            .contentEncoding,
        ] { head.remove(field) }
        unsafe head.set(.method, ("POST" as StaticString).utf8Bytes)
        // In the caller's own protocol its path stays, and names what it always does.
        let isOtherPath =
            unsafe request.pointee.attempt.translatedProtocol != request.pointee.callerProtocol
        if isOtherPath { unsafe request.existing(PathParts.self)?.pointee.prefixLength = 0 }
        if unsafe request.pointee.attempt.translatedProtocol == .grpc {
            unsafe head.set(.path, GRPCMethod.modelInfer.path.utf8Bytes)
            head.append(.contentType, "application/grpc")
            return
        }
        head.remove(.grpcTimeout)
        if isOtherPath {
            let path = made.path
            unsafe Array(path.utf8).withUnsafeBytes { unsafe head.set(.path, $0) }
        }
        if let length = made.headerLength {
            head.append(.contentType, "application/octet-stream")
            head.append(.inferenceHeaderContentLength, decimal: length, isVolatile: true)
        } else {
            head.append(.contentType, "application/json")
        }
        head.append(.contentLength, decimal: made.body.count, isVolatile: true)
    }

    // MARK: - Answers

    /// A translated call's head: its status is noted, its body will be gathered.
    func translatedHead(_ request: Request, _ head: FieldBlock, endStream: Bool) {
        defer { blocks.give(head) }
        unsafe request.lookup.pointee.control =
            head.status == 200 ? AnswerControl(head) : .unstorable
        if unsafe request.pointee.attempt.translatedProtocol == .grpc {
            guard head.status == 200, let type = unsafe head.first(.contentType),
                unsafe MediaType.isGRPC(type)
            else {
                unsafe replyWithError(request, .notGRPC(status: head.status))
                return
            }
            unsafe request.lookup.pointee.answerCoding = NamedCoding(head, .grpcEncoding).coding
            if endStream { unsafe translatedEnd(request, head) }
            return
        }
        let coding = NamedCoding(head, .contentEncoding)
        guard coding != .unknown else {
            unsafe replyWithError(request, .answerCoded(head.text(.contentEncoding) ?? ""))
            return
        }
        unsafe request.lookup.pointee.answerCoding = coding.coding
        if let text = unsafe head.first(.inferenceHeaderContentLength) {
            unsafe request.lookup.pointee.headerLength = ASCII.decimal(text) ?? -1
        }
        if endStream { unsafe translatedEnd(request, nil) }
    }

    /// A piece of a translated call's answer.
    func translatedBody(_ request: Request, _ bytes: UnsafeRawBufferPointer, endStream: Bool) {
        if unsafe request.pointee.retry.isFaulty {
            unsafe faultyBody(request, bytes.count, endStream: endStream)
            return
        }
        let limit = workerSnapshot.snapshot.maxRequestBytes
        guard unsafe request.lookup.pointee.captured.count + bytes.count <= limit else {
            if unsafe asksWhole(request) { return }
            unsafe replyWithError(request, .answerTooLarge(limit: limit))
            return
        }
        unsafe request.lookup.pointee.captured.append(bytes, pool: buffers)
        unsafe request.pointee.attempt.call?.consumed(bytes.count)
        if endStream { unsafe translatedEnd(request, nil) }
    }

    /// The answer is whole; `fields` have a gRPC backend's status.
    func translatedEnd(_ request: Request, _ fields: FieldBlock?) {
        if unsafe request.pointee.retry.isFaulty {
            unsafe faultyEnd(request)
            return
        }
        unsafe request.pointee.attempt.call = nil
        if unsafe request.pointee.attempt.translatedProtocol == .grpc {
            guard let fields else {
                unsafe replyWithError(
                    request,
                    .backendFailed(.malformed("it ended its answer without a gRPC status"))
                )
                return
            }
            let code = unsafe fields.first(.grpcStatus).flatMap { unsafe ASCII.decimal($0) } ?? 2
            unsafe request.pointee.attempt.code = code
            unsafe request.pointee.attempt.outcome = BackendOutcome(grpc: code)
            guard code == 0 else {
                unsafe noteErrorAnswer(request, grpc: fields)
                let text = fields.text(.grpcMessage).map(StatusMessage.decode) ?? ""
                unsafe replyWithError(request, .backendStatus(grpc: code, text))
                return
            }
        }
        let isMessage = unsafe request.pointee.attempt.translatedProtocol == .grpc
        if let coding = unsafe request.lookup.pointee.answerCoding,
            unsafe isAnswerCoded(request, isMessage: isMessage)
        {
            unsafe decodeAnswer(request, coding)
            return
        }
        unsafe translatedGathered(request)
    }

    /// The answer is whole and can be read.
    func translatedGathered(_ request: Request) {
        if unsafe request.pointee.attempt.translatedProtocol != .grpc,
            unsafe !(200..<300).contains(request.pointee.attempt.code)
        {
            let status = unsafe request.pointee.attempt.code
            let text = unsafe ErrorBody.sentence(
                in: request.lookup.pointee.captured.bytes,
                status: status
            )
            unsafe replyWithError(request, .backendStatus(http: status, text))
            return
        }
        if unsafe isDescription(request) {
            unsafe replyDescription(request)
            return
        }
        guard let responseFormat = unsafe responseFormat(of: request) else { return }
        if let batch = unsafe rows(of: request), batch.mode == .partial {
            unsafe rowsAnswered(request, batch, responseFormat)
            return
        }
        if unsafe request.lookup.pointee.captured.count > turnLimit {
            let order = unsafe answerOrder(request, responseFormat)
            unsafe offload(request, .answer, on: .captured) { codec, body in
                unsafe Handed(codec.answer(body, order))
            } then: { worker, request, answer in
                if let request = unsafe request { unsafe worker.translatedWhole(request, answer) }
            }
            return
        }
        unsafe translatedWhole(request, translatedAnswer(request, responseFormat))
    }

    /// The answer is in the caller's form, or can't be.
    private func translatedWhole(
        _ request: Request,
        _ answer: Result<RenderedAnswer, InferenceFailure>
    ) {
        switch answer {
        case .failure(let failure):
            guard unsafe replyAsItCame(request) else {
                unsafe replyWithError(request, .answerUntranslatable(failure))
                return
            }
        case .success(let rendered):
            if unsafe request.pointee.isMirrored { unsafe mirrorAnswer(request, rendered) }
            unsafe request.pointee.isCapturing =
                request.lookup.pointee.control.isStorable
                && request.lookup.pointee.captured.count
                    <= shared.cache?.memory.maximumEntryBytes ?? 0
            if unsafe request.pointee.cacheRole == .leads
                || request.pointee.cacheRole == .uncoalesced
            {
                unsafe finishCapture(request)
            }
            unsafe reply(request, rendered, cacheStatus: cacheStatus(of: request))
        }
    }

    /// What was gathered, in the caller's form.
    func translatedAnswer(
        _ request: Request,
        _ responseFormat: ResponseFormat
    ) -> Result<RenderedAnswer, InferenceFailure> {
        unsafe codec.answer(
            request.lookup.pointee.captured.bytes,
            answerOrder(request, responseFormat)
        )
    }

    /// What the answer that was gathered is to be turned into for this response format.
    func answerOrder(
        _ request: Request,
        _ responseFormat: ResponseFormat
    ) -> PredictCodec.AnswerOrder {
        var responseFormat = responseFormat
        // V1's answers don't name it, and a request's key doesn't either.
        if responseFormat.modelName.isEmpty,
            unsafe request.pointee.attempt.translatedProtocol == .v1
        {
            responseFormat.modelName =
                unsafe request.pointee.model?._withUnsafeGuaranteedRef { $0.plan.name } ?? ""
        }
        return unsafe PredictCodec.AnswerOrder(
            headerLength: headerLength(request.lookup.pointee.headerLength),
            backend: request.pointee.attempt.translatedProtocol == .grpc
                ? .grpc : request.pointee.attempt.translatedProtocol == .v1 ? .v1 : .v2,
            runtimeKind: runtimeKind(of: request),
            signature: request.pointee.revision?._withUnsafeGuaranteedRef {
                $0.plan.signature.signature
            },
            responseFormat: responseFormat
        )
    }

    func cacheStatus(of request: Request) -> String? {
        switch unsafe request.pointee.cacheRole {
        case .none: nil
        case .bypass: "sluice; fwd=bypass"
        default: "sluice; fwd=miss"
        }
    }
}
