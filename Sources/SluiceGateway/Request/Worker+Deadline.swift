import SluiceBalancing
import SluiceCore
import SluiceIO

// What ends a request that nothing else ends.
//
// A request has one timer and sets it anew for whatever it waits for next; it is never set beyond the
// request's own deadline. So in every stage the deadline, at the latest, makes it fire:
//
//   routing      a single gRPC call must name its model within `bodyTimeout` (all of a worker's share one
//                timer, see ``ArrivalQueue``), then has the model's
//                `timeout`; a stream rests as long as its client answers PINGs
//   gathering    `timeout`, counted from the head on, as soon as the body isn't there at once
//   waiting      `timeout`; half way through what is left a follower looks again
//   connecting   `timeout`, in the queue `queueTimeout`, between tries the pause
//   relaying     `timeout`, before the answer begins also the try's; an answer that has begun is
//                broken off, with DEADLINE_EXCEEDED or by the stream's or connection's end
//   answering    `bodyTimeout`, unless it is a stream
//   refusing     the refusal waits for the rest of an HTTP/1.1 body for `errorReplyLinger`, 1 MiB, or
//                until the deadline
extension Worker {
    /// How long a decided refusal waits for the rest of an HTTP/1.1 request, at most.
    package static let errorReplyLinger = Duration.seconds(5)

    /// Sets the request's timer for `purpose`, to its deadline at the latest.
    func setTimer(_ request: Request, _ purpose: RequestTimer, at instant: Instant) {
        let timeout = unsafe request.pointee.timeout
        unsafe cancelTimer(request)
        unsafe request.pointee.timerPurpose = purpose
        unsafe request.pointee.timer = loop.setTimer(
            at: timeout > 0
                ? min(instant, request.pointee.started.advanced(byNanoseconds: timeout)) : instant,
            target: self,
            tag: UInt(bitPattern: request)
        )
    }

    /// Sets the request's timer to its deadline, counted from the request's begin; without one it is
    /// set to nothing.
    func armDeadline(_ request: Request) {
        unsafe cancelTimer(request)
        unsafe request.pointee.timerPurpose = .deadline
        let timeout = unsafe request.pointee.timeout
        guard timeout > 0 else { return }
        unsafe request.pointee.timer = loop.setTimer(
            at: request.pointee.started.advanced(byNanoseconds: timeout),
            target: self,
            tag: UInt(bitPattern: request)
        )
    }

    /// Stops the request's timer, whatever it was set for.
    @inline(__always)
    func cancelTimer(_ request: Request) {
        if unsafe request.pointee.timerPurpose == .arrival { unsafe leaveArrivals(request) }
        if unsafe request.pointee.timer != .none { unsafe loop.cancelTimer(&request.pointee.timer) }
    }

    /// Sets the deadline of a request that isn't answered on the spot, unless it runs already.
    func beginWaiting(_ request: Request) {
        if unsafe request.pointee.timer == .none || request.pointee.timerPurpose != .deadline {
            unsafe armDeadline(request)
        }
    }

    func isPastDeadline(_ request: Request) -> Bool {
        let timeout = unsafe request.pointee.timeout
        return unsafe timeout > 0 && loop.now.nanoseconds(since: request.pointee.started) >= timeout
    }

    /// The request's timer has fired: the one place where its purposes part.
    func requestTimerFired(_ request: Request) {
        unsafe request.pointee.timer = .none
        switch unsafe request.pointee.timerPurpose {
        case .deadline: unsafe deadlineCame(request)
        // One timer for all that wait for it; see ``ArrivalQueue``.
        case .arrival: break
        case .pause: unsafe resume(request)
        case .place: unsafe queueTimedOut(request)
        case .linger: unsafe sendErrorReply(request)
        case .refetch: if unsafe !looksAgain(request) { unsafe deadlineCame(request) }
        case .tryEnd:
            guard unsafe !isPastDeadline(request) else {
                unsafe deadlineCame(request)
                return
            }
            let left = unsafe tryTime(of: request) - backendTime(request)
            guard left <= 0 else {
                // It is the caller who is slow.
                unsafe setTimer(request, .tryEnd, at: loop.now.advanced(byNanoseconds: left))
                return
            }
            if unsafe request.pointee.isHedged, unsafe request.pointee.isInternal {
                unsafe copyFailed(request, .timedOut)
                return
            }
            if unsafe isFaulty(request) { return }
            unsafe request.pointee.attempt.outcome = .timedOut
            if unsafe retry(request, .timeout) { return }
            // Where it may not go elsewhere it stays, for as long as the request has.
            unsafe armDeadline(request)
        }
    }

    private func tryTime(of request: Request) -> Int64 {
        unsafe request.pointee.revision?._withUnsafeGuaranteedRef { $0.balance.tryTimeout } ?? 0
    }

    /// The request's time is over.
    func deadlineCame(_ request: Request) {
        if unsafe request.pointee.stage == .relaying, unsafe isFaulty(request) { return }
        if unsafe hadItsTime(request) { unsafe request.pointee.attempt.outcome = .timedOut }
        unsafe replyWithError(request, .deadline(.nanoseconds(request.pointee.timeout)))
    }
}
