import SluiceBalancing
import SluiceCore
import SluiceGRPC
import SluiceHTTP
import SluiceIO
import SluiceInference
import SluiceTelemetry

// What an attempt says of the backend that was tried.
extension Worker {
    /// Counts the backend out and notes how it did.
    func leaveBackend(_ request: Request) {
        guard let backend = unsafe request.depart() else { return }
        unsafe backend._withUnsafeGuaranteedRef { backend in
            let outcome = unsafe request.pointee.attempt.outcome
            unsafe request.pointee.revision?._withUnsafeGuaranteedRef { revision in
                if outcome.rawValue > BackendOutcome.served.rawValue || backend.load.hasFailures {
                    note(outcome, of: backend, in: revision)
                }
                if revision.balance.measuresLatency { unsafe noteLatency(request, backend) }
                let limit = revision.balance.concurrency
                if let limit { unsafe noteConcurrency(request, limit) }
                if revision.balance.candidates != nil {
                    giveBack(backend.load, limit, revision.balance.board.queue)
                } else {
                    backend.load.leave()
                    limit?.leave()
                }
            }
        }
        unsafe request.pointee.attempt.outcome = .unknown
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
        let isEjected = revision.balance.board.outliers.record(
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

    private func noteLatency(_ request: Request, _ backend: WorkerBackend) {
        let outcome = unsafe request.pointee.attempt.outcome
        guard outcome == .served || outcome == .timedOut,
            unsafe request.pointee.attempt.sent != .zero
        else {
            return
        }
        backend.load.note(
            nanoseconds: unsafe backendTime(request),
            at: loop.now
        )
    }

    /// How long the backend has been at it, in nanoseconds: without the time in which its caller still
    /// sent the request, or didn't take the answer.
    func backendTime(_ request: Request) -> Int64 {
        let (clock, now) = unsafe (request.existing(AttemptClock.self), loop.now)
        var since = unsafe max(request.pointee.attempt.sent, request.pointee.body.ended)
        if unsafe !request.pointee.hasRequestEnded,
            unsafe request.pointee.attempt.firstByte == .zero
        {
            guard let stalled = unsafe clock?.pointee.stalledSince else { return 0 }
            since = max(since, stalled)
        }
        return unsafe max(
            0,
            now.nanoseconds(since: since) - (clock?.pointee.unreadTime(at: now) ?? 0)
        )
    }

    /// Whether a backend had the time that its model has, so that silence is its own fault.
    ///
    /// A caller in a hurry, a slow one, or one that waited in the queue says nothing about the backend. A
    /// tenth is what may pass before a request that nothing holds up is sent.
    func hadItsTime(_ request: Request) -> Bool {
        guard let model = unsafe request.pointee.model,
            unsafe request.pointee.attempt.backend != nil
        else {
            return false
        }
        let timeout = unsafe model._withUnsafeGuaranteedRef { $0.timeout }
        // How long a stream lasts that has begun is up to its caller.
        if unsafe timeout == 0 || request.pointee.attempt.firstByte != .zero && isStream(request) {
            return false
        }
        let time =
            unsafe request.pointee.attempt.sent == .zero
            ? loop.now.nanoseconds(since: request.pointee.started) : backendTime(request)
        return time >= timeout - timeout / 10
    }

    // MARK: - Refusals

    /// Notes that an HTTP status is down to what the caller asked for, if it is.
    @inline(never)
    func noteErrorAnswer(_ request: Request, http status: Int) {
        let isAsked =
            switch status {
            // Which versions there are, and which operations beyond predictions, is the runtime's business.
            case 404, 405, 501: unsafe request.pointee.namesVersion || !isServed(request)
            // It waited for a request that didn't come.
            case 408:
                unsafe !request.pointee.hasRequestEnded || request.pointee.body.ended != .zero
            default: false
            }
        if isAsked { unsafe blameCaller(request) }
    }

    /// Notes that a gRPC status is down to what the caller asked for, if it is.
    @inline(never)
    func noteErrorAnswer(_ request: Request, grpc fields: FieldBlock) {
        let code = unsafe request.backendProtocol == .grpc ? request.pointee.attempt.code : 0
        let isAsked =
            switch GRPCStatus(rawValue: code) {
            // Its own clock may be the first to show the caller's deadline.
            case .deadlineExceeded: unsafe !hadItsTime(request)
            case .notFound: unsafe request.pointee.namesVersion
            case .unimplemented: unsafe request.pointee.namesVersion || !isServed(request)
            case .resourceExhausted:
                fields.text(.grpcMessage).map { Worker.isSizeLimit(StatusMessage.decode($0)) }
                    ?? false
            default: false
            }
        if isAsked { unsafe blameCaller(request) }
    }

    private func blameCaller(_ request: Request) {
        unsafe request.pointee.isCallersDoing = true
        unsafe request.pointee.attempt.outcome = .served
    }

    /// Whether a RESOURCE_EXHAUSTED says that the request is too large, as gRPC's libraries put it, and
    /// not that the backend has too much to do.
    static func isSizeLimit(_ message: String) -> Bool {
        let text = message.lowercased()
        return ["larger than max", "exceeds maximum size", "metadata size exceeds"]
            .contains { text.contains($0) }
    }

    /// Whether the model is known to do what was asked for: predictions always, the rest once an
    /// answer of any revision has shown it.
    private func isServed(_ request: Request) -> Bool {
        let operation = unsafe operationBit(request)
        return unsafe operation == 0
            || request.pointee.model?._withUnsafeGuaranteedRef { $0.served & operation != 0 }
                ?? true
    }

    /// Notes that the model does what was asked for.
    func noteServed(_ request: Request) {
        let operation = unsafe operationBit(request)
        guard operation != 0 else { return }
        unsafe request.pointee.model?._withUnsafeGuaranteedRef { $0.served |= operation }
    }

    /// A bit for each operation that isn't a prediction of the protocols; 0 for those.
    private func operationBit(_ request: Request) -> UInt64 {
        if unsafe request.pointee.callerProtocol == .grpc {
            let method = unsafe request.pointee.method
            return method == .modelInfer ? 0 : 1 << UInt64(32 + method.rawValue)
        }
        let operation = unsafe request.pointee.operation
        return operation == .v1Predict || operation == .v2Infer
            ? 0 : 1 << UInt64(operation.rawValue)
    }
}
