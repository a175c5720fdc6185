import SluiceBalancing
import SluiceCore
package import SluiceEgress
import SluiceGRPC
import SluiceHTTP
import SluiceIO
import SluiceInference
import SluiceIngress
import SluiceRouting
import SluiceTelemetry

// The model is known: which revision, which backend, which connection?
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

    /// Chooses a revision, once; false when there is none and the request is refused.
    func chooseRevision(_ request: Request) -> Bool {
        unsafe request.pointee.model?._withUnsafeGuaranteedRef {
            unsafe chooseRevision(request, $0)
        }
            ?? false
    }

    private func chooseRevision(_ request: Request, _ model: WorkerModel) -> Bool {
        guard let chosen = unsafe decideRevision(request, model) else { return false }
        let revision = unsafe Unmanaged.passUnretained(model.revisions[chosen])
        unsafe request.pointee.revision = revision
        unsafe revision._withUnsafeGuaranteedRef { shard.add($0.metrics.inFlight, 1) }
        return true
    }

    /// Tries a backend of the chosen revision.
    func attempt(_ request: Request, _ chunk: UnsafeRawBufferPointer = unsafe .empty) {
        unsafe request.pointee.revision?._withUnsafeGuaranteedRef { revision in
            unsafe request.pointee.model?._withUnsafeGuaranteedRef {
                unsafe attempt(request, revision, $0, chunk)
            }
        }
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
        unsafe request.pointee.attempt.backend = .passUnretained(revision.backends[picked])
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

    package func callReady(_ context: UnsafeMutableRawPointer, _ connection: ClientConnection) {
        unsafe begin(context.assumingMemoryBound(to: RequestRecord.self), on: connection, .empty)
    }

    package func connectFailed(_ context: UnsafeMutableRawPointer, _ failure: CallFailure) {
        let request = unsafe context.assumingMemoryBound(to: RequestRecord.self)
        if unsafe request.pointee.isHedged {
            var outcome = BackendOutcome.unknown
            if case .connectFailed = failure { outcome = .connectFailed }
            unsafe copyFailed(request, outcome)
            return
        }
        unsafe classifyFailed(request)
        if case .connectFailed = failure { unsafe request.pointee.attempt.outcome = .connectFailed }
        unsafe unprocessed(request)
    }

    /// Nothing has reached the backend, so another may be tried.
    func unprocessed(_ request: Request) {
        unsafe leaveBackend(request)
        unsafe request.pointee.attempt.call = nil
        unsafe request.pointee.revision?._withUnsafeGuaranteedRef {
            shard.add($0.metrics.retries(reason: "connect"))
        }
        unsafe attempt(request)
    }

    /// Sends the head and whatever body has been held back.
    private func begin(
        _ request: Request,
        on connection: ClientConnection,
        _ arrived: UnsafeRawBufferPointer
    ) {
        guard let head = unsafe request.pointee.head, let revision = unsafe request.pointee.revision
        else { return }
        var chunk = unsafe arrived
        guard unsafe renameMessage(request, head, &chunk) else { return }
        let heldCount = unsafe request.pointee.body.buffered.count + chunk.count
        let keeps = unsafe revision._withUnsafeGuaranteedRef {
            unsafe isWorthKeeping(request, $0, connection, heldCount)
        }
        unsafe request.pointee.retry.isKept = keeps
        let keepsBody =
            unsafe keeps
            || revision._withUnsafeGuaranteedRef { unsafe isWorthALook(request, $0, heldCount) }
        unsafe request.pointee.retry.keepsBody = keepsBody
        if !keeps { unsafe request.pointee.head = nil }
        let ended = unsafe request.pointee.hasRequestEnded
        let isBare = unsafe ended && heldCount == 0 && request.pointee.body.trailers == nil
        unsafe request.pointee.stage = .relaying
        unsafe request.pointee.attempt.sent = loop.now
        guard let call = unsafe beginCall(request, head, on: connection, endStream: isBare) else {
            unsafe replyWithError(request, .overloaded("the connection"))
            return
        }
        unsafe request.pointee.attempt.call = call
        let tryTimeout = unsafe revision._withUnsafeGuaranteedRef { $0.balance.tryTimeout }
        if tryTimeout > 0 { unsafe armTryTimer(request, tryTimeout) }
        if keeps, let policy = unsafe revision._withUnsafeGuaranteedRef({ $0.balance.hedge }) {
            unsafe armHedge(request, policy)
        }
        guard !isBare else { return }
        unsafe sendContinue(request)
        let trailers = unsafe request.pointee.body.trailers
        unsafe request.pointee.body.trailers = nil
        let endsBody = ended && trailers == nil
        var sent = 0
        if unsafe !request.pointee.body.buffered.isEmpty {
            var buffered = unsafe request.pointee.body.buffered
            unsafe request.pointee.body.buffered = PooledBytes()
            unsafe sent += call.send(buffered.bytes, endStream: endsBody && chunk.isEmpty)
            if keepsBody {
                unsafe request.replay.pointee.body = buffered
            } else {
                buffered.release(to: buffers)
            }
        }
        if unsafe !chunk.isEmpty {
            unsafe sent += call.send(chunk, endStream: endsBody)
            if keepsBody { unsafe storeForRetry(request, chunk) }
        }
        unsafe noteWaiting(request, heldCount - sent)
        unsafe credit(request, sent)
        if let trailers { call.sendTrailers(trailers) }
    }
}
