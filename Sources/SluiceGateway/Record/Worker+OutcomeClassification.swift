import SluiceBalancing
import SluiceCore
import SluiceGRPC
import SluiceIO
import SluiceInference
import SluiceTelemetry

// Whose doing was it? What a rollout compares revisions by.
//
// Only what a backend was asked counts: cached answers hide latency and errors. A client's own fault
// is nobody's, or one user with a broken script would roll a canary back. But a revision's backend
// that doesn't know the model it is configured for (404, UNIMPLEMENTED) or sheds load (429) is at
// fault: the gateway has found the model already, and users get no answer.
extension Worker {
    /// Counts how a request ended that a backend of the revision was asked, if one was.
    func classify(_ request: Request, _ answers: AnswerTally) {
        // A mirror's copies and refreshes of the cache are no caller's answers.
        guard unsafe !request.pointee.isInternal else { return }
        guard unsafe request.pointee.attempt.backend != nil else {
            // A revision too small for its share: full, or its queue was, or too slow.
            if unsafe [.overflow, .overload].contains(request.pointee.reason) { answers.failure() }
            return
        }
        switch unsafe request.pointee.reason {
        case .ok: break
        case .backendReset, .localReset, .backendProtocolError, .connectFailure:
            answers.failure()
            return
        case .timeout:
            if unsafe hadItsTime(request) { answers.failure() } else { answers.clientFault() }
            return
        case .clientGone, .protocolError, .tooLarge, .badRequest, .idleTimeout, .untranslatable:
            answers.clientFault()
            return
        default: return
        }
        guard unsafe request.pointee.attempt.sent != .zero else { return }
        let code = unsafe request.pointee.attempt.code
        let kind =
            unsafe request.backendProtocol == .grpc
            ? AnswerKind(grpc: code) : AnswerKind(http: code)
        // Where an old answer stood in for a failure, the request ended well and the backend didn't.
        guard kind == .good, unsafe request.pointee.attempt.firstByte != .zero else {
            let isCallers = unsafe kind == .callersFault || request.pointee.isCallersDoing
            if isCallers { answers.clientFault() } else { answers.failure() }
            return
        }
        unsafe noteServed(request)
        if unsafe isStream(request) {
            answers.goodUnmeasured()
        } else {
            unsafe answers.good(nanoseconds: backendTime(request))
        }
    }

    /// Counts a backend that couldn't be connected to, or failed; the request goes elsewhere.
    func classifyFailed(_ request: Request) {
        guard unsafe !request.pointee.isInternal else { return }
        unsafe request.pointee.revision?._withUnsafeGuaranteedRef { $0.metrics.answers?.failure() }
    }

    /// Whether the caller decides how long the answer takes.
    func isStream(_ request: Request) -> Bool {
        unsafe request.pointee.callerProtocol == .grpc
            ? request.pointee.method == .modelStreamInfer
            : [.v2GenerateStream, .v2InferStream].contains(request.pointee.operation)
    }
}
