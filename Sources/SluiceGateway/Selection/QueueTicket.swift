import SluiceBalancing
import SluiceCore
import SluiceIO

/// Where a request waits for a backend with a limit; begun in its ``RequestSlot``.
struct QueueTicket: BitwiseCopyable {
    /// Nil while it doesn't wait.
    private(set) var ticket: RevisionQueue.Ticket?
    /// What this worker knows it by.
    private(set) var token: UInt64 = 0
    private var since = Instant.zero

    /// It begins to wait, for the first time or once more.
    mutating func join(_ ticket: RevisionQueue.Ticket, token: UInt64, at now: Instant) {
        self.ticket = ticket
        self.token = token
        since = now
    }

    /// It waits no longer; for how many nanoseconds it has.
    mutating func leave(at now: Instant) -> Int64 {
        ticket = nil
        return now.nanoseconds(since: since)
    }
}

/// What one worker keeps of requests that look for a backend: its part of the lines that its revisions
/// share with other workers, and what they have tried.
@safe
struct WorkerQueues {
    /// Requests of this worker that wait in the queue, by their token.
    var queued: [UInt64: Request] = unsafe [:]
    /// Places granted to them, to be used at the tick's end.
    var grants: [(grant: RevisionQueue.Grant, queue: RevisionQueue)] = []
    /// Places that fall free at the tick's end, when the backends have been told of resets.
    var departures: [(load: BackendLoad, limit: ConcurrencyLimit?, queue: RevisionQueue)] = []
    /// Looks again now and then: a backend may have come up, or a limit been raised.
    var timer = TimerID.none
    /// Of revisions of more than 64 backends.
    var tried = TriedSets()
}
