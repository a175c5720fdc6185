import SluiceCore
import SluiceIO
import Synchronization
import Testing

@Suite("One thread's reactor")
struct EventLoopTests {
    private final class Target: TimerTarget {
        private(set) var fired: [UInt] = []
        var onFire: (UInt) -> Void = { _ in }
        func timerFired(_ tag: UInt, at now: Instant) {
            fired.append(tag)
            onFire(tag)
        }
    }

    private final class Watcher: ReadinessHandler {
        private(set) var count = 0
        var onReady: () -> Void = {}
        func ready(_ readiness: Readiness) {
            count += 1
            onReady()
        }
    }

    private let kernel = ScriptedKernel()
    private let loop: EventLoop

    init() { loop = EventLoop(kernel: kernel) }

    private func pass(_ milliseconds: Int64) {
        kernel.time = kernel.time.advanced(byNanoseconds: milliseconds * 1_000_000)
        loop.tick(until: nil)
    }

    // MARK: - Timers

    @Test("A timer fires in the tick that finds it due, once, and counts as set until then")
    func firesOnce() {
        let target = Target()
        _ = loop.setTimer(after: .milliseconds(50), target: target, tag: 7)
        #expect(loop.timerCount == 1)
        pass(49)
        #expect(target.fired == [])
        pass(20)
        #expect(target.fired == [7] && loop.timerCount == 0)
        pass(1_000)
        #expect(target.fired == [7])
    }

    @Test("The wait lasts to the next timer, or to the limit where that is earlier")
    func waits() throws {
        let target = Target()
        loop.tick(until: nil)
        #expect(kernel.lastDeadline == nil)
        let due = kernel.time + .milliseconds(500)
        _ = loop.setTimer(at: due, target: target, tag: 1)
        loop.tick(until: nil)
        let deadline = try #require(kernel.lastDeadline)
        #expect(deadline >= due && deadline <= due + TimerWheel.resolution)
        let limit = kernel.time + .milliseconds(10)
        loop.tick(until: limit)
        #expect(kernel.lastDeadline == limit)
    }

    @Test("A timer that is cancelled by another one in the same tick doesn't fire")
    func cancelledByNeighbour() {
        let target = Target()
        var ids: [TimerID] = []
        for tag in 0..<2 {
            ids.append(loop.setTimer(after: .milliseconds(5), target: target, tag: UInt(tag)))
        }
        // Whichever comes first cancels the other.
        target.onFire = { [loop] tag in loop.cancelTimer(&ids[1 - Int(tag)]) }
        pass(100)
        #expect(target.fired.count == 1 && loop.timerCount == 0)
        #expect(ids.contains(.none))
    }

    @Test("A timer's name that is spent cancels no later timer, even where that has its place")
    func spentName() {
        let target = Target()
        var old = loop.setTimer(after: .milliseconds(5), target: target, tag: 1)
        pass(100)
        _ = loop.setTimer(after: .milliseconds(5), target: target, tag: 2)
        loop.cancelTimer(&old)
        #expect(old == .none && loop.timerCount == 1)
        loop.cancelTimer(&old)
        pass(100)
        #expect(target.fired == [1, 2])
    }

    @Test("A timer that is set anew each time it fires holds no tick for ever")
    func selfSetting() {
        let target = Target()
        target.onFire = { [loop] tag in
            _ = loop.setTimer(at: loop.now, target: target, tag: tag + 1)
        }
        _ = loop.setTimer(at: loop.now, target: target, tag: 0)
        for _ in 0..<5 { pass(20) }
        #expect(target.fired == [0, 1, 2, 3, 4])
    }

    // MARK: - Messages

    @Test("Tasks of other threads run in their order, before timers and descriptors")
    func order() {
        let log = Shared()
        let target = Target()
        let watcher = Watcher()
        target.onFire = { _ in log.note("timer") }
        watcher.onReady = { log.note("ready") }
        _ = loop.register(watcher, descriptor: 9, for: .read)
        _ = loop.setTimer(after: .milliseconds(1), target: target, tag: 1)
        loop.endOfTick = { log.note("end") }
        kernel.report(9, readable: true)
        loop.handle.submit { log.note("first") }
        loop.handle.submit { log.note("second") }
        pass(100)
        #expect(log.all == ["first", "second", "timer", "ready", "end"])
    }

    @Test("A task that a task sends runs in the next tick, so that one loop can't starve itself")
    func nested() {
        let shared = Shared()
        let handle = loop.handle
        handle.submit {
            shared.note("outer")
            handle.submit { shared.note("inner") }
        }
        loop.tick(until: nil)
        #expect(shared.all == ["outer"])
        loop.tick(until: nil)
        #expect(shared.all == ["outer", "inner"])
    }

    // MARK: - Descriptors

    @Test(
        "An event of a descriptor that went earlier in the batch reaches neither it nor its successor"
    )
    func staleEvent() {
        let (first, second, third) = (Watcher(), Watcher(), Watcher())
        let one = loop.register(first, descriptor: 11, for: .read)
        let two = loop.register(second, descriptor: 12, for: .read)
        kernel.report(11, readable: true)
        kernel.report(12, readable: true)
        first.onReady = { [loop] in
            loop.unregister(two, descriptor: 12)
            // The kernel gives the lowest free number again, and the loop its free slot.
            _ = loop.register(third, descriptor: 12, for: .read)
        }
        loop.tick(until: nil)
        #expect(first.count == 1 && second.count == 0 && third.count == 0)
        #expect(kernel.tokens[12] != two && loop.descriptorCount == 2)
        kernel.report(12, readable: true)
        loop.tick(until: nil)
        #expect(third.count == 1)
        loop.unregister(one, descriptor: 11)
        #expect(loop.descriptorCount == 1 && kernel.watched[11] == nil)
    }

    @Test("A handler lives until the end of the tick in which it was let go")
    func departed() {
        weak var weakly: Watcher?
        var token: UInt64 = 0
        do {
            let watcher = Watcher()
            weakly = watcher
            token = loop.register(watcher, descriptor: 11, for: .read)
        }
        #expect(weakly != nil)
        loop.unregister(token, descriptor: 11)
        #expect(weakly != nil)
        loop.tick(until: nil)
        #expect(weakly == nil)
    }

    /// What tasks of other threads write to.
    private final class Shared: Sendable {
        private let log = Mutex<[String]>([])
        func note(_ text: String) { log.withLock { $0.append(text) } }
        var all: [String] { log.withLock { $0 } }
    }
}
