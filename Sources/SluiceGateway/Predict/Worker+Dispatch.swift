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
    func dispatch(_ flow: FlowPointer) {
        guard unsafe chooseRevision(flow) else { return }
        unsafe beginWaiting(flow)
        unsafe attempt(flow)
    }

    /// Chooses a revision, once; false when there is none and the request is refused.
    func chooseRevision(_ flow: FlowPointer) -> Bool {
        unsafe flow.pointee.model?._withUnsafeGuaranteedRef { unsafe chooseRevision(flow, $0) }
            ?? false
    }

    private func chooseRevision(_ flow: FlowPointer, _ model: WorkerModel) -> Bool {
        guard let chosen = unsafe decideRevision(flow, model) else { return false }
        let revision = unsafe Unmanaged.passUnretained(model.revisions[chosen])
        unsafe flow.pointee.revision = revision
        unsafe revision._withUnsafeGuaranteedRef { shard.add($0.metrics.inFlight, 1) }
        return true
    }

    /// Tries a backend of the chosen revision.
    func attempt(_ flow: FlowPointer) {
        unsafe flow.pointee.revision?._withUnsafeGuaranteedRef { revision in
            unsafe flow.pointee.model?._withUnsafeGuaranteedRef {
                unsafe attempt(flow, revision, $0)
            }
        }
    }

    /// Tries the next backend that hasn't been tried.
    func attempt(_ flow: FlowPointer, _ revision: WorkerRevision, _ model: WorkerModel) {
        if model.mirror != nil, unsafe flow.pointee.attempts == 0 {
            unsafe drawMirror(flow, model)
        }
        if unsafe !model.translated.isEmpty || model.readsOnlyJSON || flow.pointee.isUnheard,
            unsafe !translate(flow, revision, model)
        {
            return
        }
        unsafe choose(flow, revision, model)
    }

    /// Chooses a backend for a request that is in the form of the revision's backends.
    func choose(_ flow: FlowPointer, _ revision: WorkerRevision, _ model: WorkerModel) {
        let isGRPC = unsafe flow.spoken == .grpc
        guard isGRPC ? revision.hasGRPC : revision.hasREST else {
            unsafe refuse(
                flow,
                revision.backends.isEmpty
                    ? noBackend(revision, model)
                    : .noSuchProtocol(model.plan.name, isGRPC ? "gRPC" : "REST")
            )
            return
        }
        if let candidates = revision.balance.candidates {
            unsafe admit(
                flow,
                revision,
                model,
                candidates,
                eligible: isGRPC ? revision.grpcBackends : revision.restBackends
            )
            return
        }
        guard let picked = unsafe pick(flow, revision, isGRPC: isGRPC) else {
            unsafe refuseUnserved(flow, revision, model)
            return
        }
        if let limit = revision.balance.concurrency, !limit.tryEnter() {
            unsafe refuseCrowded(flow, revision, limit)
            return
        }
        revision.loads[picked].enter()
        unsafe go(flow, revision, picked)
    }

    /// Chooses one of the revision's backends that speak the protocol and weren't tried.
    @inline(__always)
    private func pick(_ flow: FlowPointer, _ revision: WorkerRevision, isGRPC: Bool) -> Int? {
        guard revision.backends.count > 64 else {
            // No set is made of a word, and none is counted up and down.
            return unsafe revision.picker.pick(
                from: revision.loads,
                eligible: isGRPC ? revision.grpcBackends.first : revision.restBackends.first,
                excluded: flow.pointee.tried,
                key: hashKey(of: flow, revision),
                now: loop.now,
                random: &random
            )
        }
        return unsafe pick(
            flow,
            revision,
            isGRPC ? revision.grpcBackends : revision.restBackends,
            hasRoom: false
        )
    }

    /// The same among `eligible`, with room or not.
    func pick(
        _ flow: FlowPointer,
        _ revision: WorkerRevision,
        _ eligible: BackendSet,
        hasRoom: Bool
    ) -> Int? {
        unsafe revision.picker.pick(
            from: revision.loads,
            eligible: eligible,
            excluded: tried(flow),
            hasRoom: hasRoom,
            key: hashKey(of: flow, revision),
            now: loop.now,
            random: &random
        )
    }

    /// What the revision's ring is asked with.
    func hashKey(of flow: FlowPointer, _ revision: WorkerRevision) -> UInt64? {
        guard let place = revision.balance.hashKey, let head = unsafe flow.pointee.head else {
            return nil
        }
        return unsafe place.value(in: head).map { unsafe StableHash.of($0) }
    }

    /// Refuses a request for which there is no backend, or none any more.
    func refuseUnserved(
        _ flow: FlowPointer,
        _ revision: WorkerRevision,
        _ model: WorkerModel
    ) {
        unsafe refuse(
            flow,
            flow.pointee.attempts == UInt16(flow.pointee.retry.count)
                ? noBackend(revision, model) : .connectFailed(model.plan.name)
        )
    }

    /// Goes to a backend at which the request has been counted in.
    func go(_ flow: FlowPointer, _ revision: WorkerRevision, _ picked: Int) {
        unsafe flow.pointee.backend = .passUnretained(revision.backends[picked])
        unsafe flow.pointee.attempts &+= 1
        unsafe noteTried(flow, picked)
        unsafe flow.pointee.backend?._withUnsafeGuaranteedRef { unsafe connect(flow, $0) }
    }

    /// Waits for a connection to a backend, or begins at once on one that is there.
    func connect(_ flow: FlowPointer, _ backend: WorkerBackend) {
        unsafe flow.pointee.stage = .connecting
        guard let route = unsafe backend.route(flow.spoken) else { return }
        switch unsafe route._withUnsafeGuaranteedRef({
            unsafe $0.pool.acquire(UnsafeMutableRawPointer(flow))
        }) {
        case .ready(let connection):
            unsafe connection._withUnsafeGuaranteedRef { unsafe begin(flow, on: $0) }
        case .waiting: break
        case .full: unsafe refuse(flow, .overloaded(backend.plan.label))
        }
    }

    package func callReady(_ user: UnsafeMutableRawPointer, _ connection: ClientConnection) {
        unsafe begin(user.assumingMemoryBound(to: Flow.self), on: connection)
    }

    package func callRefused(_ user: UnsafeMutableRawPointer, _ failure: CallFailure) {
        let flow = unsafe user.assumingMemoryBound(to: Flow.self)
        if unsafe flow.pointee.hedge != nil {
            var outcome = BackendOutcome.unknown
            if case .connectFailed = failure { outcome = .connectFailed }
            unsafe copyFailed(flow, outcome)
            return
        }
        unsafe judgeFailed(flow)
        if case .connectFailed = failure { unsafe flow.pointee.outcome = .connectFailed }
        unsafe unprocessed(flow)
    }

    /// Nothing has reached the backend, so another may be tried.
    func unprocessed(_ flow: FlowPointer) {
        unsafe leaveBackend(flow)
        unsafe flow.pointee.call = nil
        unsafe flow.pointee.revision?._withUnsafeGuaranteedRef {
            shard.add($0.metrics.retries(reason: "connect"))
        }
        unsafe attempt(flow)
    }

    /// Sends the head and whatever body has been held back.
    private func begin(_ flow: FlowPointer, on connection: ClientConnection) {
        guard let head = unsafe flow.pointee.head, let revision = unsafe flow.pointee.revision
        else { return }
        guard unsafe renameMessage(flow, head) else { return }
        let keeps = unsafe revision._withUnsafeGuaranteedRef {
            unsafe isWorthKeeping(flow, $0, connection)
        }
        unsafe flow.pointee.retry.isKept = keeps
        let keepsBody =
            unsafe keeps || revision._withUnsafeGuaranteedRef { unsafe isWorthALook(flow, $0) }
        unsafe flow.pointee.retry.keepsBody = keepsBody
        if !keeps { unsafe flow.pointee.head = nil }
        let ended = unsafe flow.pointee.hasRequestEnded
        let offered = unsafe flow.pointee.offered
        unsafe flow.pointee.offered = UnsafeRawBufferPointer(start: nil, count: 0)
        let isBare =
            unsafe ended && flow.pointee.held.isEmpty && offered.isEmpty
            && flow.pointee.heldTrailers == nil
        unsafe flow.pointee.stage = .relaying
        unsafe flow.pointee.sent = loop.now
        guard let call = unsafe begin(flow, head, on: connection, endStream: isBare) else {
            unsafe refuse(flow, .overloaded("the connection"))
            return
        }
        unsafe flow.pointee.call = call
        let tryTimeout = unsafe revision._withUnsafeGuaranteedRef { $0.balance.tryTimeout }
        if tryTimeout > 0 { unsafe armTryTimer(flow, tryTimeout) }
        if keeps, let policy = unsafe revision._withUnsafeGuaranteedRef({ $0.balance.hedge }) {
            unsafe armHedge(flow, policy)
        }
        guard !isBare else { return }
        unsafe sendContinue(flow)
        let trailers = unsafe flow.pointee.heldTrailers
        unsafe flow.pointee.heldTrailers = nil
        let endsBody = ended && trailers == nil
        var sent = 0
        let count = unsafe flow.pointee.held.count + offered.count
        if unsafe !flow.pointee.held.isEmpty {
            var held = unsafe flow.pointee.held
            unsafe flow.pointee.held = PooledBytes()
            unsafe sent += call.send(held.bytes, endStream: endsBody && offered.isEmpty)
            if keepsBody {
                unsafe flow.pointee.retry.replay = held
            } else {
                held.release(to: buffers)
            }
        }
        if unsafe !offered.isEmpty {
            unsafe sent += call.send(offered, endStream: endsBody)
            if keepsBody { unsafe storeForRetry(flow, offered) }
        }
        unsafe flow.pointee.clock.wait(forBackend: count - sent, at: loop.now)
        unsafe credit(flow, sent)
        if let trailers { call.sendTrailers(trailers) }
    }

    /// Sends the head: by its name if one like it went over the connection before, else the long way.
    private func begin(
        _ flow: FlowPointer,
        _ head: FieldBlock,
        on connection: ClientConnection,
        endStream: Bool
    ) -> Call? {
        let keeps = unsafe flow.pointee.retry.isKept
        let name = unsafe nameOfRequest(flow, head)
        if !name.isNone {
            let call = unsafe connection.begin(
                repeating: RepeatedHead(name: name, block: head, added: requestID(of: flow)),
                endStream: endStream,
                user: UnsafeMutableRawPointer(flow)
            )
            if let call {
                unsafe flow.pointee.retry.isAsItCame = keeps
                if !keeps { blocks.give(head) }
                return call
            }
        }
        unsafe flow.pointee.retry.isAsItCame = false
        var (outgoing, isCopy) = (head, false)
        unsafe flow.pointee.backend?._withUnsafeGuaranteedRef { backend in
            unsafe backend.route(flow.spoken)?._withUnsafeGuaranteedRef {
                if unsafe flow.pointee.retry.isPrepared {
                    unsafe readdress(head, flow, $0)
                } else {
                    unsafe prepare(head, flow, $0)
                    if unsafe flow.pointee.retry.seenCount > 0, unsafe flow.spoken == .grpc {
                        unsafe nameAttempts(head, flow)
                    }
                }
            }
            if let additions = backend.additions {
                // What is kept for another backend never has what is this one's.
                if keeps { (outgoing, isCopy) = (copy(head), true) }
                additions.put(into: outgoing, isGRPC: unsafe flow.spoken == .grpc)
            }
        }
        outgoing.repeatName = name
        return unsafe connection.begin(
            outgoing,
            endStream: endStream,
            keepsHead: keeps && !isCopy,
            user: UnsafeMutableRawPointer(flow)
        )
    }

    /// What the head is called as it goes to the flow's backend; nothing where that hangs on more than the
    /// head as it came and the backend.
    private func nameOfRequest(_ flow: FlowPointer, _ head: FieldBlock) -> HeadName {
        let name = head.repeatName
        guard !name.isNone, let backend = unsafe flow.pointee.backend,
            unsafe !flow.pointee.isTranslated, unsafe !flow.pointee.isUnheard,
            unsafe !flow.pointee.retry.isPrepared, unsafe flow.pointee.retry.seenCount == 0,
            // Of a REST request `prepare` notes what its body is said to be.
            unsafe flow.spoken == .grpc, head.index(of: .contentEncoding) == nil,
            head.index(of: .inferenceHeaderContentLength) == nil,
            // What is left of the caller's time is written into the head in its place.
            head.index(of: .grpcTimeout) == nil,
            // A copy for another backend is made of the head as it goes out.
            unsafe flow.pointee.revision?._withUnsafeGuaranteedRef({ $0.balance.hedge == nil })
                == true
        else { return .none }
        return unsafe backend._withUnsafeGuaranteedRef {
            // Fields of its own are put into each head anew.
            $0.additions == nil ? name.used(as: $0.use + HeadUse.request) : .none
        }
    }

    /// Turns the client's head into ours (RFC 9110 §7.6): what belongs to one hop goes, what
    /// intermediaries owe comes, the rest stays as it is.
    private func prepare(_ head: FieldBlock, _ flow: FlowPointer, _ route: BackendRoute) {
        let exchange = unsafe flow.pointee.exchange
        let isGRPC = unsafe flow.spoken == .grpc
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
                if unsafe !flow.pointee.isUnheard { head.remove(at: index) }
            case .contentLength, .traceparent: head.markVolatile(at: index)
            case .contentEncoding:
                if !head[index].isRemoved { unsafe flow.pointee.retry.isCoded = true }
            case .inferenceHeaderContentLength:
                if !head[index].isRemoved { isBinary = true }
                unsafe flow.pointee.retry.headerLength =
                    ASCII.decimal(head.value(of: head[index])) ?? -2
            case .path:
                if unsafe flow.pointee.prefixLength > 0 { unsafe rewritePath(head, flow) }
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
            unsafe head.append(.requestID, requestID(of: flow), isVolatile: true)
        }
        if isGRPC {
            // gRPC servers refuse calls without it.
            if !acceptsTrailers { head.append(.transferCodings, "trailers") }
            unsafe writeTimeout(head, flow)
        }
        if unsafe !isGRPC && flow.pointee.operation.isPrediction {
            unsafe nameType(of: head, flow, isBinary)
        }
        unsafe renameModel(head, flow)
    }

    /// Says what a prediction's body is where its caller didn't, or left what its tool says of any body.
    ///
    /// Runtimes go by it: FastAPI's read JSON as JSON only by its own type, and KServe's binary tensors by
    /// any other. Under V1 a text may be what the model takes, so that goes on as it is.
    private func nameType(of head: FieldBlock, _ flow: FlowPointer, _ isBinary: Bool) {
        if let type = unsafe head.first(.contentType) {
            let isWrong =
                unsafe MediaType.names(type, "application/x-www-form-urlencoded")
                || flow.pointee.operation == .v2Infer && MediaType.names(type, "text/plain")
                || isBinary && MediaType.names(type, "application/json")
            guard isWrong else {
                unsafe flow.pointee.retry.isForeign = !Worker.mayBeJSON(type)
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
    func writeTimeout(_ head: FieldBlock, _ flow: FlowPointer) {
        guard head.index(of: .grpcTimeout) != nil else { return }
        let left =
            unsafe flow.pointee.started.nanoseconds + flow.pointee.timeout
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
