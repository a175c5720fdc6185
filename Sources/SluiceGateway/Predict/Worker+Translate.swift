import SluiceBalancing
import SluiceCache
import SluiceCore
import SluiceEgress
import SluiceGRPC
import SluiceHTTP
import SluiceInference
import SluiceTelemetry

// The caller speaks one protocol and the backend another: the whole request is turned into the
// backend's form before a connection is asked for, and the whole answer into the caller's.
extension Worker {
    /// Whether this call may have to be turned into another form, so that it must be whole.
    func mayTranslate(_ flow: FlowPointer) -> Bool {
        guard unsafe isPrediction(flow) || isDescription(flow), let form = unsafe form(of: flow)
        else { return false }
        return unsafe flow.pointee.model?._withUnsafeGuaranteedRef {
            if unsafe $0.translated.contains(form) || $0.readsOnlyJSON && hasBinaryTensors(flow) {
                unsafe noteCoding(flow)
                return true
            }
            return unsafe ($0.lacksDecoding || $0.renames) && mustDecode(flow, $0)
        } ?? false
    }

    /// Notes that a REST body must be decoded before it is translated.
    private func noteCoding(_ flow: FlowPointer) {
        guard unsafe flow.pointee.wire != .grpc, let head = unsafe flow.pointee.head else { return }
        unsafe flow.pointee.isCoded = NamedCoding(head, .contentEncoding).coding != nil
    }

    /// Whether tensors follow the JSON of a V2 request, as its head says.
    func hasBinaryTensors(_ flow: FlowPointer) -> Bool {
        guard unsafe flow.pointee.operation == .v2Infer else { return false }
        return unsafe flow.pointee.head?.index(of: .inferenceHeaderContentLength) != nil
    }

    /// Whether it asks a model for a single answer, in whichever form.
    func isPrediction(_ flow: FlowPointer) -> Bool {
        switch unsafe flow.pointee.wire {
        case .v1: unsafe flow.pointee.operation == .v1Predict
        case .v2: unsafe flow.pointee.operation == .v2Infer
        case .grpc: unsafe flow.pointee.method == .modelInfer
        case .other: false
        }
    }

    /// Turns the request into the form of the revision's backends, if that is another; false when
    /// it was refused.
    func translate(_ flow: FlowPointer, _ revision: WorkerRevision, _ model: WorkerModel) -> Bool {
        if unsafe isDescription(flow) { return unsafe translateQuestion(flow, revision, model) }
        // Only what was gathered can be translated: see `mayTranslate(_:)`.
        guard unsafe isPrediction(flow), unsafe !flow.pointee.isTranslated,
            let caller = unsafe form(of: flow), let head = unsafe flow.pointee.head,
            unsafe flow.pointee.isUnheard || model.translated.contains(caller)
                || model.readsOnlyJSON
        else { return true }
        var backend = revision.form(for: caller)
        var other: CallerWishes.Form?
        if backend == caller {
            guard unsafe revision.readsOnlyJSON && hasBinaryTensors(flow) else { return true }
            (backend, other) = unsafe revision.formsOfBinary(count: flow.pointee.held.count)
        }
        guard unsafe flow.pointee.wire == .grpc || NamedCoding(head, .contentEncoding) == .none
        else {
            unsafe refuse(flow, .codedBody(head))
            return false
        }
        let order = PredictCodec.TranslationOrder(
            headerLength: requestHeaderLength(head),
            caller: caller,
            backend: backend,
            other: other,
            dialect: revision.plan.dialect,
            signature: revision.plan.signature.signature,
            model: model.plan.name,
            version: pathVersion(head),
            backendName: revision.plan.backendModelName ?? model.plan.name
        )
        if unsafe isLong(flow.pointee.held.count) {
            unsafe offload(flow, .request, on: .held) { codec, body in
                unsafe Handed(codec.translate(body, order))
            } then: { worker, flow, result in
                guard let flow = unsafe flow else {
                    if case .success(var made) = result { made.body.release(to: worker.buffers) }
                    return
                }
                guard unsafe worker.translated(flow, order, result) else { return }
                unsafe worker.chooseTranslated(flow)
            }
            return false
        }
        return unsafe translated(
            flow,
            order,
            codec.translate(flow.pointee.held.bytes, order)
        )
    }

    /// Goes on with a request that a helper thread has translated.
    private func chooseTranslated(_ flow: FlowPointer) {
        unsafe flow.pointee.revision?._withUnsafeGuaranteedRef { revision in
            unsafe flow.pointee.model?._withUnsafeGuaranteedRef {
                unsafe choose(flow, revision, $0)
            }
        }
    }

    /// Puts a translated request into the place of the caller's; false when it was refused.
    private func translated(
        _ flow: FlowPointer,
        _ order: PredictCodec.TranslationOrder,
        _ result: Result<PredictCodec.Translation, InferenceFailure>
    ) -> Bool {
        guard let head = unsafe flow.pointee.head else { return false }
        switch result {
        case .failure(let failure):
            unsafe refuse(flow, .untranslatable(failure))
            return false
        case .success(let made):
            unsafe flow.pointee.held.release(to: buffers)
            unsafe flow.pointee.held = made.body
            if let question = unsafe flow.pointee.cache.question {
                // V2 wishes are the caller's, whatever part of its request goes out.
                if order.caller == .v1 {
                    unsafe question._withUnsafeGuaranteedRef { $0.learnLayout(from: made.wishes) }
                }
            } else {
                unsafe flow.pointee.cache.question = .passRetained(Question(made.wishes))
            }
            unsafe flow.pointee.backendWire =
                made.form == .grpc ? .grpc : made.form == .v1 ? .v1 : .v2
            // The caller has heard of all it sent.
            unsafe flow.pointee.credited = made.body.count
            unsafe flow.pointee.isTranslated = true
            unsafe rewrite(head, flow, made)
            return true
        }
    }

    /// Makes the head one of the backend's protocol.
    private func rewrite(
        _ head: FieldBlock,
        _ flow: FlowPointer,
        _ made: PredictCodec.Translation
    ) {
        for field in [
            FieldName.contentType, .contentLength, .transferCodings, .grpcEncoding,
            .grpcAcceptEncoding, .inferenceHeaderContentLength, .accept, .acceptEncoding,
            .contentEncoding,
        ] { head.remove(field) }
        unsafe head.set(.method, ("POST" as StaticString).utf8Bytes)
        // In the caller's own protocol its path stays, and names what it always does.
        let isOtherPath = unsafe flow.pointee.backendWire != flow.pointee.wire
        if isOtherPath { unsafe flow.pointee.prefixLength = 0 }
        if unsafe flow.pointee.backendWire == .grpc {
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
    func translatedHead(_ flow: FlowPointer, _ head: FieldBlock, endStream: Bool) {
        defer { blocks.give(head) }
        unsafe flow.pointee.cache.control =
            head.status == 200 ? AnswerControl(head) : .unstorable
        if unsafe flow.pointee.backendWire == .grpc {
            guard head.status == 200, let type = unsafe head.first(.contentType),
                unsafe MediaType.isGRPC(type)
            else {
                unsafe refuse(flow, .notGRPC(status: head.status))
                return
            }
            unsafe flow.pointee.cache.answerCoding = NamedCoding(head, .grpcEncoding).coding
            if endStream { unsafe translatedEnd(flow, head) }
            return
        }
        let coding = NamedCoding(head, .contentEncoding)
        guard coding != .unknown else {
            unsafe refuse(flow, .answerCoded(head.text(.contentEncoding) ?? ""))
            return
        }
        unsafe flow.pointee.cache.answerCoding = coding.coding
        if let text = unsafe head.first(.inferenceHeaderContentLength) {
            unsafe flow.pointee.cache.headerLength = ASCII.decimal(text) ?? -1
        }
        if endStream { unsafe translatedEnd(flow, nil) }
    }

    /// A piece of a translated call's answer.
    func translatedBody(_ flow: FlowPointer, _ bytes: UnsafeRawBufferPointer, endStream: Bool) {
        if unsafe flow.pointee.retry.isFaulty {
            unsafe faultyBody(flow, bytes.count, endStream: endStream)
            return
        }
        let limit = replica.snapshot.maxRequestBytes
        guard unsafe flow.pointee.cache.captured.count + bytes.count <= limit else {
            if unsafe asksWhole(flow) { return }
            unsafe refuse(flow, .answerTooLarge(limit: limit))
            return
        }
        unsafe flow.pointee.cache.captured.append(bytes, pool: buffers)
        unsafe flow.pointee.call?.consumed(bytes.count)
        if endStream { unsafe translatedEnd(flow, nil) }
    }

    /// The answer is whole; `fields` have a gRPC backend's status.
    func translatedEnd(_ flow: FlowPointer, _ fields: FieldBlock?) {
        if unsafe flow.pointee.retry.isFaulty {
            unsafe faultyEnd(flow)
            return
        }
        unsafe flow.pointee.call = nil
        if unsafe flow.pointee.backendWire == .grpc {
            guard let fields else {
                unsafe refuse(
                    flow,
                    .backendFailed(.malformed("it ended its answer without a gRPC status"))
                )
                return
            }
            let code = unsafe fields.first(.grpcStatus).flatMap { unsafe ASCII.decimal($0) } ?? 2
            unsafe flow.pointee.backendCode = code
            unsafe flow.pointee.outcome = BackendOutcome(grpc: code)
            guard code == 0 else {
                unsafe noteRefusal(flow, grpc: fields)
                let text = fields.text(.grpcMessage).map(StatusMessage.decode) ?? ""
                unsafe refuse(flow, .backendStatus(grpc: code, text))
                return
            }
        }
        let isMessage = unsafe flow.pointee.backendWire == .grpc
        if let coding = unsafe flow.pointee.cache.answerCoding,
            unsafe isAnswerCoded(flow, isMessage: isMessage)
        {
            unsafe decodeAnswer(flow, coding)
            return
        }
        unsafe translatedGathered(flow)
    }

    /// The answer is whole and can be read.
    func translatedGathered(_ flow: FlowPointer) {
        if unsafe flow.pointee.backendWire != .grpc,
            unsafe !(200..<300).contains(flow.pointee.backendCode)
        {
            let status = unsafe flow.pointee.backendCode
            let text = unsafe ErrorBody.sentence(
                in: flow.pointee.cache.captured.bytes,
                status: status
            )
            unsafe refuse(flow, .backendStatus(http: status, text))
            return
        }
        if unsafe isDescription(flow) {
            unsafe replyDescription(flow)
            return
        }
        guard let wishes = unsafe wishes(of: flow) else { return }
        if let batch = unsafe rows(of: flow), batch.mode == .partial {
            unsafe rowsAnswered(flow, batch, wishes)
            return
        }
        if unsafe isLong(flow.pointee.cache.captured.count) {
            let order = unsafe answerOrder(flow, wishes)
            unsafe offload(flow, .answer, on: .captured) { codec, body in
                unsafe Handed(codec.answer(body, order))
            } then: { worker, flow, answer in
                if let flow = unsafe flow { unsafe worker.translatedWhole(flow, answer) }
            }
            return
        }
        unsafe translatedWhole(flow, translatedAnswer(flow, wishes))
    }

    /// The answer is in the caller's form, or can't be.
    private func translatedWhole(
        _ flow: FlowPointer,
        _ answer: Result<RenderedAnswer, InferenceFailure>
    ) {
        switch answer {
        case .failure(let failure): unsafe refuse(flow, .answerUntranslatable(failure))
        case .success(let rendered):
            if unsafe flow.pointee.mirror != nil { unsafe mirrorAnswer(flow, rendered) }
            unsafe flow.pointee.cache.isCapturing =
                flow.pointee.cache.control.isStorable
                && flow.pointee.cache.captured.count
                    <= shared.cache?.memory.maximumEntryBytes ?? 0
            if unsafe flow.pointee.cache.role == .leads || flow.pointee.cache.role == .alone {
                unsafe finishCapture(flow)
            }
            unsafe reply(flow, rendered, cacheStatus: cacheStatus(of: flow))
        }
    }

    /// What was gathered, in the caller's form.
    func translatedAnswer(
        _ flow: FlowPointer,
        _ wishes: CallerWishes
    ) -> Result<RenderedAnswer, InferenceFailure> {
        unsafe codec.answer(flow.pointee.cache.captured.bytes, answerOrder(flow, wishes))
    }

    /// What the answer that was gathered is to be turned into for these wishes.
    func answerOrder(
        _ flow: FlowPointer,
        _ wishes: CallerWishes
    ) -> PredictCodec.AnswerOrder {
        var wishes = wishes
        // V1's answers don't name it, and a request's key doesn't either.
        if wishes.modelName.isEmpty, unsafe flow.pointee.backendWire == .v1 {
            wishes.modelName =
                unsafe flow.pointee.model?._withUnsafeGuaranteedRef { $0.plan.name } ?? ""
        }
        return unsafe PredictCodec.AnswerOrder(
            headerLength: headerLength(flow.pointee.cache.headerLength),
            backend: flow.pointee.backendWire == .grpc
                ? .grpc : flow.pointee.backendWire == .v1 ? .v1 : .v2,
            dialect: dialect(of: flow),
            signature: flow.pointee.revision?._withUnsafeGuaranteedRef {
                $0.plan.signature.signature
            },
            wishes: wishes
        )
    }

    func dialect(of flow: FlowPointer) -> Dialect {
        unsafe flow.pointee.revision?._withUnsafeGuaranteedRef { $0.plan.dialect } ?? .generic
    }

    private func cacheStatus(of flow: FlowPointer) -> String? {
        switch unsafe flow.pointee.cache.role {
        case .none: nil
        case .bypass: "sluice; fwd=bypass"
        default: "sluice; fwd=miss"
        }
    }
}
