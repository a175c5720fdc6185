import SluiceBalancing
import SluiceCore
import SluiceIO
import SluiceTelemetry

// Backends with a limit: a place first, or a wait in the queue for one (see ``RevisionQueue``).
extension Worker {
    /// Takes a place at a backend, or joins the queue.
    func admit(
        _ request: Request,
        _ revision: WorkerRevision,
        _ model: WorkerModel,
        _ candidates: RevisionQueue.Candidates,
        eligible: BackendSet,
        _ chunk: UnsafeRawBufferPointer
    ) {
        let queue = revision.balance.board.queue
        // Who comes now may not overtake those who wait.
        if queue.depth == 0 {
            // Another worker may take the place between the look and the grasp.
            for _ in 0..<8 {
                guard let picked = unsafe pick(request, revision, eligible, hasRoom: true) else {
                    break
                }
                let limit = revision.balance.concurrency
                if let limit, !limit.tryEnter() { break }
                guard revision.loads[picked].tryEnter() else {
                    limit?.leave()
                    continue
                }
                unsafe go(request, revision, picked, chunk)
                return
            }
        }
        guard unsafe pick(request, revision, eligible, hasRoom: false) != nil else {
            unsafe replyUnserved(request, revision, model)
            return
        }
        nextToken += 1
        let waiter = unsafe RevisionQueue.Waiter(
            worker: number,
            token: nextToken,
            candidates: candidates,
            eligible: eligible,
            excluded: tried(request),
            key: hashKey(of: request, revision)
        )
        guard let ticket = queue.join(waiter, maximum: revision.balance.maxQueue) else {
            shard.add(revision.metrics.rejected(reason: "queue_full"))
            unsafe replyWithError(request, .queueFull(revision.balance.maxQueue))
            return
        }
        unsafe request.queueTicket.pointee.join(ticket, token: nextToken, at: loop.now)
        unsafe request.pointee.stage = .connecting
        unsafe request.pointee.body.buffered.append(chunk, pool: buffers)
        unsafe queues.queued[nextToken] = request
        unsafe armQueueDeadline(request, revision)
        serve(queue)
        armLineTimer()
    }

    private func armQueueDeadline(_ request: Request, _ revision: WorkerRevision) {
        unsafe setTimer(
            request,
            .place,
            at: loop.now.advanced(byNanoseconds: revision.balance.queueTimeout)
        )
    }

    /// The request has waited for as long as it may.
    func queueTimedOut(_ request: Request) {
        let isLate = unsafe isPastDeadline(request)
        unsafe request.pointee.revision?._withUnsafeGuaranteedRef {
            shard.add($0.metrics.rejected(reason: "queue_timeout"))
            if !isLate {
                unsafe replyWithError(request, .queueTimeout(.nanoseconds($0.balance.queueTimeout)))
            }
        }
        if isLate {
            unsafe replyWithError(request, .deadline(.nanoseconds(request.pointee.timeout)))
        }
    }

    /// Takes a request out of line.
    func leaveQueue(_ request: Request) {
        guard let ticket = unsafe request.queueTicket.pointee.ticket else { return }
        unsafe queues.queued[request.queueTicket.pointee.token] = nil
        unsafe request.pointee.revision?._withUnsafeGuaranteedRef {
            // A place that was granted already is given back when the grant arrives.
            $0.balance.board.queue.leave(ticket)
            unsafe endWait(request, $0)
        }
    }

    private func endWait(_ request: Request, _ revision: WorkerRevision) {
        shard.observe(
            revision.metrics.queueSeconds,
            nanoseconds: unsafe request.queueTicket.pointee.leave(at: loop.now)
        )
    }

    // MARK: - Places

    /// A place falls free; those who wait hear of it at the tick's end.
    func giveBack(_ load: BackendLoad, _ limit: ConcurrencyLimit?, _ queue: RevisionQueue) {
        queues.departures.append((load, limit, queue))
        watchTickEnd()
    }

    private func serve(_ queue: RevisionQueue) {
        for grant in queue.serve(at: loop.now, random: &random) {
            if grant.worker == number {
                queues.grants.append((grant, queue))
                watchTickEnd()
            } else {
                shared.mailboxes.post(to: grant.worker) { $0.granted(grant, queue) }
            }
        }
    }

    /// Gives places back and uses those that were granted.
    ///
    /// At the tick's end resets have been written, and HTTP/1.1 connections are free again.
    func settleQueues() {
        while !queues.departures.isEmpty || !queues.grants.isEmpty {
            let departures = queues.departures
            queues.departures.removeAll(keepingCapacity: true)
            for (load, limit, _) in departures {
                load.leaveLimited()
                limit?.leave()
            }
            for (_, _, queue) in departures where queue.depth > 0 { serve(queue) }
            let grants = queues.grants
            queues.grants.removeAll(keepingCapacity: true)
            for (grant, queue) in grants { granted(grant, queue) }
        }
    }

    /// A place was taken for a request of this worker.
    private func granted(_ grant: RevisionQueue.Grant, _ queue: RevisionQueue) {
        guard let request = unsafe queues.queued.removeValue(forKey: grant.token),
            let revision = unsafe request.pointee.revision?._withUnsafeGuaranteedRef({ $0 }),
            let picked = revision.loads.firstIndex(of: grant.backend)
        else {
            // It left while the grant was on its way; no backend has seen it.
            giveBack(grant.backend, grant.concurrency, queue)
            return
        }
        unsafe endWait(request, revision)
        unsafe armDeadline(request)
        unsafe go(request, revision, picked)
    }

    /// Looks for free places without having been told of any.
    func lookAgain() {
        var seen: [RevisionQueue] = []
        for unsafe(_, request) in unsafe queues.queued.sorted(by: { unsafe $0.key < $1.key }) {
            guard
                let queue = unsafe request.pointee.revision?._withUnsafeGuaranteedRef({
                    $0.balance.board.queue
                }), !seen.contains(where: { $0 === queue })
            else { continue }
            seen.append(queue)
            serve(queue)
        }
        armLineTimer()
    }
}
