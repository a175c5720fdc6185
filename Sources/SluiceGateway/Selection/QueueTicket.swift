import SluiceBalancing
import SluiceCore
import SluiceIO

/// Where a request waits for a backend with a limit; begun in its ``RequestSlot``.
struct QueueTicket: BitwiseCopyable {
    /// Nil while it doesn't wait.
    var ticket: RevisionQueue.Ticket?
    /// What this worker knows it by.
    var token: UInt64 = 0
    var since = Instant.zero
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
