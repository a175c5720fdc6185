import Foundation
import SluiceIO
import Synchronization
import Testing

@Suite("Threads that take long work from the loops", .timeLimit(.minutes(1)))
struct OffloadPoolTests {
    /// What tasks wrote down, and a gate that holds them.
    private final class Log: Sendable {
        private let numbers = Mutex<[Int]>([])
        let gate = DispatchSemaphore(value: 0)
        let begun = DispatchSemaphore(value: 0)
        let done = DispatchSemaphore(value: 0)

        func note(_ number: Int) {
            numbers.withLock { $0.append(number) }
            done.signal()
        }
        var all: [Int] { numbers.withLock { $0 } }
    }

    @Test("One thread does all in the order in which it came, long lists as well")
    func order() {
        let pool = OffloadPool(threadCount: 1)
        let log = Log()
        for number in 0..<200 { #expect(pool.submit(isRefusable: false) { log.note(number) }) }
        for _ in 0..<200 { log.done.wait() }
        pool.stop()
        #expect(log.all == Array(0..<200))
    }

    @Test("What may be refused is refused at 256 waiting tasks; what must run waits behind them")
    func bound() {
        let pool = OffloadPool(threadCount: 1)
        let log = Log()
        _ = pool.submit(isRefusable: true) {
            log.begun.signal()
            log.gate.wait()
        }
        log.begun.wait()
        let accepted = (0..<300).count { number in
            pool.submit(isRefusable: true) { log.note(number) }
        }
        #expect(accepted == OffloadPool.waitingMaximum)
        #expect(pool.submit(isRefusable: false) { log.note(1_000) })
        log.gate.signal()
        for _ in 0...accepted { log.done.wait() }
        #expect(log.all == Array(0..<accepted) + [1_000])
        #expect(pool.submit(isRefusable: true) { log.note(2_000) })
        log.done.wait()
        pool.stop()
    }

    @Test("A stopped pool takes nothing, and has dropped what hadn't begun")
    func stopped() {
        let pool = OffloadPool(threadCount: 1)
        let log = Log()
        _ = pool.submit(isRefusable: false) {
            log.begun.signal()
            log.gate.wait()
        }
        log.begun.wait()
        _ = pool.submit(isRefusable: false) { log.note(1) }
        // Stopping waits for what is under way, which therefore has to end by itself.
        let stopping = Thread {
            pool.stop(); log.done.signal()
        }
        stopping.start()
        while pool.submit(isRefusable: false, { log.note(2) }) { sched_yield() }
        log.gate.signal()
        log.done.wait()
        #expect(!log.all.contains(1) && !pool.submit(isRefusable: false) { log.note(3) })
    }
}
