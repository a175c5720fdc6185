import SluiceBalancing
import SluiceCore
import SluiceGRPC
import SluiceHTTP
import SluiceIO
import SluiceIngress

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
//   connecting   `timeout`, in line `queueTimeout`, between tries the pause
//   relaying     `timeout`, before the answer begins also the try's; an answer that has begun is
//                broken off, with DEADLINE_EXCEEDED or by the stream's or connection's end
//   answering    `bodyTimeout`, unless it is a stream
//   refusing     the refusal waits for the rest of an HTTP/1.1 body for `refusalLinger`, 1 MiB, or
//                until the deadline
extension Worker {
    /// How long a decided refusal waits for the rest of an HTTP/1.1 request, at most.
    package static let refusalLinger = Duration.seconds(5)

    /// Sets the request's timer for `purpose`, to its deadline at the latest.
    func setTimer(_ flow: FlowPointer, _ purpose: FlowTimer, at instant: Instant) {
        let timeout = unsafe flow.pointee.timeout
        unsafe leaveArrivals(flow)
        unsafe loop.cancelTimer(&flow.pointee.timer)
        unsafe flow.pointee.timerPurpose = purpose
        unsafe flow.pointee.timer = loop.setTimer(
            at: timeout > 0
                ? min(instant, flow.pointee.started.advanced(byNanoseconds: timeout)) : instant,
            target: self,
            tag: UInt(bitPattern: flow)
        )
    }

    /// Sets the request's timer to its deadline, counted from the request's begin; without one it is
    /// set to nothing.
    func armDeadline(_ flow: FlowPointer) {
        unsafe leaveArrivals(flow)
        if unsafe flow.pointee.timer != .none { unsafe loop.cancelTimer(&flow.pointee.timer) }
        unsafe flow.pointee.timerPurpose = .deadline
        let timeout = unsafe flow.pointee.timeout
        guard timeout > 0 else { return }
        unsafe flow.pointee.timer = loop.setTimer(
            at: flow.pointee.started.advanced(byNanoseconds: timeout),
            target: self,
            tag: UInt(bitPattern: flow)
        )
    }

    /// Sets the deadline of a request that isn't answered on the spot, unless it runs already.
    func beginWaiting(_ flow: FlowPointer) {
        if unsafe flow.pointee.timer == .none || flow.pointee.timerPurpose != .deadline {
            unsafe armDeadline(flow)
        }
    }

    func isPastDeadline(_ flow: FlowPointer) -> Bool {
        let timeout = unsafe flow.pointee.timeout
        return unsafe timeout > 0 && loop.now.nanoseconds(since: flow.pointee.started) >= timeout
    }

    /// The request's timer has fired.
    func timedOut(_ flow: FlowPointer) {
        switch unsafe flow.pointee.timerPurpose {
        case .deadline: unsafe deadlineCame(flow)
        // One timer for all that wait for it; see ``ArrivalQueue``.
        case .arrival: break
        case .pause: unsafe resume(flow)
        case .place: unsafe waitedInVain(flow)
        case .linger: unsafe sendRefusal(flow)
        case .patience: if unsafe !looksAgain(flow) { unsafe deadlineCame(flow) }
        case .tryEnd:
            guard unsafe !isPastDeadline(flow) else {
                unsafe deadlineCame(flow)
                return
            }
            let left = unsafe tryTime(of: flow) - backendTime(flow)
            guard left <= 0 else {
                // It is the caller who is slow.
                unsafe setTimer(flow, .tryEnd, at: loop.now.advanced(byNanoseconds: left))
                return
            }
            if unsafe isFaulty(flow) { return }
            unsafe flow.pointee.outcome = .timedOut
            if unsafe retry(flow, .timeout) { return }
            // Where it may not go elsewhere it stays, for as long as the request has.
            unsafe armDeadline(flow)
        }
    }

    private func tryTime(of flow: FlowPointer) -> Int64 {
        unsafe flow.pointee.revision?._withUnsafeGuaranteedRef { $0.balance.tryTimeout } ?? 0
    }

    /// The request's time is over.
    func deadlineCame(_ flow: FlowPointer) {
        if unsafe flow.pointee.stage == .relaying, unsafe isFaulty(flow) { return }
        if unsafe hadItsTime(flow) { unsafe flow.pointee.outcome = .timedOut }
        unsafe refuse(flow, .deadline(.nanoseconds(flow.pointee.timeout)))
    }
}

/// What a request's timer is set for.
enum FlowTimer: UInt8 {
    /// The end of the request's time.
    case deadline
    /// The end of the time in which a single gRPC call must have sent its message.
    case arrival
    /// The end of one attempt's time.
    case tryEnd
    /// The end of the pause before the next attempt.
    case pause
    /// The end of the wait for a place at a backend.
    case place
    /// When a request that waits for an equal one looks again.
    case patience
    /// The end of a refusal's wait for the rest of its request.
    case linger
}
