package import SluiceCore
package import SluiceIO
private import Synchronization

/// How workers, and what they share, reach each other's threads.
///
/// A task posted to a worker runs on its own thread in one of its next ticks; tasks of one poster run in
/// the order in which they were posted.
package final class WorkerMailboxes: Sendable {
    private struct Mailbox: Sendable {
        let worker: Confined<Worker>
        let loop: LoopHandle
    }

    private let mailboxes = Mutex<[Mailbox]>([])

    /// Mailboxes of no worker yet.
    package init() {}

    /// Makes the workers known to each other, by their number; before the first request.
    package func register(_ workers: [(worker: Confined<Worker>, loop: LoopHandle)]) {
        let all = workers.map { Mailbox(worker: $0.worker, loop: $0.loop) }
        mailboxes.withLock { $0 = all }
    }

    /// How many workers there are.
    var count: Int { mailboxes.withLock { $0.count } }

    /// Runs `task` on that worker's own thread, soon; false when there is no such worker.
    @discardableResult
    func post(to worker: Int, _ task: @escaping @Sendable (Worker) -> Void) -> Bool {
        let mailbox = mailboxes.withLock { $0.indices.contains(worker) ? $0[worker] : nil }
        guard let mailbox else { return false }
        mailbox.loop.submit { task(mailbox.worker.value) }
        return true
    }

    /// Runs `task` on every worker's own thread, soon.
    func postToAll(_ task: @escaping @Sendable (Worker) -> Void) {
        for mailbox in mailboxes.withLock({ $0 }) {
            mailbox.loop.submit { task(mailbox.worker.value) }
        }
    }
}
