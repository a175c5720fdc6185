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
    func dispatch(_ request: Request) {
        guard unsafe chooseRevision(request) else { return }
        unsafe beginWaiting(request)
        unsafe attempt(request)
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
    func attempt(_ request: Request) {
        unsafe request.pointee.revision?._withUnsafeGuaranteedRef { revision in
            unsafe request.pointee.model?._withUnsafeGuaranteedRef {
                unsafe attempt(request, revision, $0)
            }
        }
    }

    /// Tries the next backend that hasn't been tried.
    func attempt(_ request: Request, _ revision: WorkerRevision, _ model: WorkerModel) {
        if model.mirror != nil, unsafe request.pointee.attempts == 0 {
            unsafe drawMirror(request, model)
        }
        if unsafe !model.translated.isEmpty || model.readsOnlyJSON || request.pointee.isInternal,
            unsafe !translate(request, revision, model)
        {
            return
        }
        unsafe choose(request, revision, model)
    }

    /// Chooses a backend for a request that is in the form of the revision's backends.
    func choose(_ request: Request, _ revision: WorkerRevision, _ model: WorkerModel) {
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
                eligible: isGRPC ? revision.grpcBackends : revision.restBackends
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
        unsafe go(request, revision, picked)
    }

    /// Chooses one of the revision's backends that speak the protocol and weren't tried.
    @inline(__always)
    private func pick(_ request: Request, _ revision: WorkerRevision, isGRPC: Bool) -> Int? {
        guard revision.backends.count > 64 else {
            // No set is made of a word, and none is counted up and down.
            return unsafe revision.picker.pick(
                from: revision.loads,
                eligible: isGRPC ? revision.grpcBackends.first : revision.restBackends.first,
                excluded: request.pointee.tried,
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
            request.pointee.attempts == UInt16(request.pointee.retry.count)
                ? noBackend(revision, model) : .connectFailed(model.plan.name)
        )
    }

    /// Goes to a backend at which the request has been counted in.
    func go(_ request: Request, _ revision: WorkerRevision, _ picked: Int) {
        unsafe request.pointee.backend = .passUnretained(revision.backends[picked])
        unsafe request.pointee.attempts &+= 1
        unsafe noteTried(request, picked)
        unsafe request.pointee.backend?._withUnsafeGuaranteedRef { unsafe connect(request, $0) }
    }

    /// Waits for a connection to a backend, or begins at once on one that is there.
    func connect(_ request: Request, _ backend: WorkerBackend) {
        unsafe request.pointee.stage = .connecting
        guard let route = unsafe backend.route(request.backendProtocol) else { return }
        switch unsafe route._withUnsafeGuaranteedRef({
            unsafe $0.pool.acquire(UnsafeMutableRawPointer(request))
        }) {
        case .ready(let connection):
            unsafe connection._withUnsafeGuaranteedRef { unsafe begin(request, on: $0) }
        case .waiting: break
        case .full: unsafe replyWithError(request, .overloaded(backend.plan.label))
        }
    }

    package func callReady(_ context: UnsafeMutableRawPointer, _ connection: ClientConnection) {
        unsafe begin(context.assumingMemoryBound(to: RequestRecord.self), on: connection)
    }

    package func connectFailed(_ context: UnsafeMutableRawPointer, _ failure: CallFailure) {
        let request = unsafe context.assumingMemoryBound(to: RequestRecord.self)
        if unsafe request.pointee.hedge != nil {
            var outcome = BackendOutcome.unknown
            if case .connectFailed = failure { outcome = .connectFailed }
            unsafe copyFailed(request, outcome)
            return
        }
        unsafe classifyFailed(request)
        if case .connectFailed = failure { unsafe request.pointee.outcome = .connectFailed }
        unsafe unprocessed(request)
    }

    /// Nothing has reached the backend, so another may be tried.
    func unprocessed(_ request: Request) {
        unsafe leaveBackend(request)
        unsafe request.pointee.call = nil
        unsafe request.pointee.revision?._withUnsafeGuaranteedRef {
            shard.add($0.metrics.retries(reason: "connect"))
        }
        unsafe attempt(request)
    }

    /// Sends the head and whatever body has been held back.
    private func begin(_ request: Request, on connection: ClientConnection) {
        guard let head = unsafe request.pointee.head, let revision = unsafe request.pointee.revision
        else { return }
        guard unsafe renameMessage(request, head) else { return }
        let keeps = unsafe revision._withUnsafeGuaranteedRef {
            unsafe isWorthKeeping(request, $0, connection)
        }
        unsafe request.pointee.retry.isKept = keeps
        let keepsBody =
            unsafe keeps || revision._withUnsafeGuaranteedRef { unsafe isWorthALook(request, $0) }
        unsafe request.pointee.retry.keepsBody = keepsBody
        if !keeps { unsafe request.pointee.head = nil }
        let ended = unsafe request.pointee.hasRequestEnded
        let pendingChunk = unsafe request.pointee.pendingChunk
        unsafe request.pointee.pendingChunk = UnsafeRawBufferPointer(start: nil, count: 0)
        let isBare =
            unsafe ended && request.pointee.buffered.isEmpty && pendingChunk.isEmpty
            && request.pointee.bufferedTrailers == nil
        unsafe request.pointee.stage = .relaying
        unsafe request.pointee.sent = loop.now
        guard let call = unsafe begin(request, head, on: connection, endStream: isBare) else {
            unsafe replyWithError(request, .overloaded("the connection"))
            return
        }
        unsafe request.pointee.call = call
        let tryTimeout = unsafe revision._withUnsafeGuaranteedRef { $0.balance.tryTimeout }
        if tryTimeout > 0 { unsafe armTryTimer(request, tryTimeout) }
        if keeps, let policy = unsafe revision._withUnsafeGuaranteedRef({ $0.balance.hedge }) {
            unsafe armHedge(request, policy)
        }
        guard !isBare else { return }
        unsafe sendContinue(request)
        let trailers = unsafe request.pointee.bufferedTrailers
        unsafe request.pointee.bufferedTrailers = nil
        let endsBody = ended && trailers == nil
        var sent = 0
        let count = unsafe request.pointee.buffered.count + pendingChunk.count
        if unsafe !request.pointee.buffered.isEmpty {
            var buffered = unsafe request.pointee.buffered
            unsafe request.pointee.buffered = PooledBytes()
            unsafe sent += call.send(buffered.bytes, endStream: endsBody && pendingChunk.isEmpty)
            if keepsBody {
                unsafe request.pointee.retry.replay = buffered
            } else {
                buffered.release(to: buffers)
            }
        }
        if unsafe !pendingChunk.isEmpty {
            unsafe sent += call.send(pendingChunk, endStream: endsBody)
            if keepsBody { unsafe storeForRetry(request, pendingChunk) }
        }
        unsafe request.pointee.clock.wait(forBackend: count - sent, at: loop.now)
        unsafe credit(request, sent)
        if let trailers { call.sendTrailers(trailers) }
    }

    /// Sends the head: by its name if one like it went over the connection before, else the long way.
    private func begin(
        _ request: Request,
        _ head: FieldBlock,
        on connection: ClientConnection,
        endStream: Bool
    ) -> Call? {
        let keeps = unsafe request.pointee.retry.isKept
        let name = unsafe nameOfRequest(request, head)
        if !name.isNone {
            let call = unsafe connection.begin(
                repeating: RepeatedHead(name: name, block: head, added: requestID(of: request)),
                endStream: endStream,
                context: UnsafeMutableRawPointer(request)
            )
            if let call {
                unsafe request.pointee.retry.isAsItCame = keeps
                if !keeps { blocks.give(head) }
                return call
            }
        }
        unsafe request.pointee.retry.isAsItCame = false
        var (outgoing, isCopy) = (head, false)
        unsafe request.pointee.backend?._withUnsafeGuaranteedRef { backend in
            unsafe backend.route(request.backendProtocol)?._withUnsafeGuaranteedRef {
                if unsafe request.pointee.retry.isPrepared {
                    unsafe readdress(head, request, $0)
                } else {
                    unsafe prepare(head, request, $0)
                    if unsafe request.pointee.retry.seenCount > 0,
                        unsafe request.backendProtocol == .grpc
                    {
                        unsafe nameAttempts(head, request)
                    }
                }
            }
            if let additions = backend.additions {
                // What is kept for another backend never has what is this one's.
                if keeps { (outgoing, isCopy) = (copy(head), true) }
                additions.put(into: outgoing, isGRPC: unsafe request.backendProtocol == .grpc)
            }
        }
        outgoing.repeatName = name
        return unsafe connection.begin(
            outgoing,
            endStream: endStream,
            keepsHead: keeps && !isCopy,
            context: UnsafeMutableRawPointer(request)
        )
    }

    /// What the head is called as it goes to the request's backend; nothing where that hangs on more than the
    /// head as it came and the backend.
    private func nameOfRequest(_ request: Request, _ head: FieldBlock) -> HeadName {
        let name = head.repeatName
        guard !name.isNone, let backend = unsafe request.pointee.backend,
            unsafe !request.pointee.isTranslated, unsafe !request.pointee.isInternal,
            unsafe !request.pointee.retry.isPrepared, unsafe request.pointee.retry.seenCount == 0,
            // Of a REST request `prepare` notes what its body is said to be.
            unsafe request.backendProtocol == .grpc, head.index(of: .contentEncoding) == nil,
            head.index(of: .inferenceHeaderContentLength) == nil,
            // What is left of the caller's time is written into the head in its place.
            head.index(of: .grpcTimeout) == nil,
            // A copy for another backend is made of the head as it goes out.
            unsafe request.pointee.revision?._withUnsafeGuaranteedRef({ $0.balance.hedge == nil })
                == true
        else { return .none }
        return unsafe backend._withUnsafeGuaranteedRef {
            // Fields of its own are put into each head anew.
            $0.additions == nil ? name.used(as: $0.use + HeadUse.request) : .none
        }
    }

    /// Turns the client's head into ours (RFC 9110 §7.6): what belongs to one hop goes, what
    /// intermediaries owe comes, the rest stays as it is.
    private func prepare(_ head: FieldBlock, _ request: Request, _ route: BackendRoute) {
        let exchange = unsafe request.pointee.exchange
        let isGRPC = unsafe request.backendProtocol == .grpc
        var forwardedFor: Int?
        var hasRequestID = false
        var acceptsTrailers = false
        var isBinary = false
        for index in 0..<head.count {
            switch head[index].name {
            case .connection, .keepAlive, .proxyConnection, .transferEncoding, .upgrade,
                .http2Settings, .expect, .forwardedProto, .forwardedHost, .host,
                .proxyAuthorization, .forwarded, .forwardedClientCert, .clientCert,
                .clientCertChain:
                head.remove(at: index)
            case .transferCodings:
                if isGRPC { acceptsTrailers = true } else { head.remove(at: index) }
            case .forwardedFor: forwardedFor = index
            case .requestID:
                hasRequestID = true
                head.markVolatile(at: index)
            // Ours to say.
            case .sluiceMirror:
                if unsafe !request.pointee.isInternal { head.remove(at: index) }
            case .contentLength, .traceparent: head.markVolatile(at: index)
            case .contentEncoding:
                if !head[index].isRemoved { unsafe request.pointee.retry.isCoded = true }
            case .inferenceHeaderContentLength:
                if !head[index].isRemoved { isBinary = true }
                unsafe request.pointee.retry.headerLength =
                    ASCII.decimal(head.value(of: head[index])) ?? -2
            case .path:
                if unsafe request.pointee.prefixLength > 0 { unsafe rewritePath(head, request) }
            default: break
            }
        }
        if let authority = unsafe head.first(.authority) {
            unsafe head.append(.forwardedHost, authority)
        }
        unsafe head.set(.authority, route.authority.bytes)
        let scheme: StaticString = route.isSecure ? "https" : "http"
        unsafe head.set(.scheme, scheme.utf8Bytes)
        if let forwardedFor, let before = text(of: head, at: forwardedFor) {
            head.remove(at: forwardedFor)
            let client = unsafe String(decoding: exchange.clientText, as: UTF8.self)
            head.append(.forwardedFor, text: "\(before), \(client)")
        } else {
            unsafe head.append(.forwardedFor, exchange.clientText)
        }
        if let identity = unsafe exchange.clientIdentity {
            unsafe head.append(.forwardedClientCert, identity)
        }
        head.append(.forwardedProto, exchange.isSecure ? "https" : "http")
        head.append(.via, exchange.isHTTP2 ? "2 sluice" : "1.1 sluice")
        if !hasRequestID {
            unsafe head.append(.requestID, requestID(of: request), isVolatile: true)
        }
        if isGRPC {
            // gRPC servers refuse calls without it.
            if !acceptsTrailers { head.append(.transferCodings, "trailers") }
            unsafe writeTimeout(head, request)
        }
        if unsafe !isGRPC && request.pointee.operation.isPrediction {
            unsafe nameType(of: head, request, isBinary)
        }
        unsafe renameModel(head, request)
    }

    /// Says what a prediction's body is where its caller didn't, or left what its tool says of any body.
    ///
    /// Runtimes go by it: FastAPI's read JSON as JSON only by its own type, and KServe's binary tensors by
    /// any other. Under V1 a text may be what the model takes, so that goes on as it is.
    private func nameType(of head: FieldBlock, _ request: Request, _ isBinary: Bool) {
        if let type = unsafe head.first(.contentType) {
            let isWrong =
                unsafe MediaType.names(type, "application/x-www-form-urlencoded")
                || request.pointee.operation == .v2Infer && MediaType.names(type, "text/plain")
                || isBinary && MediaType.names(type, "application/json")
            guard isWrong else {
                unsafe request.pointee.retry.isForeign = !Worker.mayBeJSON(type)
                return
            }
            head.remove(.contentType)
        }
        head.append(.contentType, isBinary ? "application/octet-stream" : "application/json")
    }

    private func text(of head: FieldBlock, at index: Int) -> String? {
        unsafe String(decoding: head.value(of: head[index]), as: UTF8.self)
    }

    /// Tells the backend how much of the caller's time is left (gRPC: per attempt).
    func writeTimeout(_ head: FieldBlock, _ request: Request) {
        guard head.index(of: .grpcTimeout) != nil else { return }
        let left =
            unsafe request.pointee.started.nanoseconds + request.pointee.timeout
            - loop.now.nanoseconds
        unsafe withUnsafeTemporaryAllocation(of: UInt8.self, capacity: 16) { place in
            guard let base = place.baseAddress else { return }
            let length = unsafe GRPCTimeout.write(nanoseconds: max(left, 1_000_000), to: base)
            unsafe head.set(
                .grpcTimeout,
                UnsafeRawBufferPointer(start: base, count: length),
                isVolatile: true
            )
        }
    }
}
