import SluiceCore
import SluiceGRPC
import SluiceIO
import SluiceIngress

/// Single gRPC calls whose message is still to come: all of a worker's under one timer.
///
/// Most come within the tick in which their head came, behind those of others that were sent together,
/// so that a timer of its own for each would be set and cancelled for nothing. A list through the flows
/// themselves; a flow is in it while its timer's purpose is ``FlowTimer/arrival``.
@safe
struct ArrivalQueue {
    private(set) var first: FlowPointer?
    private var last: FlowPointer?
    /// Fires when the first of those who wait may be too late; set while any wait.
    var timer = TimerID.none
    var due = Instant.zero

    init() {
        unsafe first = nil
        unsafe last = nil
    }

    /// Puts a flow at the end.
    mutating func append(_ flow: FlowPointer) {
        unsafe flow.pointee.nextArrival = nil
        unsafe flow.pointee.previousArrival = last
        if let last = unsafe last {
            unsafe last.pointee.nextArrival = flow
        } else {
            unsafe first = flow
        }
        unsafe last = flow
    }

    /// Takes a flow out, wherever it stands.
    mutating func remove(_ flow: FlowPointer) {
        let (next, previous) = unsafe (flow.pointee.nextArrival, flow.pointee.previousArrival)
        if let previous = unsafe previous {
            unsafe previous.pointee.nextArrival = next
        } else {
            unsafe first = next
        }
        if let next = unsafe next {
            unsafe next.pointee.previousArrival = previous
        } else {
            unsafe last = previous
        }
    }
}

extension Worker {
    /// Bounds the time for the message of a single gRPC call that has no deadline yet.
    ///
    /// One that has come behind its head needs no bound.
    func armArrival(_ flow: FlowPointer) {
        guard unsafe flow.pointee.timer == .none, unsafe !flow.pointee.method.isStreaming,
            unsafe !flow.pointee.hasRequestEnded
        else { return }
        let exchange = unsafe flow.pointee.exchange
        if unsafe arrivals.first == nil, exchange.hasWholeBody { return }
        unsafe flow.pointee.timerPurpose = .arrival
        unsafe arrivals.append(flow)
        let due = unsafe flow.pointee.started.advanced(byNanoseconds: exchange.bodyTimeout)
        guard arrivals.timer == .none || due < arrivals.due else { return }
        setArrivalTimer(due)
    }

    private func setArrivalTimer(_ due: Instant) {
        loop.cancelTimer(&arrivals.timer)
        arrivals.due = due
        arrivals.timer = loop.setTimer(at: due, target: self, tag: Tag.arrivals)
    }

    /// The flow doesn't wait for its message any more, or for something else.
    @inline(__always)
    func leaveArrivals(_ flow: FlowPointer) {
        if unsafe flow.pointee.timerPurpose == .arrival { unsafe removeArrival(flow) }
    }

    private func removeArrival(_ flow: FlowPointer) {
        unsafe flow.pointee.timerPurpose = .deadline
        unsafe arrivals.remove(flow)
        if unsafe arrivals.first == nil { loop.cancelTimer(&arrivals.timer) }
    }

    /// Refuses those whose message has not come in time.
    func refuseLateArrivals() {
        arrivals.timer = .none
        var earliest: Instant?
        var next = unsafe arrivals.first
        while let flow = unsafe next {
            unsafe next = flow.pointee.nextArrival
            let due = unsafe flow.pointee.started.advanced(
                byNanoseconds: flow.pointee.exchange.bodyTimeout
            )
            if due <= loop.now {
                unsafe removeArrival(flow)
                unsafe refuse(flow, .lateMessage)
            } else {
                earliest = min(earliest ?? due, due)
            }
        }
        if let earliest { setArrivalTimer(earliest) }
    }
}
