import SluiceBalancing
import SluiceCore
import SluiceEgress
import SluiceGRPC
import SluiceHTTP
import SluiceIO
import SluiceInference
import SluiceIngress
import SluiceTelemetry

// Hedging (gRPC A6): a request that no answer has begun to within `delay` goes to another backend as
// well, and whichever begins to answer first has the caller.
//
//   original  sent ───────── delay ───────────────────── … ─────► its head: the copies are cancelled
//                              │
//   copy                       └─► sent ───────► its head: it takes the original's place
//                                          └───► it fails: no caller hears, the next may set out
//
// A copy is an internal request, made of what the request keeps to be sent
// again: so only a request that has come whole, and fits into `retryBufferBytes`, has one. It has a
// place at its backend and one in the revision's budget of retries, doesn't wait in the queue for either,
// and is dropped where there is none. When it answers, its call and its backend become the
// original's, which goes on as if it had asked there: cache, mirror, deadline and log know of one
// request with several attempts.
extension Worker {
    /// The request has gone out, and is kept.
    func armHedge(_ request: Request, _ policy: HedgePolicy) {
        guard unsafe !request.pointee.isInternal, unsafe !request.pointee.isHedged,
            unsafe Int(request.pointee.retry.count) + 1 < policy.maxAttempts
        else { return }
        let hedge = unsafe HedgedCall(self, request, policy)
        unsafe hedge.attempts += Int(request.pointee.retry.count)
        unsafe request.hedge = .passRetained(hedge)
        hedge.wait()
    }

    /// No answer has begun in time.
    func hedgeIsDue(_ hedge: HedgedCall) {
        let request = unsafe hedge.original
        guard unsafe request.pointee.stage == .relaying, unsafe request.pointee.attempt.call != nil,
            unsafe request.pointee.retry.isKept
        else { return }
        guard unsafe request.pointee.hasRequestEnded else {
            // It is the caller who is slow.
            hedge.wait()
            return
        }
        launch(hedge)
    }

    private func launch(_ hedge: HedgedCall) {
        let request = unsafe hedge.original
        guard hedge.hasMore, unsafe !isPastDeadline(request),
            let revision = unsafe request.pointee.revision?._withUnsafeGuaranteedRef({ $0 })
        else { return }
        guard let picked = unsafe takePlace(request, revision) else {
            shard.add(revision.metrics.hedges(.skipped))
            return
        }
        let copy = unsafe makeCopy(of: request, hedge, revision)
        hedge.attempts += 1
        unsafe hedge.copies.append(copy)
        unsafe request.pointee.attempt.count &+= 1
        unsafe noteTried(request, picked)
        if hedge.hasMore { hedge.wait() }
        unsafe go(copy, revision, picked)
    }

    /// Takes a place in the budget and at another backend; nil where there is none without waiting.
    private func takePlace(_ request: Request, _ revision: WorkerRevision) -> Int? {
        let balance = revision.balance
        let isLimited = balance.candidates != nil
        let eligible =
            unsafe request.backendProtocol == .grpc ? revision.grpcBackends : revision.restBackends
        if isLimited, balance.board.queue.depth > 0 { return nil }
        let choice = unsafe revision.picker.pickOutOfTurn(
            from: revision.loads,
            eligible: eligible,
            excluded: tried(request),
            hasRoom: isLimited,
            key: hashKey(of: request, revision),
            now: loop.now,
            random: &random
        )
        guard let picked = choice else { return nil }
        let inFlight = revision.loads.reduce(0) { $0 + $1.inFlight }
        guard balance.board.retries.tryBegin(inFlight: inFlight) else {
            shard.add(revision.metrics.retryBudgetExhausted)
            return nil
        }
        if let limit = balance.concurrency, !limit.tryEnter() {
            balance.board.retries.end()
            return nil
        }
        if !isLimited {
            revision.loads[picked].enter()
        } else if !revision.loads[picked].tryEnter() {
            balance.concurrency?.leave()
            balance.board.retries.end()
            return nil
        }
        return picked
    }

    /// The request once more, as it went out.
    private func makeCopy(
        of request: Request,
        _ hedge: HedgedCall,
        _ revision: WorkerRevision
    ) -> Request {
        let copy = unsafe repeated(request, to: revision, started: request.pointee.started)
        unsafe copy.hedge = .passUnretained(hedge)
        unsafe copy.pointee.isTranslated = request.pointee.isTranslated
        unsafe copy.pointee.attempt.translatedProtocol = request.pointee.attempt.translatedProtocol
        unsafe copy.pointee.retry.isPrepared = true
        unsafe copy.pointee.retry.isCounted = true
        unsafe copy.pointee.retry.seenCount =
            request.pointee.retry.seenCount + UInt8(clamping: hedge.attempts)
            - request.pointee.retry.count
        if let replay = unsafe request.existing(Replay.self) {
            unsafe copy.pointee.body.buffered.append(replay.pointee.body.bytes, pool: buffers)
        }
        unsafe copy.pointee.body.buffered.append(request.smallBody, pool: buffers)
        // No exchange waits to hear that the body has moved on.
        unsafe copy.pointee.body.acknowledged = copy.pointee.body.buffered.count
        return unsafe copy
    }

    // MARK: - Answers

    /// A copy's answer begins: the original, in whose place the copy is now, or nil where the
    /// answer is none that would do.
    func copyAnswered(_ copy: Request, _ head: FieldBlock, endStream: Bool) -> Request? {
        let status = head.status
        var (outcome, code) = (BackendOutcome(http: status), status)
        if unsafe copy.backendProtocol == .grpc {
            if status != 200 {
                outcome = outcome == .served ? .failed : outcome
            } else if endStream {
                code = unsafe head.first(.grpcStatus).flatMap { unsafe ASCII.decimal($0) } ?? 2
                outcome = BackendOutcome(grpc: code)
            }
        }
        guard outcome == .served else {
            // Who has too much to do already is spared the copies to come (gRPC A6, "Pushback").
            let isOverload =
                outcome == .overloaded || head.text(named: "x-sluice-overloaded") != nil
                || head.text(named: "grpc-retry-pushback-ms")?.hasPrefix("-") == true
            blocks.give(head)
            unsafe copy.pointee.attempt.code = code
            unsafe copyFailed(copy, outcome, isLast: isOverload)
            return nil
        }
        guard let hedge = unsafe copy.hedge?._withUnsafeGuaranteedRef({ $0 }) else {
            return nil
        }
        let request = unsafe hedge.original
        unsafe countBeaten(request)
        unsafe cancelCall(request, "hedge")
        unsafe leaveBackend(request)
        unsafe take(copy, from: hedge)
        unsafe leaveHedge(request, .lost)
        return unsafe request
    }

    /// Counts the original's own attempt, which another was faster than.
    private func countBeaten(_ request: Request) {
        unsafe request.pointee.attempt.outcome = .unknown
        guard let backend = unsafe request.pointee.attempt.backend else { return }
        let callerProtocol = unsafe request.pointee.callerProtocol
        unsafe backend._withUnsafeGuaranteedRef { backend in
            shard.add(
                backend.metrics.requests(callerProtocol, code: callerProtocol == .grpc ? 1 : 499)
            )
            // It would have taken even longer; saying nothing would make it look as fast as ever.
            let measures =
                unsafe request.pointee.revision?._withUnsafeGuaranteedRef {
                    $0.balance.measuresLatency
                } ?? false
            if measures {
                backend.load.note(
                    nanoseconds: unsafe backendTime(request),
                    at: loop.now
                )
            }
        }
    }

    /// The copy came to nothing; another may set out at once.
    func copyFailed(_ copy: Request, _ outcome: BackendOutcome, isLast: Bool = false) {
        guard let hedge = unsafe copy.hedge?._withUnsafeGuaranteedRef({ $0 }) else {
            return
        }
        // What the original keeps is what the copy sent; a refusal untouched says nothing of it.
        let isFaulty =
            unsafe outcome != .unknown && outcome != .connectFailed
            && fault(of: hedge.original).map { $0.isCertain || outcome == .failed } == true
        unsafe copy.pointee.attempt.outcome = isFaulty ? .unknown : outcome
        unsafe copy.pointee.status = 502
        unsafe copy.pointee.grpcStatus = GRPCStatus.unavailable.rawValue
        unsafe release(copy, from: hedge, .failed)
        unsafe end(copy)
        if isLast || isFaulty { hedge.stop() } else { launch(hedge) }
    }

    /// The original failed: a copy that is on its way takes its place; false where there is none.
    func takeCopy(_ request: Request, _ cause: RetryPolicy.Cause) -> Bool {
        unsafe precondition(!request.pointee.isInternal, "a copy has none to take its place")
        guard let hedge = unsafe request.hedge?._withUnsafeGuaranteedRef({ $0 }),
            let place = unsafe hedge.copies.firstIndex(where: {
                unsafe $0.pointee.attempt.call != nil
            })
        else { return false }
        unsafe countFailedAttempt(request, cause)
        unsafe cancelCall(request, "hedge")
        unsafe leaveBackend(request)
        unsafe take(hedge.copies[place], from: hedge)
        // What was set may have been the failed try's end.
        unsafe armDeadline(request)
        return true
    }

    /// Gives the original the copy's call and backend.
    private func take(_ copy: Request, from hedge: HedgedCall) {
        let request = unsafe hedge.original
        unsafe release(copy, from: hedge, .won)
        let kept = unsafe request.keptCount
        let untold =
            unsafe kept - request.pointee.body.replayAcknowledged
            - request.pointee.body.acknowledged
        unsafe copy.pointee.attempt.call?.hand(to: UnsafeMutableRawPointer(request))
        unsafe request.pointee.attempt.call = copy.pointee.attempt.call
        if let backend = unsafe copy.depart() { unsafe request.arrive(at: backend) }
        unsafe request.pointee.attempt.sent = copy.pointee.attempt.sent
        unsafe request.resetClock()
        unsafe request.pointee.attempt.code = 0
        unsafe copy.pointee.attempt.call = nil
        // The request is whole and kept; whatever the copy's backend takes of it is old news.
        unsafe request.pointee.body.acknowledged = kept
        unsafe request.pointee.body.replayAcknowledged = 0
        unsafe end(copy)
        if untold > 0 { unsafe request.pointee.exchange.consumed(untold) }
    }

    // MARK: - The end

    /// A request that has to do with hedging ends, or the original is hedged no longer.
    func leaveHedge(_ request: Request, _ result: HedgeResult) {
        guard let reference = unsafe request.hedge else { return }
        if unsafe request.pointee.isInternal {
            unsafe reference._withUnsafeGuaranteedRef { unsafe release(request, from: $0, .failed) }
            return
        }
        unsafe request.hedge = nil
        let hedge = unsafe reference.takeRetainedValue()
        hedge.stop()
        let copies = unsafe hedge.copies
        for index in unsafe copies.indices {
            let copy = unsafe copies[index]
            // As our own cancelling is counted elsewhere.
            unsafe copy.pointee.status = 499
            unsafe copy.pointee.grpcStatus = GRPCStatus.cancelled.rawValue
            unsafe release(copy, from: hedge, result)
            unsafe end(copy)
        }
    }

    /// The copy has no more to do with its original; counts what became of it.
    private func release(_ copy: Request, from hedge: HedgedCall, _ result: HedgeResult) {
        unsafe copy.hedge = nil
        unsafe hedge.copies.removeAll { unsafe $0 == copy }
        unsafe copy.pointee.revision?._withUnsafeGuaranteedRef {
            shard.add($0.metrics.hedges(result))
        }
    }
}
