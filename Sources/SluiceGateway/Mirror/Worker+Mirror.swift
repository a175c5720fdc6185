import SluiceBalancing
import SluiceCore
import SluiceGRPC
import SluiceHTTP
import SluiceIO
import SluiceInference
import SluiceRouting
import SluiceTelemetry

// Shadow traffic: a share of the predictions that go to a backend is copied to another revision,
// whose answers reach no caller. The original never waits for its copy:
//
//   original  drawn ──► its body passes, and is copied ──────► … ──────► over ──┐
//                │                │ whole                                       ├──► compared
//   copy       gathering ──────► queued ──after this tick's writes──► sent ──► heard
//                │
//                └──► discarded: too large, cut short; no room or no backend begins none
//
// The copy is an internal request, on the snapshot of its original and
// with its deadline. It isn't looked up, kept, logged or counted as a request; what it does at a
// backend counts under the shadow's labels. Hits and requests that wait for another's call ask no
// model, so they aren't copied either.
extension Worker {
    /// Draws whether a request that is about to go to a backend is copied.
    func drawMirror(
        _ request: Request,
        _ model: WorkerModel,
        _ chunk: UnsafeRawBufferPointer
    ) {
        guard let mirror = model.mirror, unsafe !request.pointee.isInternal,
            unsafe request.pointee.revision?._withUnsafeGuaranteedRef({ $0 !== mirror.revision })
                == true
        else { return }
        let isCopied = unsafe isPrediction(request)
        guard unsafe isCopied || asksModel(request),
            random.next(below: 10_000) < mirror.plan.share
        else { return }
        guard isCopied, unsafe !isTooLarge(request, mirror) else {
            shard.add(mirror.metrics.requests(.skipped))
            return
        }
        guard mirror.revision.isUsable,
            mirror.plan.gate.enter(maximum: mirror.plan.maxInFlight)
        else {
            shard.add(mirror.metrics.requests(.dropped))
            return
        }
        unsafe beginCopy(request, mirror, chunk)
    }

    /// Whether a model computes something for it, as a stream or in a form we don't read.
    private func asksModel(_ request: Request) -> Bool {
        unsafe request.pointee.callerProtocol == .grpc
            ? request.pointee.method == .modelStreamInfer : request.pointee.operation.isPrediction
    }

    private func isTooLarge(_ request: Request, _ mirror: WorkerMirror) -> Bool {
        guard let text = unsafe request.pointee.head?.first(.contentLength),
            let length = unsafe ASCII.decimal(text)
        else { return false }
        return length > mirror.plan.maxBytes
    }

    private func beginCopy(
        _ request: Request,
        _ mirror: WorkerMirror,
        _ chunk: UnsafeRawBufferPointer
    ) {
        let copy = unsafe repeated(request, to: mirror.revision, started: request.pointee.started)
        unsafe copy.pointee.head?.append(.sluiceMirror, "1")
        copyCount += 1
        let call = unsafe MirroredCall(
            mirror,
            number: copyCount,
            form: form(of: request),
            copy: copy,
            pool: buffers
        )
        unsafe copy.mirror = .passRetained(call)
        unsafe request.mirror = .passRetained(call)
        copies[call.number] = call
        unsafe armDeadline(copy)
        // What has come so far; the rest comes by on its way to the backend.
        let isWhole = unsafe request.pointee.hasRequestEnded
        unsafe mirrorBody(
            request,
            request.pointee.body.buffered.bytes,
            endStream: isWhole && chunk.isEmpty
        )
        if unsafe !chunk.isEmpty {
            unsafe mirrorBody(request, chunk, endStream: isWhole)
        }
    }

    /// Copies a piece of a request's body on its way to the backend.
    func mirrorBody(_ request: Request, _ bytes: UnsafeRawBufferPointer, endStream: Bool) {
        guard let call = unsafe request.mirror?._withUnsafeGuaranteedRef({ $0 }),
            call.stage == .gathering, let copy = unsafe call.copy
        else { return }
        guard unsafe copy.pointee.body.buffered.count + bytes.count <= call.mirror.plan.maxBytes
        else {
            discard(call)
            return
        }
        unsafe copy.pointee.body.buffered.append(bytes, pool: buffers)
        guard endStream else { return }
        call.stage = .queued
        workLater(on: call)
    }

    /// The request ended with trailers, which the copy does without.
    func mirrorEnded(_ request: Request) {
        unsafe mirrorBody(
            request,
            UnsafeRawBufferPointer(start: nil, count: 0),
            endStream: true
        )
    }

    /// Gives up a copy that was not sent.
    private func discard(_ call: MirroredCall) {
        guard let copy = unsafe call.copy else { return }
        call.stage = .discarded
        shard.add(call.mirror.metrics.requests(.skipped))
        unsafe end(copy)
    }

    // MARK: - Off the path

    /// Sends or compares when this tick has written what it has to say.
    func workLater(on call: MirroredCall) {
        mirrorWork.append(call)
        watchTickEnd()
    }

    func workOnMirrors() {
        let due = mirrorWork
        mirrorWork = []
        // The comparisons of one tick read as much as one large answer has.
        var budget = MirroredAnswer.maximum
        for call in due {
            switch call.stage {
            case .queued: send(call)
            case .heard where budget > 0: budget -= compare(call)
            case .heard: mirrorWork.append(call)
            case .gathering, .sent, .discarded: break
            }
        }
    }

    private func send(_ call: MirroredCall) {
        guard let copy = unsafe call.copy else { return }
        call.stage = .sent
        shard.add(call.mirror.metrics.requests(.sent))
        // No exchange waits to hear that the body has moved on.
        unsafe copy.pointee.body.acknowledged = copy.pointee.body.buffered.count
        unsafe attempt(copy)
    }

    // MARK: - The end

    /// A request that has to do with mirroring ends, the original or the copy.
    func leaveMirror(_ request: Request) {
        guard let reference = unsafe request.mirror else { return }
        unsafe request.mirror = nil
        let call = unsafe reference.takeRetainedValue()
        let isGood =
            unsafe request.pointee.reason == .ok && (200..<300).contains(request.pointee.status)
            && (request.pointee.callerProtocol != .grpc || request.pointee.grpcStatus == 0)
        if unsafe request.pointee.isInternal {
            unsafe copyEnded(call, isGood: isGood, isRefused: isRefused(request))
        } else {
            unsafe originalEnded(call, isGood: isGood, wasSent: request.pointee.attempt.count > 0)
        }
    }

    /// Whether a copy failed for what its caller sent, as the shadow says or as we found.
    private func isRefused(_ copy: Request) -> Bool {
        if unsafe copy.pointee.reason == .badRequest { return true }
        guard unsafe copy.pointee.reason == .ok, unsafe copy.pointee.status != 0 else {
            return false
        }
        return unsafe copy.pointee.callerProtocol == .grpc
            ? AnswerKind(grpc: copy.pointee.grpcStatus) == .callersFault
            : AnswerKind(http: copy.pointee.status) == .callersFault
    }

    private func originalEnded(_ call: MirroredCall, isGood: Bool, wasSent: Bool) {
        call.isOriginalOver = true
        call.isOriginalGood = isGood
        if isGood { call.original.finish() }
        switch call.stage {
        // Cut short, or refused before it went anywhere: no model was asked.
        case .gathering: discard(call)
        case .queued where !wasSent: discard(call)
        case .heard:
            if call.isRefused { countRefused(call) }
            settle(call)
        case .queued, .sent, .discarded: break
        }
    }

    private func copyEnded(_ call: MirroredCall, isGood: Bool, isRefused: Bool) {
        unsafe call.copy = nil
        copies[call.number] = nil
        switch call.stage {
        case .gathering, .queued:
            // Its time was over before it was whole.
            call.stage = .discarded
            shard.add(call.mirror.metrics.requests(.skipped))
        case .sent:
            call.stage = .heard
            call.isRefused = isRefused
            if isGood { call.shadow.finish() }
            if !isRefused {
                shard.add(call.mirror.metrics.requests(isGood ? .answered : .failed))
            } else if call.isOriginalOver {
                countRefused(call)
            }
            if call.isOriginalOver { settle(call) }
        case .heard, .discarded: break
        }
    }

    /// Counts a copy that was refused as its caller's fault: it has its answer, unless the caller got a better one.
    private func countRefused(_ call: MirroredCall) {
        shard.add(call.mirror.metrics.requests(call.isOriginalGood ? .failed : .answered))
    }

    /// Both are over.
    private func settle(_ call: MirroredCall) {
        if call.mirror.comparison != nil { workLater(on: call) }
    }

    /// Ends all copies at once.
    func closeMirrors() {
        for (_, call) in copies.sorted(by: { $0.key < $1.key }) {
            if let copy = unsafe call.copy { unsafe end(copy) }
        }
        mirrorWork = []
    }
}
