import SluiceBalancing
import SluiceCore
import SluiceEgress
import SluiceGRPC
import SluiceHTTP
import SluiceIO
import SluiceInference

// A failure may be the caller's doing: runtimes answer 500 to JSON that is none, or to data that doesn't
// fit its shape. So the body of a prediction is kept as it passes, up to `retryBufferBytes`, and a
// failure makes us look at it:
//
//   fails (5xx, UNKNOWN, INTERNAL, UNAVAILABLE, reset, no answer in time)
//     │ the body is here, whole ──► well-formed: the failure is the backend's, and passed on as it is
//     │                        └──► not: 400 or INVALID_ARGUMENT with the place, counted for no backend
//     └ it isn't: the backend's
//
// The rest of the backend's answer is read and dropped before the caller hears, so that callers who
// send rubbish don't cost a connection each. Kept are 1 MiB at most, so a look is one turn's work.
extension Worker {
    /// Bytes of a failure's own text that are read and dropped, so that its connection stays.
    private static let faultyAnswerMaximum = 64 << 10

    /// Whether the body is to be kept for a look, though it won't be sent again.
    ///
    /// What we made ourselves, in translating, is well-formed.
    @inline(__always)
    func isWorthALook(
        _ request: Request,
        _ revision: WorkerRevision,
        _ heldCount: Int
    ) -> Bool {
        guard unsafe request.pointee.callerProtocol != .other, unsafe !request.pointee.isTranslated,
            unsafe request.pointee.callerProtocol == .grpc
                ? request.pointee.method == .modelInfer : request.pointee.operation.isPrediction
        else { return false }
        return heldCount <= revision.balance.retry.bufferBytes
    }

    /// Whether a content type, as REST callers send it, leaves it open that the body is JSON.
    static func mayBeJSON(_ type: UnsafeRawBufferPointer) -> Bool {
        unsafe ASCII.hasPrefix(type, "application/json")
            || ASCII.hasPrefix(type, "application/octet-stream")
            || ASCII.hasPrefix(type, "text/plain") || ASCII.hasPrefix(type, "text/json")
    }

    /// What is wrong with the request, if it is whole, was kept, and can be read.
    func fault(of request: Request) -> RequestFault? {
        guard unsafe request.pointee.retry.keepsBody, unsafe request.pointee.hasRequestEnded,
            unsafe !request.pointee.isCoded, let form = unsafe faultForm(of: request)
        else { return nil }
        let length = unsafe request.existing(Replay.self)?.pointee.headerLength ?? -1
        return unsafe RequestFault.find(
            in: keptBody(request),
            form,
            headerLength: length == -1 ? nil : length,
            runtimeKind(of: request)
        )
    }

    /// The body as it was kept: it lies still until the request ends or forgets it.
    func keptBody(_ request: Request) -> UnsafeRawBufferPointer {
        let small = unsafe request.smallBody
        return unsafe small.isEmpty ? request.replay.pointee.body.bytes : small
    }

    /// What the body should be; nil where that isn't for us to say.
    private func faultForm(of request: Request) -> RequestFault.APIForm? {
        // In drain it counts as translated, and was looked at before.
        guard unsafe request.pointee.retry.isFaulty || !request.pointee.isTranslated else {
            return nil
        }
        if unsafe request.pointee.callerProtocol == .grpc {
            return unsafe request.pointee.method == .modelInfer ? .grpc : nil
        }
        let operation = unsafe request.pointee.operation
        if operation == .v2Infer { return .v2 }
        // A server of its own kind may take images there.
        guard operation.isPrediction, unsafe !request.pointee.retry.isForeign else { return nil }
        return operation == .v1Predict || operation == .v1Explain ? .v1 : .object
    }

    /// Whether a failing answer is the caller's doing; then it is told so when the answer has ended.
    @inline(never)
    func isFaulty(_ request: Request, failing head: FieldBlock, endStream: Bool) -> Bool {
        var code = head.status
        if unsafe request.pointee.callerProtocol == .grpc, code == 200 {
            code = unsafe head.first(.grpcStatus).flatMap { unsafe ASCII.decimal($0) } ?? 2
            if code == 5 { unsafe request.pointee.namesVersion = messageNamesVersion(request) }
            guard endStream, [.failed, .unavailable].contains(AnswerKind(grpc: code)) else {
                return false
            }
        } else if code < 500 {
            return false
        }
        // That it can't serve, a backend may say of any request, one in a form of its own among them.
        guard let fault = unsafe fault(of: request),
            unsafe fault.isCertain
                || request.pointee.callerProtocol != .grpc && AnswerKind(http: code) == .failed
        else { return false }
        if unsafe request.pointee.isHedged { unsafe leaveHedge(request, .lost) }
        if unsafe request.pointee.timerPurpose == .tryEnd { unsafe armDeadline(request) }
        unsafe request.pointee.attempt.code = code
        unsafe request.pointee.attempt.firstByte = loop.now
        if endStream {
            unsafe request.pointee.attempt.call = nil
            unsafe replyWithError(request, fault)
        } else {
            unsafe request.pointee.retry.isFaulty = true
            unsafe request.pointee.attempt.translatedProtocol = request.pointee.callerProtocol
            unsafe request.pointee.isTranslated = true
        }
        return true
    }

    /// Whether a kept gRPC message asks for a version of its model.
    private func messageNamesVersion(_ request: Request) -> Bool {
        let body = unsafe keptBody(request)
        guard body.count > 5 else { return false }
        let inference = unsafe try? InferenceRequest(
            protobuf: UnsafeRawBufferPointer(rebasing: body[5...])
        )
        return inference?.modelVersion.isEmpty == false
    }

    /// Whether a request that got no answer was no well-formed one; then it is told so.
    func isFaulty(_ request: Request) -> Bool {
        guard unsafe !request.pointee.hasResponseBegun, let fault = unsafe fault(of: request),
            unsafe fault.isCertain || request.pointee.retry.isFaulty
        else { return false }
        unsafe replyWithError(request, fault)
        return true
    }

    /// A piece of the answer to a request that was no well-formed one.
    func faultyBody(_ request: Request, _ byteCount: Int, endStream: Bool) {
        unsafe request.pointee.responseBytes += byteCount
        if endStream {
            unsafe faultyEnd(request)
        } else if unsafe request.pointee.responseBytes > Worker.faultyAnswerMaximum {
            _ = unsafe isFaulty(request)
        } else {
            unsafe request.pointee.attempt.call?.consumed(byteCount)
        }
    }

    /// The answer to a request that was no well-formed one has ended.
    func faultyEnd(_ request: Request) {
        unsafe request.pointee.attempt.call = nil
        _ = unsafe isFaulty(request)
    }

    private func replyWithError(_ request: Request, _ fault: RequestFault) {
        unsafe request.pointee.attempt.outcome = .unknown
        unsafe request.pointee.responseBytes = 0
        unsafe replyWithError(request, .badRequest(fault.sentence))
    }
}
