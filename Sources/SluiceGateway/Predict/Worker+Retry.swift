import SluiceBalancing
import SluiceCore
import SluiceEgress
import SluiceGRPC
import SluiceHTTP
import SluiceIO
import SluiceInference
import SluiceTelemetry

// Once more, elsewhere: only what no model can have seen, unless the model is idempotent (the table
// is in ``RetryPolicy``). Head and body so far are kept until the answer's head arrives.
extension Worker {
    /// Whether this attempt's request is to be kept, which costs a copy of its body.
    ///
    /// Over HTTP/1.1 a backend can't say that it hasn't begun, so there only an idempotent model's
    /// request has a use for it, or on a kept connection one that is idempotent by its method (RFC
    /// 9110 §9.2.2). Streams and requests with trailers are never kept.
    func isWorthKeeping(
        _ flow: FlowPointer,
        _ revision: WorkerRevision,
        _ connection: ClientConnection
    ) -> Bool {
        let policy = revision.balance.retry
        let mayRepeat = unsafe flow.pointee.retry.count < policy.attempts
        guard
            unsafe mayRepeat && (connection.isHTTP2 || policy.isIdempotent)
                || (revision.balance.hedge != nil && !flow.pointee.isUnheard)
                || (connection.isKept && isIdempotent(flow, policy)),
            unsafe flow.pointee.heldTrailers == nil,
            unsafe flow.pointee.wire != .grpc || !flow.pointee.method.isStreaming
        else { return false }
        return unsafe flow.pointee.held.count + flow.pointee.offered.count <= policy.bufferBytes
    }

    /// Keeps another piece of the body, or nothing any more when it grows too large.
    func keep(_ flow: FlowPointer, _ bytes: UnsafeRawBufferPointer) {
        let limit =
            unsafe flow.pointee.revision?._withUnsafeGuaranteedRef {
                $0.balance.retry.bufferBytes
            } ?? 0
        let kept = unsafe flow.pointee.retry.replay.count + Int(flow.pointee.retry.smallCount)
        if kept + bytes.count > limit {
            unsafe forget(flow)
        } else {
            unsafe storeForRetry(flow, bytes)
        }
    }

    /// Stores a piece of the body: a small one beside the flow, as most are, the rest in a buffer.
    func storeForRetry(_ flow: FlowPointer, _ bytes: UnsafeRawBufferPointer) {
        guard let from = bytes.baseAddress else { return }
        let small = unsafe Int(flow.pointee.retry.smallCount)
        let place = unsafe flow.pointee.scratch.baseAddress.unsafelyUnwrapped + FlowScratch.replay
        if unsafe small + bytes.count <= FlowScratch.replayMaximum
            && flow.pointee.retry.replay.isEmpty
        {
            unsafe ShortBytes.copy(from, to: place + small, count: bytes.count)
            unsafe flow.pointee.retry.smallCount = UInt8(small + bytes.count)
            return
        }
        if small > 0 {
            unsafe flow.pointee.retry.replay.append(
                UnsafeRawBufferPointer(start: place, count: small),
                pool: buffers
            )
            unsafe flow.pointee.retry.smallCount = 0
        }
        unsafe flow.pointee.retry.replay.append(bytes, pool: buffers)
    }

    /// The request won't be sent again, nor looked at.
    func forget(_ flow: FlowPointer) {
        guard unsafe flow.pointee.retry.keepsBody else { return }
        if unsafe flow.pointee.hedge != nil { unsafe leaveHedge(flow, .lost) }
        unsafe flow.pointee.retry.keepsBody = false
        unsafe flow.pointee.retry.smallCount = 0
        unsafe flow.pointee.retry.replay.release(to: buffers)
        guard unsafe flow.pointee.retry.isKept else { return }
        unsafe flow.pointee.retry.isKept = false
        if let head = unsafe flow.pointee.head { blocks.give(head) }
        unsafe flow.pointee.head = nil
    }

    /// Sends the request to another backend if that is allowed; false when its failure stands.
    func retry(_ flow: FlowPointer, _ cause: RetryPolicy.Cause) -> Bool {
        guard unsafe flow.pointee.retry.isKept, unsafe !flow.pointee.hasResponseBegun,
            let revision = unsafe flow.pointee.revision
        else { return false }
        if unsafe flow.pointee.hedge != nil, unsafe takeCopy(flow, cause) { return true }
        return unsafe revision._withUnsafeGuaranteedRef { unsafe retry(flow, cause, $0) }
    }

    /// Whether the request may reach its model twice.
    private func isIdempotent(_ flow: FlowPointer, _ policy: RetryPolicy) -> Bool {
        if policy.isIdempotent { return true }
        guard unsafe flow.pointee.wire == .v1 || flow.pointee.wire == .v2,
            unsafe !flow.pointee.isTranslated
        else { return false }
        return unsafe ASCII.equal(flow.pointee.operation.method.utf8Bytes, "GET")
    }

    /// Sends a request again to the backend it was at: an idempotent one whose kept connection turned
    /// out dead, or one that was left untouched by a backend that has no other beside it.
    ///
    /// It is the same attempt on a connection that is new, so neither a retry by the model's count
    /// and budget nor a failure of the backend. Once for a request; false when its failure stands.
    func retryFresh(_ flow: FlowPointer, isUntouched: Bool = false) -> Bool {
        guard unsafe flow.pointee.retry.isKept, unsafe !flow.pointee.retry.wasStale,
            unsafe !flow.pointee.hasResponseBegun, unsafe !isPastDeadline(flow),
            let revision = unsafe flow.pointee.revision,
            let backend = unsafe flow.pointee.backend
        else { return false }
        return unsafe revision._withUnsafeGuaranteedRef { revision in
            guard unsafe isUntouched || isIdempotent(flow, revision.balance.retry) else {
                return false
            }
            // A copy that is under way elsewhere answers sooner.
            if unsafe flow.pointee.hedge != nil, unsafe takeCopy(flow, .reset) { return true }
            if unsafe flow.pointee.hedge != nil { unsafe leaveHedge(flow, .cancelled) }
            let reason = isUntouched ? "refused" : "stale_connection"
            shard.add(revision.metrics.retries(reason: reason))
            unsafe rewind(flow)
            unsafe flow.pointee.retry.wasStale = true
            if unsafe flow.pointee.timerPurpose == .tryEnd { unsafe armDeadline(flow) }
            unsafe backend._withUnsafeGuaranteedRef {
                if !isUntouched {
                    unsafe $0.route(flow.spoken)?._withUnsafeGuaranteedRef { $0.pool.dropIdle() }
                }
                unsafe connect(flow, $0)
            }
            return true
        }
    }

    private func retry(
        _ flow: FlowPointer,
        _ cause: RetryPolicy.Cause,
        _ revision: WorkerRevision
    ) -> Bool {
        let count = unsafe Int(flow.pointee.retry.count)
        let eligible = unsafe flow.spoken == .grpc ? revision.grpcBackends : revision.restBackends
        guard revision.balance.retry.allows(cause, after: count), unsafe !isPastDeadline(flow),
            unsafe pick(flow, revision, eligible, hasRoom: false) != nil
        else { return false }
        let board = revision.balance.board
        if unsafe !flow.pointee.retry.isCounted {
            let inFlight = revision.loads.reduce(0) { $0 + $1.inFlight }
            guard board.retries.tryBegin(inFlight: inFlight) else {
                shard.add(revision.metrics.retryBudgetExhausted)
                return false
            }
            unsafe flow.pointee.retry.isCounted = true
        }
        if unsafe flow.pointee.hedge != nil { unsafe leaveHedge(flow, .cancelled) }
        shard.add(revision.metrics.retries(reason: cause.rawValue))
        unsafe countFailedAttempt(flow, cause)
        unsafe cancelCall(flow, "retry_\(cause.rawValue)")
        unsafe leaveBackend(flow)
        unsafe rewind(flow)
        unsafe flow.pointee.retry.count += 1
        if cause != .refused { unsafe flow.pointee.retry.seenCount += 1 }
        let delay = RetryPolicy.delay(cause, number: count + 1, random: &random)
        if delay == 0 {
            // The timer may still be the failed try's, or have fired for it.
            unsafe armDeadline(flow)
            unsafe attempt(flow)
        } else {
            unsafe pause(flow, delay)
        }
        return true
    }

    /// Puts the request back to where it was before it was sent.
    private func rewind(_ flow: FlowPointer) {
        unsafe flow.pointee.retry.isKept = false
        unsafe flow.pointee.retry.keepsBody = false
        unsafe flow.pointee.retry.isPrepared = !flow.pointee.retry.isAsItCame
        unsafe flow.pointee.held = flow.pointee.retry.replay
        unsafe flow.pointee.retry.replay = PooledBytes()
        let small = unsafe Int(flow.pointee.retry.smallCount)
        if small > 0, let base = unsafe flow.pointee.scratch.baseAddress {
            unsafe flow.pointee.held.append(
                UnsafeRawBufferPointer(start: base + FlowScratch.replay, count: small),
                pool: buffers
            )
            unsafe flow.pointee.retry.smallCount = 0
        }
        // What the client was told has moved on isn't told again.
        unsafe flow.pointee.credited += flow.pointee.retry.moved
        unsafe flow.pointee.retry.moved = 0
        unsafe flow.pointee.stage = .connecting
        unsafe flow.pointee.firstByte = .zero
        unsafe flow.pointee.sent = .zero
        unsafe flow.pointee.clock = AttemptClock()
        unsafe flow.pointee.backendCode = 0
        unsafe flow.pointee.cache.captured.release(to: buffers)
        unsafe flow.pointee.cache.headerLength = -1
    }

    private func pause(_ flow: FlowPointer, _ delay: Int64) {
        unsafe setTimer(flow, .pause, at: loop.now.advanced(byNanoseconds: delay))
    }

    /// The pause is over.
    func resume(_ flow: FlowPointer) {
        if unsafe isPastDeadline(flow) {
            unsafe refuse(flow, .deadline(.nanoseconds(flow.pointee.timeout)))
            return
        }
        unsafe armDeadline(flow)
        unsafe attempt(flow)
    }

    /// Sets the timer to the try's end if that comes before the request's.
    func armTryTimer(_ flow: FlowPointer, _ tryTimeout: Int64) {
        let timeout = unsafe flow.pointee.timeout
        guard unsafe flow.pointee.retry.isKept,
            unsafe timeout == 0
                || loop.now.nanoseconds(since: flow.pointee.started) + tryTimeout < timeout
        else { return }
        unsafe setTimer(flow, .tryEnd, at: loop.now.advanced(byNanoseconds: tryTimeout))
    }

    /// Whether an answer's head says that the backend can't serve, and another may be asked.
    func retriesUnavailable(_ flow: FlowPointer, _ head: FieldBlock, endStream: Bool) -> Bool {
        var isUnavailable = head.status == 503
        if unsafe flow.spoken == .grpc {
            let code = unsafe head.first(.grpcStatus).flatMap { unsafe ASCII.decimal($0) }
            isUnavailable = endStream && code == 14
        }
        // Asking elsewhere would only spread an overload.
        guard isUnavailable, head.text(named: "x-sluice-overloaded") == nil else { return false }
        unsafe flow.pointee.outcome = .unavailable
        return unsafe retry(flow, .unavailable)
    }

    /// Gives a prepared head the address of another backend.
    func readdress(_ head: FieldBlock, _ flow: FlowPointer, _ route: BackendRoute) {
        unsafe head.set(.authority, route.authority.bytes)
        let scheme: StaticString = route.isSecure ? "https" : "http"
        unsafe head.set(.scheme, scheme.utf8Bytes)
        guard unsafe flow.spoken == .grpc else { return }
        unsafe writeTimeout(head, flow)
        unsafe nameAttempts(head, flow)
    }

    /// Tells a gRPC backend how often the request may have been seen before.
    func nameAttempts(_ head: FieldBlock, _ flow: FlowPointer) {
        let seen = unsafe flow.pointee.retry.seenCount
        guard seen > 0 else { return }
        let name: StaticString = "grpc-previous-rpc-attempts"
        for index in 0..<head.count
        where unsafe ASCII.equal(head.name(of: head[index]), name) { head.remove(at: index) }
        head.append(named: "grpc-previous-rpc-attempts", text: "\(seen)")
    }

    /// Ends what the retries of a flow still hold.
    func endRetries(_ flow: FlowPointer) {
        if unsafe flow.pointee.hedge != nil { unsafe leaveHedge(flow, .cancelled) }
        unsafe flow.pointee.retry.replay.release(to: buffers)
        if unsafe flow.pointee.retry.isCounted {
            unsafe flow.pointee.revision?._withUnsafeGuaranteedRef {
                $0.balance.board.retries.end()
            }
        }
    }
}
