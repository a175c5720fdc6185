import SluiceBalancing
import SluiceCore
import SluiceEgress
import SluiceGRPC
import SluiceHTTP
import SluiceIO
import SluiceInference
import SluiceTelemetry

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
    func isWorthALook(_ flow: FlowPointer, _ revision: WorkerRevision) -> Bool {
        guard unsafe flow.pointee.wire != .other, unsafe !flow.pointee.isTranslated,
            unsafe flow.pointee.wire == .grpc
                ? flow.pointee.method == .modelInfer : flow.pointee.operation.isPrediction
        else { return false }
        return unsafe flow.pointee.held.count + flow.pointee.offered.count
            <= revision.balance.retry.bufferBytes
    }

    /// Whether a content type, as REST callers send it, leaves it open that the body is JSON.
    static func mayBeJSON(_ type: UnsafeRawBufferPointer) -> Bool {
        unsafe ASCII.hasPrefix(type, "application/json")
            || ASCII.hasPrefix(type, "application/octet-stream")
            || ASCII.hasPrefix(type, "text/plain") || ASCII.hasPrefix(type, "text/json")
    }

    /// What is wrong with the request, if it is whole, was kept, and can be read.
    func fault(of flow: FlowPointer) -> RequestFault? {
        guard unsafe flow.pointee.retry.keepsBody, unsafe flow.pointee.hasRequestEnded,
            unsafe !flow.pointee.retry.isCoded, let form = unsafe faultForm(of: flow)
        else { return nil }
        let length = unsafe flow.pointee.retry.headerLength
        return unsafe RequestFault.find(
            in: keptBody(flow),
            form,
            headerLength: length == -1 ? nil : length,
            dialect(of: flow)
        )
    }

    /// The body as it was kept: it lies still until the flow ends or forgets it.
    private func keptBody(_ flow: FlowPointer) -> UnsafeRawBufferPointer {
        let small = unsafe Int(flow.pointee.retry.smallCount)
        guard small > 0 else { return unsafe flow.pointee.retry.replay.bytes }
        let place = FlowScratch.replay..<FlowScratch.replay + small
        return unsafe UnsafeRawBufferPointer(rebasing: flow.pointee.scratch[place])
    }

    /// What the body should be; nil where that isn't for us to say.
    private func faultForm(of flow: FlowPointer) -> RequestFault.Form? {
        // In drain it counts as translated, and was looked at before.
        guard unsafe flow.pointee.retry.isFaulty || !flow.pointee.isTranslated else { return nil }
        if unsafe flow.pointee.wire == .grpc {
            return unsafe flow.pointee.method == .modelInfer ? .grpc : nil
        }
        let operation = unsafe flow.pointee.operation
        if operation == .v2Infer { return .v2 }
        // A server of its own kind may take images there.
        guard operation.isPrediction, unsafe !flow.pointee.retry.isForeign else { return nil }
        return operation == .v1Predict || operation == .v1Explain ? .v1 : .object
    }

    /// Whether a failing answer is the caller's doing; then it is told so when the answer has ended.
    @inline(never)
    func isFaulty(_ flow: FlowPointer, failing head: FieldBlock, endStream: Bool) -> Bool {
        var code = head.status
        if unsafe flow.pointee.wire == .grpc, code == 200 {
            code = unsafe head.first(.grpcStatus).flatMap { unsafe ASCII.decimal($0) } ?? 2
            if code == 5 { unsafe flow.pointee.namesVersion = messageNamesVersion(flow) }
            guard endStream, [.failed, .unavailable].contains(AnswerKind(grpc: code)) else {
                return false
            }
        } else if code < 500 {
            return false
        }
        // That it can't serve, a backend may say of any request, one in a form of its own among them.
        guard let fault = unsafe fault(of: flow),
            unsafe fault.isCertain
                || flow.pointee.wire != .grpc && AnswerKind(http: code) == .failed
        else { return false }
        if unsafe flow.pointee.hedge != nil { unsafe leaveHedge(flow, .lost) }
        if unsafe flow.pointee.timerPurpose == .tryEnd { unsafe armDeadline(flow) }
        unsafe flow.pointee.backendCode = code
        unsafe flow.pointee.firstByte = loop.now
        if endStream {
            unsafe flow.pointee.call = nil
            unsafe refuse(flow, fault)
        } else {
            unsafe flow.pointee.retry.isFaulty = true
            unsafe flow.pointee.backendWire = flow.pointee.wire
            unsafe flow.pointee.isTranslated = true
        }
        return true
    }

    /// Whether a kept gRPC message asks for a version of its model.
    private func messageNamesVersion(_ flow: FlowPointer) -> Bool {
        let body = unsafe keptBody(flow)
        guard body.count > 5 else { return false }
        let request = unsafe try? InferenceRequest(
            protobuf: UnsafeRawBufferPointer(rebasing: body[5...])
        )
        return request?.modelVersion.isEmpty == false
    }

    /// Whether a request that got no answer was no well-formed one; then it is told so.
    func isFaulty(_ flow: FlowPointer) -> Bool {
        guard unsafe !flow.pointee.hasResponseBegun, let fault = unsafe fault(of: flow),
            unsafe fault.isCertain || flow.pointee.retry.isFaulty
        else { return false }
        unsafe refuse(flow, fault)
        return true
    }

    /// A piece of the answer to a request that was no well-formed one.
    func faultyBody(_ flow: FlowPointer, _ byteCount: Int, endStream: Bool) {
        unsafe flow.pointee.responseBytes += byteCount
        if endStream {
            unsafe faultyEnd(flow)
        } else if unsafe flow.pointee.responseBytes > Worker.faultyAnswerMaximum {
            _ = unsafe isFaulty(flow)
        } else {
            unsafe flow.pointee.call?.consumed(byteCount)
        }
    }

    /// The answer to a request that was no well-formed one has ended.
    func faultyEnd(_ flow: FlowPointer) {
        unsafe flow.pointee.call = nil
        _ = unsafe isFaulty(flow)
    }

    private func refuse(_ flow: FlowPointer, _ fault: RequestFault) {
        unsafe flow.pointee.outcome = .unknown
        unsafe flow.pointee.responseBytes = 0
        unsafe refuse(flow, .badRequest(fault.sentence))
    }
}
