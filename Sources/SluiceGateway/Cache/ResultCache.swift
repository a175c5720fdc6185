package import SluiceCache
import SluiceCore
import Synchronization
import SluiceIO

/// What all workers share of the result cache: tier 1, the calls in flight, and each other.
package final class ResultCache: Sendable {
    let memory: MemoryCache
    let flights = FlightTable()
    private let colleagues = Mutex<[Colleague]>([])

    /// A worker as the others see it.
    struct Colleague: Sendable {
        let worker: Confined<Worker>
        let loop: LoopHandle
    }

    /// An empty cache of at most `maxBytes`, for answers of at most `maxEntryBytes`.
    package init(maxBytes: Int, maxEntryBytes: Int, seed: UInt64) {
        memory = MemoryCache(
            maximumBytes: maxBytes,
            maximumEntryBytes: maxEntryBytes,
            seed: seed
        )
    }

    /// Bytes in tier 1, its books included.
    package var memoryBytes: Int { memory.statistics.bytes }

    /// Forgets what `scope` means; returns how many answers that were.
    ///
    /// Calls under way for it are finished for those who wait, and kept from whoever comes now.
    package func purge(_ scope: CacheScope) -> Int {
        let count = memory.purge(scope)
        flights.close(scope)
        return count
    }

    /// Makes the workers known to each other; before the first request.
    func introduce(_ all: [Colleague]) { colleagues.withLock { $0 = all } }

    /// Runs `task` on that worker's own thread.
    func tell(_ worker: Int, _ task: @escaping @Sendable (Worker) -> Void) {
        let colleague = colleagues.withLock { $0.indices.contains(worker) ? $0[worker] : nil }
        guard let colleague else { return }
        colleague.loop.submit { task(colleague.worker.value) }
    }
}

/// How a call ended that others waited for.
enum FlightOutcome: Sendable {
    /// Here is the answer, kept or not.
    case answered(CacheEntry)
    /// The call failed for everybody.
    case failed(http: Int, grpc: Int, sentence: String)
    /// The answer can't be shared; each makes its own call.
    case unshared
}
