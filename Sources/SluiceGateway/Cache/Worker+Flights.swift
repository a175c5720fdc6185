import SluiceCache
import SluiceCore
import SluiceGRPC
import SluiceHTTP
import SluiceIO
import SluiceInference
import SluiceTelemetry

// Equal calls under way: one request leads and calls the backend, the others wait for what it gets.
extension Worker {
    /// The flow that waits under `token`; it waits no more.
    func takeWaiting(_ token: UInt64) -> FlowPointer? {
        unsafe waiting.remove(token)?.assumingMemoryBound(to: Flow.self)
    }

    /// A flight this worker's request waited for has landed.
    func landed(_ token: UInt64, _ outcome: FlightOutcome) {
        guard let flow = unsafe takeWaiting(token) else { return }
        unsafe flow.pointee.cache.ticket = nil
        unsafe armDeadline(flow)
        switch outcome {
        case .answered(let entry):
            unsafe serve(flow, entry, "sluice; fwd=miss; collapsed", detail: "memory")
        case .failed(let http, let grpc, let why, let sentence):
            unsafe refuse(
                flow,
                .shared(
                    http: http,
                    grpc: GRPCStatus(rawValue: grpc) ?? .unknown,
                    why: why,
                    sentence
                )
            )
        case .unshared:
            unsafe flow.pointee.cache.role = .alone
            unsafe ask(flow)
        }
    }

    /// The leader left for reasons of its own; this worker's request makes the call.
    func takeOver(_ token: UInt64, _ ticket: FlightTicket) {
        guard let flow = unsafe takeWaiting(token) else {
            passOn(ticket)
            return
        }
        unsafe armDeadline(flow)
        unsafe lead(flow, ticket)
    }

    // MARK: - Patience

    /// Lets a follower look again when half of the time it has left is over: the call it waits for may
    /// never end, and there must be time for another.
    func armPatience(_ flow: FlowPointer) {
        guard unsafe flow.pointee.timeout > 0 else { return }
        let left = unsafe deadline(of: flow).nanoseconds(since: loop.now)
        unsafe lookAgain(flow, at: loop.now.advanced(byNanoseconds: left / 2))
    }

    /// A follower's timer has fired: it waits on, or makes a call of its own; false when its time is
    /// over.
    ///
    /// It makes one when the last call for its question has taken half of the time a request has, so
    /// that calls which are merely slow stay the only ones.
    func looksAgain(_ flow: FlowPointer) -> Bool {
        guard unsafe loop.now < deadline(of: flow), let flights = shared.cache?.flights,
            let ticket = unsafe flow.pointee.cache.ticket
        else { return false }
        let patience = unsafe flow.pointee.timeout / 2
        switch flights.overtake(ticket, at: loop.now, patience: patience) {
        case .wait(let time): unsafe lookAgain(flow, at: time)
        case .lead:
            _ = unsafe takeWaiting(flow.pointee.cache.token)
            unsafe count(flow, .overtaken)
            unsafe armDeadline(flow)
            unsafe lead(flow, ticket)
        }
        return true
    }

    private func lookAgain(_ flow: FlowPointer, at time: Instant) {
        unsafe setTimer(flow, .patience, at: time)
    }

    private func deadline(of flow: FlowPointer) -> Instant {
        unsafe flow.pointee.started.advanced(byNanoseconds: flow.pointee.timeout)
    }

    // MARK: - The end of a call

    func passOn(_ ticket: FlightTicket) {
        guard let next = shared.cache?.flights.handOver(ticket, at: loop.now) else { return }
        tell(next.leader) { $0.takeOver(next.leader.token, next.ticket) }
    }

    func tell(_ waiter: FlightWaiter, _ task: @escaping @Sendable (Worker) -> Void) {
        if waiter.worker == number { task(self) } else { shared.cache?.tell(waiter.worker, task) }
    }

    func land(_ flow: FlowPointer, _ outcome: FlightOutcome) {
        guard let ticket = unsafe flow.pointee.cache.ticket else { return }
        unsafe flow.pointee.cache.ticket = nil
        land(ticket, outcome)
    }

    func land(_ ticket: FlightTicket, _ outcome: FlightOutcome) {
        let waiters = unsafe cache?._withUnsafeGuaranteedRef { cache in
            if case .failed = outcome { return cache.flights.fail(ticket) }
            return cache.flights.land(ticket)
        }
        for waiter in waiters ?? [] {
            tell(waiter) { $0.landed(waiter.token, outcome) }
        }
    }

    /// Settles what a flow that ends still owes the cache and those who wait for it.
    func leaveCache(_ flow: FlowPointer) {
        if let ticket = unsafe flow.pointee.cache.ticket {
            switch unsafe flow.pointee.cache.role {
            case .follows:
                _ = shared.cache?.flights.leave(ticket)
            case .leads where unsafe flow.pointee.why.concernsCallerAlone: passOn(ticket)
            default:
                unsafe land(
                    flow,
                    .failed(
                        http: flow.pointee.grpcStatus >= 0
                            ? StatusTable.http(grpc: flow.pointee.grpcStatus) : flow.pointee.status,
                        grpc: flow.pointee.grpcStatus >= 0
                            ? flow.pointee.grpcStatus
                            : StatusTable.grpc(http: flow.pointee.status),
                        why: flow.pointee.why == .ok ? .backendError : flow.pointee.why,
                        sentence: "the equal call this one waited for failed"
                    )
                )
            }
        }
        // It may wait for another's call, or for Redis.
        if unsafe flow.pointee.cache.token > 0 {
            _ = unsafe waiting.remove(flow.pointee.cache.token)
        }
        if let batch = unsafe rows(of: flow) { release(batch) }
        unsafe flow.pointee.cache.spare?.release()
        unsafe flow.pointee.cache.question?.release()
        unsafe flow.pointee.cache.captured.release(to: buffers)
    }
}

extension Reason {
    /// Whether a call ended for a reason that doesn't concern others who wait for the same.
    fileprivate var concernsCallerAlone: Bool {
        switch self {
        case .clientGone, .timeout, .idleTimeout, .protocolError: true
        default: false
        }
    }
}
