import SluiceCache
import SluiceCore
import SluiceGRPC
import SluiceIO

// Equal calls under way: one request leads and calls the backend, the others wait for what it gets.
extension Worker {
    /// The request that waits under `token`; it waits no more.
    func takeWaiting(_ token: UInt64) -> Request? {
        unsafe waiting.remove(token)?.assumingMemoryBound(to: RequestRecord.self)
    }

    /// A coalesced call this worker's request waited for has completed.
    func completed(_ token: UInt64, _ outcome: CoalescingOutcome) {
        guard let request = unsafe takeWaiting(token) else { return }
        unsafe request.lookup.pointee.ticket = nil
        unsafe armDeadline(request)
        switch outcome {
        case .answered(let entry):
            unsafe serve(request, entry, "sluice; fwd=miss; collapsed", detail: "memory")
        case .failed(let http, let grpc, let reason, let sentence):
            unsafe replyWithError(
                request,
                .shared(
                    http: http,
                    grpc: GRPCStatus(rawValue: grpc) ?? .unknown,
                    reason: reason,
                    sentence
                )
            )
        case .unshared:
            unsafe request.pointee.cacheRole = .uncoalesced
            unsafe ask(request)
        }
    }

    /// The leader left for reasons of its own; this worker's request makes the call.
    func promote(_ token: UInt64, _ ticket: CoalescingTicket) {
        guard let request = unsafe takeWaiting(token) else {
            passOn(ticket)
            return
        }
        unsafe armDeadline(request)
        unsafe lead(request, ticket)
    }

    // MARK: - Patience

    /// Lets a follower look again when half of the time it has left is over: the call it waits for may
    /// never end, and there must be time for another.
    func armRefetch(_ request: Request) {
        guard unsafe request.pointee.timeout > 0 else { return }
        let left = unsafe deadline(of: request).nanoseconds(since: loop.now)
        unsafe lookAgain(request, at: loop.now.advanced(byNanoseconds: left / 2))
    }

    /// A follower's timer has fired: it waits on, or makes a call of its own; false when its time is
    /// over.
    ///
    /// It makes one when the last call for its request has taken half of the time a request has, so
    /// that calls which are merely slow stay the only ones.
    func looksAgain(_ request: Request) -> Bool {
        guard unsafe loop.now < deadline(of: request), let calls = shared.cache?.calls,
            let ticket = unsafe request.lookup.pointee.ticket
        else { return false }
        let refetch = unsafe request.pointee.timeout / 2
        switch calls.refetch(ticket, at: loop.now, refetch: refetch) {
        case .wait(let time): unsafe lookAgain(request, at: time)
        case .lead:
            _ = unsafe takeWaiting(request.lookup.pointee.token)
            unsafe count(request, .refetched)
            unsafe armDeadline(request)
            unsafe lead(request, ticket)
        }
        return true
    }

    private func lookAgain(_ request: Request, at time: Instant) {
        unsafe setTimer(request, .refetch, at: time)
    }

    private func deadline(of request: Request) -> Instant {
        unsafe request.pointee.started.advanced(byNanoseconds: request.pointee.timeout)
    }

    // MARK: - The end of a call

    /// Leaves the call that a request leads to one of those who wait for it: its failure concerns its caller alone.
    func passOnCall(of request: Request) {
        guard unsafe request.pointee.cacheRole == .leads,
            let ticket = unsafe request.lookup.pointee.ticket
        else { return }
        unsafe request.lookup.pointee.ticket = nil
        passOn(ticket)
    }

    func passOn(_ ticket: CoalescingTicket) {
        guard let next = shared.cache?.calls.handOver(ticket, at: loop.now) else { return }
        post(next.leader) { $0.promote(next.leader.token, next.ticket) }
    }

    func post(_ waiter: CoalescingWaiter, _ task: @escaping @Sendable (Worker) -> Void) {
        if waiter.worker == number {
            task(self)
        } else {
            shared.mailboxes.post(to: waiter.worker, task)
        }
    }

    func complete(_ request: Request, _ outcome: CoalescingOutcome) {
        guard let lookup = unsafe request.existing(LookupState.self),
            let ticket = unsafe lookup.pointee.ticket
        else { return }
        unsafe lookup.pointee.ticket = nil
        complete(ticket, outcome)
    }

    func complete(_ ticket: CoalescingTicket, _ outcome: CoalescingOutcome) {
        let waiters = unsafe cache?._withUnsafeGuaranteedRef { cache in
            if case .failed = outcome { return cache.calls.fail(ticket) }
            return cache.calls.complete(ticket)
        }
        for waiter in waiters ?? [] {
            post(waiter) { $0.completed(waiter.token, outcome) }
        }
    }
}
