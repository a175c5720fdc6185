import SluiceCore
import SluiceGRPC
import SluiceIO
import SluiceIngress

/// Single gRPC calls whose message is still to come: all of a worker's under one timer.
///
/// Most come within the tick in which their head came, behind those of others that were sent together,
/// so that a timer of its own for each would be set and cancelled for nothing. A list through the requests
/// themselves; a request is in it while its timer's purpose is ``RequestTimer/arrival``.
@safe
struct ArrivalQueue {
    private(set) var first: Request?
    private var last: Request?
    /// Fires when the first of those who wait may be too late; set while any wait.
    var timer = TimerID.none
    var due = Instant.zero

    init() {
        unsafe first = nil
        unsafe last = nil
    }

    /// Puts a request at the end.
    mutating func append(_ request: Request) {
        unsafe request.neighbours.pointee.next = nil
        unsafe request.neighbours.pointee.previous = last
        if let last = unsafe last {
            unsafe last.neighbours.pointee.next = request
        } else {
            unsafe first = request
        }
        unsafe last = request
    }

    /// Takes a request out, wherever it stands.
    mutating func remove(_ request: Request) {
        let (next, previous) = unsafe (
            request.neighbours.pointee.next, request.neighbours.pointee.previous
        )
        assert(
            unsafe previous == nil
                ? first == request : previous?.neighbours.pointee.next == request,
            "a request leaves the queue once"
        )
        if let previous = unsafe previous {
            unsafe previous.neighbours.pointee.next = next
        } else {
            unsafe first = next
        }
        if let next = unsafe next {
            unsafe next.neighbours.pointee.previous = previous
        } else {
            unsafe last = previous
        }
    }
}

/// A request's neighbours in the ``ArrivalQueue``; in its ``RequestSlot``, and written when it joins.
@safe
struct ArrivalNeighbours: BitwiseCopyable {
    var next: Request?
    var previous: Request?
}

extension Worker {
    /// Bounds the time for the message of a single gRPC call that has no deadline yet.
    ///
    /// One that has come behind its head needs no bound.
    func armArrival(_ request: Request) {
        guard unsafe request.pointee.timer == .none, unsafe !request.pointee.method.isStreaming,
            unsafe !request.pointee.hasRequestEnded
        else { return }
        let exchange = unsafe request.pointee.exchange
        if unsafe arrivals.first == nil, exchange.hasWholeBody { return }
        unsafe request.pointee.timerPurpose = .arrival
        unsafe arrivals.append(request)
        let due = unsafe request.pointee.started.advanced(byNanoseconds: exchange.bodyTimeout)
        guard arrivals.timer == .none || due < arrivals.due else { return }
        setArrivalTimer(due)
    }

    private func setArrivalTimer(_ due: Instant) {
        loop.cancelTimer(&arrivals.timer)
        arrivals.due = due
        arrivals.timer = loop.setTimer(at: due, target: self, tag: Tag.arrivals)
    }

    /// The request doesn't wait for its message any more, or for something else.
    func leaveArrivals(_ request: Request) {
        unsafe request.pointee.timerPurpose = .deadline
        unsafe arrivals.remove(request)
        if unsafe arrivals.first == nil { loop.cancelTimer(&arrivals.timer) }
    }

    /// Refuses those whose message has not come in time.
    func refuseLateArrivals() {
        arrivals.timer = .none
        var earliest: Instant?
        var next = unsafe arrivals.first
        while let request = unsafe next {
            unsafe next = request.neighbours.pointee.next
            let due = unsafe request.pointee.started.advanced(
                byNanoseconds: request.pointee.exchange.bodyTimeout
            )
            if due <= loop.now {
                unsafe leaveArrivals(request)
                unsafe replyWithError(request, .lateMessage)
            } else {
                earliest = min(earliest ?? due, due)
            }
        }
        if let earliest { setArrivalTimer(earliest) }
    }
}
