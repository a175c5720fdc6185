import SluiceBalancing
import SluiceCore
import SluiceIO

/// One request that may be sent to further backends, from its first sending to its answer's head.
///
/// The original's request holds it; a copy's request names it, and is over before the original is.
@safe
final class HedgedCall: TimerTarget {
    private unowned let worker: Worker
    let policy: HedgePolicy
    /// The caller's request.
    let original: Request
    /// The copies under way, oldest first.
    var copies: [Request] = unsafe []
    /// Attempts so far, the original's own among them.
    var attempts = 1
    private var timer = TimerID.none

    init(_ worker: Worker, _ original: Request, _ policy: HedgePolicy) {
        self.worker = worker
        self.policy = policy
        unsafe self.original = original
    }

    /// Whether another copy may follow.
    var hasMore: Bool { attempts < policy.maxAttempts }

    /// Looks again after the delay.
    func wait() {
        worker.loop.cancelTimer(&timer)
        timer = worker.loop.setTimer(after: policy.delay, target: self, tag: 0)
    }

    /// Looks no more.
    func stop() { worker.loop.cancelTimer(&timer) }

    func timerFired(_ tag: UInt, at now: Instant) {
        timer = .none
        worker.hedgeIsDue(self)
    }
}
