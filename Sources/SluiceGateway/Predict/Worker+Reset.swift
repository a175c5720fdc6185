import SluiceEgress
import SluiceHTTP
import SluiceTelemetry

// Who broke a call off, and why: a reset that we send isn't one that we get.
extension Worker {
    /// Gives the call to the backend up, and counts why.
    func cancelCall(_ flow: FlowPointer, _ reason: String) {
        guard let call = unsafe flow.pointee.call else { return }
        unsafe countReset(flow, by: "gateway", reason)
        call.cancel()
        unsafe flow.pointee.call = nil
    }

    /// Counts a call that came to nothing by whose doing that was.
    func countFailure(_ flow: FlowPointer, _ failure: CallFailure) {
        switch failure {
        case .connectFailed, .poolFull: break
        case .refused: unsafe countReset(flow, by: "backend", "refused_stream")
        case .reset(let code): unsafe countReset(flow, by: "backend", "\(code)".lowercased())
        case .connectionLost, .staleConnection:
            unsafe countReset(flow, by: "backend", "connection_lost")
        case .resetByUs, .malformed: unsafe countReset(flow, by: "gateway", "protocol_error")
        }
    }

    private func countReset(_ flow: FlowPointer, by side: String, _ reason: String) {
        unsafe flow.pointee.revision?._withUnsafeGuaranteedRef {
            shard.add($0.metrics.resets(by: side, reason: reason))
        }
    }
}
