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
        _ request: Request,
        _ revision: WorkerRevision,
        _ connection: ClientConnection,
        _ heldCount: Int
    ) -> Bool {
        let policy = revision.balance.retry
        let mayRepeat = unsafe request.pointee.retry.count < policy.attempts
        guard
            unsafe mayRepeat && (connection.isHTTP2 || policy.isIdempotent)
                || (revision.balance.hedge != nil && !request.pointee.isInternal)
                || (connection.isKept && isIdempotent(request, policy)),
            unsafe request.pointee.body.trailers == nil,
            unsafe request.pointee.callerProtocol != .grpc || !request.pointee.method.isStreaming
        else { return false }
        return heldCount <= policy.bufferBytes
    }

    /// Keeps another piece of the body, or nothing any more when it grows too large.
    func keep(_ request: Request, _ bytes: UnsafeRawBufferPointer) {
        let limit =
            unsafe request.pointee.revision?._withUnsafeGuaranteedRef {
                $0.balance.retry.bufferBytes
            } ?? 0
        if unsafe request.keptCount + bytes.count > limit {
            unsafe forget(request)
        } else {
            unsafe storeForRetry(request, bytes)
        }
    }

    /// Stores a piece of the body: a small one beside the request, as most are, the rest in a buffer.
    func storeForRetry(_ request: Request, _ bytes: UnsafeRawBufferPointer) {
        guard let from = bytes.baseAddress else { return }
        let small = unsafe Int(request.pointee.retry.smallCount)
        if unsafe small + bytes.count <= RequestSlot.smallBodyMaximum
            && request.existing(Replay.self)?.pointee.body.isEmpty != false
        {
            unsafe ShortBytes.copy(
                from,
                to: UnsafeMutableRawPointer(request.smallBodyPlace) + small,
                count: bytes.count
            )
            unsafe request.pointee.retry.smallCount = UInt8(small + bytes.count)
            return
        }
        if small > 0 {
            unsafe request.replay.pointee.body.append(request.smallBody, pool: buffers)
            unsafe request.pointee.retry.smallCount = 0
        }
        unsafe request.replay.pointee.body.append(bytes, pool: buffers)
    }

    /// The request won't be sent again, nor looked at.
    func forget(_ request: Request) {
        guard unsafe request.pointee.retry.keepsBody else { return }
        if unsafe request.pointee.isHedged { unsafe leaveHedge(request, .lost) }
        unsafe request.pointee.retry.keepsBody = false
        unsafe request.pointee.retry.smallCount = 0
        unsafe request.existing(Replay.self)?.pointee.body.release(to: buffers)
        guard unsafe request.pointee.retry.isKept else { return }
        unsafe request.pointee.retry.isKept = false
        if let head = unsafe request.pointee.head { blocks.give(head) }
        unsafe request.pointee.head = nil
    }

    /// Sends the request to another backend if that is allowed; false when its failure stands.
    func retry(_ request: Request, _ cause: RetryPolicy.Cause) -> Bool {
        guard unsafe request.pointee.retry.isKept, unsafe !request.pointee.hasResponseBegun,
            let revision = unsafe request.pointee.revision
        else { return false }
        if unsafe request.pointee.isHedged, unsafe takeCopy(request, cause) { return true }
        return unsafe revision._withUnsafeGuaranteedRef { unsafe retry(request, cause, $0) }
    }

    /// Whether the request may reach its model twice.
    private func isIdempotent(_ request: Request, _ policy: RetryPolicy) -> Bool {
        if policy.isIdempotent { return true }
        guard unsafe request.pointee.callerProtocol == .v1 || request.pointee.callerProtocol == .v2,
            unsafe !request.pointee.isTranslated
        else { return false }
        return unsafe ASCII.equal(request.pointee.operation.method.utf8Bytes, "GET")
    }

    /// Sends a request again to the backend it was at: an idempotent one whose kept connection turned
    /// out dead, or one that was left untouched by a backend that has no other beside it.
    ///
    /// It is the same attempt on a connection that is new, so neither a retry by the model's count
    /// and budget nor a failure of the backend. Once for a request; false when its failure stands.
    func retryFresh(_ request: Request, isUntouched: Bool = false) -> Bool {
        guard unsafe request.pointee.retry.isKept, unsafe !request.pointee.retry.wasStale,
            unsafe !request.pointee.hasResponseBegun, unsafe !isPastDeadline(request),
            let revision = unsafe request.pointee.revision,
            let backend = unsafe request.pointee.attempt.backend
        else { return false }
        return unsafe revision._withUnsafeGuaranteedRef { revision in
            guard unsafe isUntouched || isIdempotent(request, revision.balance.retry) else {
                return false
            }
            // A copy that is under way elsewhere answers sooner.
            if unsafe request.pointee.isHedged, unsafe takeCopy(request, .reset) { return true }
            if unsafe request.pointee.isHedged { unsafe leaveHedge(request, .cancelled) }
            let reason = isUntouched ? "refused" : "stale_connection"
            shard.add(revision.metrics.retries(reason: reason))
            unsafe rewind(request)
            unsafe request.pointee.retry.wasStale = true
            if unsafe request.pointee.timerPurpose == .tryEnd { unsafe armDeadline(request) }
            unsafe backend._withUnsafeGuaranteedRef {
                if !isUntouched {
                    unsafe $0.route(request.backendProtocol)?._withUnsafeGuaranteedRef {
                        $0.pool.dropIdle()
                    }
                }
                unsafe connect(request, $0)
            }
            return true
        }
    }

    private func retry(
        _ request: Request,
        _ cause: RetryPolicy.Cause,
        _ revision: WorkerRevision
    ) -> Bool {
        let count = unsafe Int(request.pointee.retry.count)
        let eligible =
            unsafe request.backendProtocol == .grpc ? revision.grpcBackends : revision.restBackends
        guard revision.balance.retry.allows(cause, after: count), unsafe !isPastDeadline(request),
            unsafe pick(request, revision, eligible, hasRoom: false) != nil
        else { return false }
        let board = revision.balance.board
        if unsafe !request.pointee.retry.isCounted {
            let inFlight = revision.loads.reduce(0) { $0 + $1.inFlight }
            guard board.retries.tryBegin(inFlight: inFlight) else {
                shard.add(revision.metrics.retryBudgetExhausted)
                return false
            }
            unsafe request.pointee.retry.isCounted = true
        }
        if unsafe request.pointee.isHedged { unsafe leaveHedge(request, .cancelled) }
        shard.add(revision.metrics.retries(reason: cause.rawValue))
        unsafe countFailedAttempt(request, cause)
        unsafe cancelCall(request, "retry_\(cause.rawValue)")
        unsafe leaveBackend(request)
        unsafe rewind(request)
        unsafe request.pointee.retry.count += 1
        if cause != .refused { unsafe request.pointee.retry.seenCount += 1 }
        let delay = RetryPolicy.delay(cause, number: count + 1, random: &random)
        if delay == 0 {
            // The timer may still be the failed try's, or have fired for it.
            unsafe armDeadline(request)
            unsafe attempt(request)
        } else {
            unsafe pause(request, delay)
        }
        return true
    }

    /// Puts the request back to where it was before it was sent.
    private func rewind(_ request: Request) {
        unsafe request.pointee.retry.isKept = false
        unsafe request.pointee.retry.keepsBody = false
        unsafe request.pointee.retry.isPrepared = !request.pointee.retry.isAsItCame
        unsafe request.pointee.body.buffered = request.replay.pointee.body
        unsafe request.replay.pointee.body = PooledBytes()
        unsafe request.pointee.body.buffered.append(request.smallBody, pool: buffers)
        unsafe request.pointee.retry.smallCount = 0
        // What the client was told has moved on isn't told again.
        unsafe request.pointee.body.acknowledged += request.pointee.body.replayAcknowledged
        unsafe request.pointee.body.replayAcknowledged = 0
        unsafe request.pointee.stage = .connecting
        unsafe request.pointee.attempt.firstByte = .zero
        unsafe request.pointee.attempt.sent = .zero
        unsafe request.resetClock()
        unsafe request.pointee.attempt.code = 0
        if let lookup = unsafe request.existing(LookupState.self) {
            unsafe lookup.pointee.captured.release(to: buffers)
            unsafe lookup.pointee.headerLength = -1
        }
    }

    private func pause(_ request: Request, _ delay: Int64) {
        unsafe setTimer(request, .pause, at: loop.now.advanced(byNanoseconds: delay))
    }

    /// The pause is over.
    func resume(_ request: Request) {
        if unsafe isPastDeadline(request) {
            unsafe replyWithError(request, .deadline(.nanoseconds(request.pointee.timeout)))
            return
        }
        unsafe armDeadline(request)
        unsafe attempt(request)
    }

    /// Sets the timer to the try's end if that comes before the request's.
    func armTryTimer(_ request: Request, _ tryTimeout: Int64) {
        let timeout = unsafe request.pointee.timeout
        guard unsafe request.pointee.retry.isKept,
            unsafe timeout == 0
                || loop.now.nanoseconds(since: request.pointee.started) + tryTimeout < timeout
        else { return }
        unsafe setTimer(request, .tryEnd, at: loop.now.advanced(byNanoseconds: tryTimeout))
    }

    /// Whether an answer's head says that the backend can't serve, and another may be asked.
    func retriesUnavailable(_ request: Request, _ head: FieldBlock, endStream: Bool) -> Bool {
        var isUnavailable = head.status == 503
        if unsafe request.backendProtocol == .grpc {
            let code = unsafe head.first(.grpcStatus).flatMap { unsafe ASCII.decimal($0) }
            isUnavailable = endStream && code == 14
        }
        // Asking elsewhere would only spread an overload.
        guard isUnavailable, head.text(named: "x-sluice-overloaded") == nil else { return false }
        unsafe request.pointee.attempt.outcome = .unavailable
        return unsafe retry(request, .unavailable)
    }

    /// Gives a prepared head the address of another backend.
    func readdress(_ head: FieldBlock, _ request: Request, _ route: BackendRoute) {
        unsafe head.set(.authority, route.authority.bytes)
        let scheme: StaticString = route.isSecure ? "https" : "http"
        unsafe head.set(.scheme, scheme.utf8Bytes)
        guard unsafe request.backendProtocol == .grpc else { return }
        unsafe writeTimeout(head, request)
        unsafe nameAttempts(head, request)
    }

    /// Tells a gRPC backend how often the request may have been seen before.
    func nameAttempts(_ head: FieldBlock, _ request: Request) {
        let seen = unsafe request.pointee.retry.seenCount
        guard seen > 0 else { return }
        let name: StaticString = "grpc-previous-rpc-attempts"
        for index in 0..<head.count
        where unsafe ASCII.equal(head.name(of: head[index]), name) { head.remove(at: index) }
        head.append(named: "grpc-previous-rpc-attempts", text: "\(seen)")
    }

    /// Ends what the retries of a request still hold.
    func endRetries(_ request: Request) {
        if unsafe request.pointee.isHedged { unsafe leaveHedge(request, .cancelled) }
        unsafe request.existing(Replay.self)?.pointee.body.release(to: buffers)
        if unsafe request.pointee.retry.isCounted {
            unsafe request.pointee.revision?._withUnsafeGuaranteedRef {
                $0.balance.board.retries.end()
            }
        }
    }
}
