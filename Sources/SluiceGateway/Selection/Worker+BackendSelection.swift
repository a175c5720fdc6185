import SluiceBalancing
import SluiceCore
import SluiceEgress
import SluiceHTTP
import SluiceIO

// The revision is chosen: which of its backends?
extension Worker {
    /// Chooses a revision, then a backend, and begins to send.
    ///
    /// `chunk` is the part of the body that has come just now and lies in its session's memory. It goes from here to
    /// where the request goes out or stops: there it is sent, or copied to what is held.
    func dispatch(_ request: Request, _ chunk: UnsafeRawBufferPointer = unsafe .empty) {
        guard unsafe chooseRevision(request) else { return }
        unsafe beginWaiting(request)
        unsafe attempt(request, chunk)
    }

    /// Tries the next backend that hasn't been tried.
    func attempt(
        _ request: Request,
        _ revision: WorkerRevision,
        _ model: WorkerModel,
        _ chunk: UnsafeRawBufferPointer = unsafe .empty
    ) {
        if model.mirror != nil, unsafe request.pointee.attempt.count == 0 {
            unsafe drawMirror(request, model, chunk)
        }
        if unsafe !model.translated.isEmpty || model.readsOnlyJSON || request.pointee.isInternal,
            unsafe !translate(request, revision, model)
        {
            return
        }
        unsafe choose(request, revision, model, chunk)
    }

    /// Tries a backend of the chosen revision.
    func attempt(_ request: Request, _ chunk: UnsafeRawBufferPointer = unsafe .empty) {
        unsafe request.pointee.revision?._withUnsafeGuaranteedRef { revision in
            unsafe request.pointee.model?._withUnsafeGuaranteedRef {
                unsafe attempt(request, revision, $0, chunk)
            }
        }
    }

    /// Chooses a backend for a request that is in the form of the revision's backends.
    func choose(
        _ request: Request,
        _ revision: WorkerRevision,
        _ model: WorkerModel,
        _ chunk: UnsafeRawBufferPointer = unsafe .empty
    ) {
        let isGRPC = unsafe request.backendProtocol == .grpc
        guard isGRPC ? revision.hasGRPC : revision.hasREST else {
            unsafe replyWithError(
                request,
                revision.backends.isEmpty
                    ? noBackend(revision, model)
                    : .noSuchProtocol(model.plan.name, isGRPC ? "gRPC" : "REST")
            )
            return
        }
        if let candidates = revision.balance.candidates {
            unsafe admit(
                request,
                revision,
                model,
                candidates,
                eligible: isGRPC ? revision.grpcBackends : revision.restBackends,
                chunk
            )
            return
        }
        guard let picked = unsafe pick(request, revision, isGRPC: isGRPC) else {
            unsafe replyUnserved(request, revision, model)
            return
        }
        if let limit = revision.balance.concurrency, !limit.tryEnter() {
            unsafe replyCrowded(request, revision, limit)
            return
        }
        revision.loads[picked].enter()
        unsafe go(request, revision, picked, chunk)
    }

    /// The same among `eligible`, with room or not.
    func pick(
        _ request: Request,
        _ revision: WorkerRevision,
        _ eligible: BackendSet,
        hasRoom: Bool
    ) -> Int? {
        unsafe revision.picker.pick(
            from: revision.loads,
            eligible: eligible,
            excluded: tried(request),
            hasRoom: hasRoom,
            key: hashKey(of: request, revision),
            now: loop.now,
            random: &random
        )
    }

    /// Chooses one of the revision's backends that speak the protocol and weren't tried.
    @inline(__always)
    private func pick(_ request: Request, _ revision: WorkerRevision, isGRPC: Bool) -> Int? {
        guard revision.backends.count > 64 else {
            // No set is made of a word, and none is counted up and down.
            return unsafe revision.picker.pick(
                from: revision.loads,
                eligible: isGRPC ? revision.grpcBackends.first : revision.restBackends.first,
                excluded: request.pointee.attempt.tried,
                key: hashKey(of: request, revision),
                now: loop.now,
                random: &random
            )
        }
        return unsafe pick(
            request,
            revision,
            isGRPC ? revision.grpcBackends : revision.restBackends,
            hasRoom: false
        )
    }

    /// What the revision's ring is asked with.
    func hashKey(of request: Request, _ revision: WorkerRevision) -> UInt64? {
        guard let place = revision.balance.hashKey, let head = unsafe request.pointee.head else {
            return nil
        }
        return unsafe place.value(in: head).map { unsafe StableHash.of($0) }
    }

    /// Refuses a request for which there is no backend, or none any more.
    func replyUnserved(
        _ request: Request,
        _ revision: WorkerRevision,
        _ model: WorkerModel
    ) {
        unsafe replyWithError(
            request,
            request.pointee.attempt.count == UInt16(request.pointee.retry.count)
                ? noBackend(revision, model) : .connectFailed(model.plan.name)
        )
    }

    /// Goes to a backend at which the request has been counted in.
    func go(
        _ request: Request,
        _ revision: WorkerRevision,
        _ picked: Int,
        _ chunk: UnsafeRawBufferPointer = unsafe .empty
    ) {
        unsafe request.arrive(at: .passUnretained(revision.backends[picked]))
        unsafe request.pointee.attempt.count &+= 1
        unsafe noteTried(request, picked)
        unsafe request.pointee.attempt.backend?._withUnsafeGuaranteedRef {
            unsafe connect(request, $0, chunk)
        }
    }

    /// Waits for a connection to a backend, or begins at once on one that is there.
    func connect(
        _ request: Request,
        _ backend: WorkerBackend,
        _ chunk: UnsafeRawBufferPointer = unsafe .empty
    ) {
        unsafe request.pointee.stage = .connecting
        guard let route = unsafe backend.route(request.backendProtocol) else { return }
        switch unsafe route._withUnsafeGuaranteedRef({
            unsafe $0.pool.acquire(UnsafeMutableRawPointer(request))
        }) {
        case .ready(let connection):
            unsafe connection._withUnsafeGuaranteedRef { unsafe begin(request, on: $0, chunk) }
        case .waiting: unsafe request.pointee.body.buffered.append(chunk, pool: buffers)
        case .full: unsafe replyWithError(request, .overloaded(backend.plan.label))
        }
    }

    // MARK: - Backends that were tried

    /// The backends that the request has been sent to.
    func tried(_ request: Request) -> BackendSet {
        unsafe queues.tried.set(
            first: request.pointee.attempt.tried,
            at: request.pointee.attempt.triedFurther
        )
    }

    /// The request goes to this backend.
    func noteTried(_ request: Request, _ number: Int) {
        if number < 64 {
            unsafe request.pointee.attempt.tried |= 1 << UInt64(number)
        } else {
            unsafe queues.tried.insert(number, at: &request.pointee.attempt.triedFurther)
        }
    }

    /// The request may go to any backend again, or ends.
    func forgetTried(_ request: Request) {
        unsafe request.pointee.attempt.tried = 0
        if unsafe request.pointee.attempt.triedFurther > 0 {
            unsafe queues.tried.remove(at: &request.pointee.attempt.triedFurther)
        }
    }
}
