import SluiceEgress
import SluiceHTTP
import SluiceTelemetry

// Who broke a call off, and why: a reset that we send isn't one that we get.
extension Worker {
    /// Gives the call to the backend up, and counts why.
    func cancelCall(_ request: Request, _ reason: String) {
        guard let call = unsafe request.pointee.attempt.call else { return }
        unsafe countReset(request, by: "gateway", reason)
        call.cancel()
        unsafe request.pointee.attempt.call = nil
    }

    /// Counts a call that came to nothing by whose doing that was.
    func countFailure(_ request: Request, _ failure: CallFailure) {
        switch failure {
        case .connectFailed, .poolFull: break
        case .refused: unsafe countReset(request, by: "backend", "refused_stream")
        case .reset(let code): unsafe countReset(request, by: "backend", "\(code)".lowercased())
        case .connectionLost, .staleConnection:
            unsafe countReset(request, by: "backend", "connection_lost")
        case .resetByUs, .malformed: unsafe countReset(request, by: "gateway", "protocol_error")
        }
    }

    private func countReset(_ request: Request, by side: String, _ reason: String) {
        unsafe request.pointee.revision?._withUnsafeGuaranteedRef {
            shard.add($0.metrics.resets(by: side, reason: reason))
        }
    }
}
