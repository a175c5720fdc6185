private import Glibc
private import Synchronization

/// Where work goes that would hold a loop for too long.
package protocol Offloading: Sendable {
    /// Has `task` run on another thread; false when too much waits already, and then it won't run.
    ///
    /// What must run (it ends a request that a model has answered) runs however much waits: there is no more of
    /// it than requests.
    func submit(isRefusable: Bool, _ task: @escaping @Sendable () -> Void) -> Bool
}

/// A few threads that take long work from the loops, first come, first served.
///
/// A loop serves thousands of callers; a body of 64 MiB takes half a second to translate, in which none of them
/// would be heard. Cutting readers and writers of three protocols into steps that can be resumed would cost every
/// small body something, so the whole work moves and its result comes back as a message.
@safe
package final class OffloadPool: Offloading {
    /// Tasks that may wait before refusable ones are refused; each has a gathered body in memory.
    package static let waitingMaximum = 256

    private struct State {
        var tasks: [@Sendable () -> Void] = []
        /// How many of `tasks` have been taken already.
        var taken = 0
        var isStopped = false

        var waiting: Int { tasks.count - taken }

        mutating func take() -> (@Sendable () -> Void)? {
            guard waiting > 0 else { return nil }
            defer {
                taken += 1
                // What was taken goes in one step once it is the larger part.
                if taken > 64, taken > tasks.count / 2 {
                    tasks.removeFirst(taken)
                    taken = 0
                }
            }
            return tasks[taken]
        }
    }

    private let shared: Shared
    private let threads: [LoopThread]

    /// What the threads hold, so that they don't hold the pool.
    @safe
    private final class Shared: @unchecked Sendable {
        // Unchecked: the semaphore is made for several threads, the rest is behind the mutex.
        let state = Mutex(State())
        let semaphore = UnsafeMutablePointer<sem_t>.allocate(capacity: 1)

        init() { unsafe sem_init(semaphore, 0, 0) }

        deinit {
            unsafe sem_destroy(semaphore)
            unsafe semaphore.deallocate()
        }

        func run() {
            while true {
                // Interrupted by a signal it says so, and there is nothing to take.
                guard unsafe sem_wait(semaphore) == 0 else { continue }
                let (task, isStopped) = state.withLock { state in (state.take(), state.isStopped) }
                if let task { task() } else if isStopped { return }
            }
        }
    }

    /// Starts `threadCount` threads; they run on any core, unlike loops.
    package init(threadCount: Int) {
        precondition(threadCount > 0, "work that is handed over needs a thread")
        let shared = Shared()
        self.shared = shared
        threads = (0..<threadCount).map { _ in LoopThread.start(core: nil) { shared.run() } }
    }

    /// Has `task` run on one of the threads; see ``Offloading/submit(isRefusable:_:)``.
    package func submit(isRefusable: Bool, _ task: @escaping @Sendable () -> Void) -> Bool {
        let isTaken = shared.state.withLock { state in
            guard !state.isStopped, !isRefusable || state.waiting < OffloadPool.waitingMaximum
            else {
                return false
            }
            state.tasks.append(task)
            return true
        }
        if isTaken { unsafe sem_post(shared.semaphore) }
        return isTaken
    }

    /// Takes nothing more, and ends the threads when what they are at is done; only once.
    ///
    /// What hasn't begun is dropped: whoever waits for it is about to end.
    package func stop() {
        shared.state.withLock { state in
            precondition(!state.isStopped, "a pool is stopped once: its threads are gone")
            state.isStopped = true
            state.tasks = []
            state.taken = 0
        }
        for _ in threads { unsafe sem_post(shared.semaphore) }
        for thread in threads { thread.join() }
    }
}
