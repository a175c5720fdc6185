import SluiceBalancing
import SluiceCore
import SluiceIO
import SluiceTelemetry

// What an attempt says of the backend that was tried.
extension Worker {
    /// Counts the backend out and notes how it did.
    func leaveBackend(_ flow: FlowPointer) {
        guard let backend = unsafe flow.pointee.backend else { return }
        unsafe flow.pointee.backend = nil
        unsafe backend._withUnsafeGuaranteedRef { backend in
            let outcome = unsafe flow.pointee.outcome
            unsafe flow.pointee.revision?._withUnsafeGuaranteedRef { revision in
                if outcome.rawValue > BackendOutcome.served.rawValue || backend.load.hasFailures {
                    note(outcome, of: backend, in: revision)
                }
                if revision.balance.measuresLatency { unsafe noteLatency(flow, backend) }
                let limit = revision.balance.concurrency
                if let limit { unsafe noteConcurrency(flow, limit) }
                if revision.balance.candidates != nil {
                    giveBack(backend.load, limit, revision.balance.board.queue)
                } else {
                    backend.load.leave()
                    limit?.leave()
                }
            }
        }
        unsafe flow.pointee.outcome = .unknown
    }

    @inline(never)
    private func note(
        _ outcome: BackendOutcome,
        of backend: WorkerBackend,
        in revision: WorkerRevision
    ) {
        guard outcome != .unknown else { return }
        let record = backend.load.note(outcome, at: loop.now)
        guard outcome.countsForEjection else { return }
        let isEjected = revision.balance.board.outliers.judge(
            backend.load,
            record,
            among: revision.loads,
            policy: revision.balance.outlier,
            at: loop.now
        )
        guard isEjected else { return }
        shard.add(
            revision.metrics.ejections(backend: backend.plan.label, reason: outcome.label)
        )
    }

    private func noteLatency(_ flow: FlowPointer, _ backend: WorkerBackend) {
        let outcome = unsafe flow.pointee.outcome
        guard outcome == .served || outcome == .timedOut, unsafe flow.pointee.sent != .zero else {
            return
        }
        backend.load.note(
            nanoseconds: unsafe loop.now.nanoseconds(since: flow.pointee.sent),
            at: loop.now
        )
    }

    /// Whether a backend had time enough for silence to be its own fault.
    ///
    /// A caller in a great hurry, or one that has waited in line, says nothing about the backend.
    func hadItsTime(_ flow: FlowPointer) -> Bool {
        guard let model = unsafe flow.pointee.model, unsafe flow.pointee.backend != nil else {
            return false
        }
        let since = unsafe flow.pointee.sent == .zero ? flow.pointee.started : flow.pointee.sent
        let timeout = unsafe model._withUnsafeGuaranteedRef { $0.timeout }
        return loop.now.nanoseconds(since: since) >= timeout / 2
    }
}
