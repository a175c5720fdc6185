private import Glibc
import SluiceCore
package import SluiceIO
package import SluiceTelemetry
private import Synchronization

/// The loop of everything that isn't the data plane, on a thread of its own.
package final class ControlLoop: Sendable {
    private let thread: LoopThread
    private let handle: LoopHandle
    private let loop: Confined<EventLoop>
    private let shard = Mutex<MetricShard?>(nil)
    private let repeated: RepeatedTasks

    private init(
        thread: LoopThread,
        handle: LoopHandle,
        loop: Confined<EventLoop>,
        repeated: RepeatedTasks
    ) {
        self.thread = thread
        self.handle = handle
        self.loop = loop
        self.repeated = repeated
    }

    /// Starts the thread.
    package static func start(name: String) throws(KernelFailure) -> ControlLoop {
        let kernel = Confined(try LinuxKernel())
        let made = Answer<(Confined<EventLoop>, LoopHandle)>()
        let repeated = RepeatedTasks()
        let thread = LoopThread.start(core: nil) {
            let loop = EventLoop(kernel: kernel.value)
            made.put((Confined(loop), loop.handle))
            // Timers don't hold what they call, and the thread may outlive the control loop's owner.
            withExtendedLifetime(repeated) { loop.run(name: name) }
        }
        let (loop, handle) = made.wait()
        return ControlLoop(thread: thread, handle: handle, loop: loop, repeated: repeated)
    }

    /// Runs `task` on the loop and waits for its result; never call it on the loop itself.
    @discardableResult
    package func run<Value: Sendable>(_ task: @escaping @Sendable (EventLoop) -> Value) -> Value {
        let answer = Answer<Value>()
        let loop = loop
        handle.submit { answer.put(task(loop.value)) }
        return answer.wait()
    }

    /// Runs `task` on the loop, soon.
    package func submit(_ task: @escaping @Sendable () -> Void) { handle.submit(task) }

    /// Runs `task` on the loop every `interval`, for as long as the loop runs.
    package func repeatedly(every interval: Duration, _ task: @escaping @Sendable () -> Void) {
        let loop = loop
        let repeated = repeated
        handle.submit {
            let made = RepeatedTask(loop.value, interval, task)
            made.arm()
            repeated.keep(made)
        }
    }

    /// The time of day.
    package var wallTime: WallTime { WallTime(nanoseconds: Machine.wallClock()) }

    /// Adds one to a counter; the control plane's own shard is made on first use.
    package func count(_ counter: CounterID, in store: MetricStore) {
        shard.withLock { shard in
            let used = shard ?? store.makeShard()
            shard = used
            used.add(counter)
        }
    }

    /// Lets the calling thread sleep, for waits that people watch.
    package func pause(_ duration: Duration) {
        usleep(UInt32(clamping: duration.nanoseconds / 1000))
    }

    /// Ends the thread, and waits for it unless it may hang in a call of its own.
    package func stop(isWaiting: Bool = true) {
        let loop = loop
        handle.submit { loop.value.stop() }
        if isWaiting { thread.join() } else { thread.detach() }
    }
}

/// What a loop calls again and again, for as long as its thread runs.
private final class RepeatedTasks: Sendable {
    private let tasks = Mutex<[Confined<RepeatedTask>]>([])

    func keep(_ task: RepeatedTask) {
        let kept = Confined(task)
        tasks.withLock { $0.append(kept) }
    }
}

/// A task and its timer.
private final class RepeatedTask: TimerTarget {
    private let loop: EventLoop
    private let interval: Duration
    private let task: @Sendable () -> Void

    init(_ loop: EventLoop, _ interval: Duration, _ task: @escaping @Sendable () -> Void) {
        self.loop = loop
        self.interval = interval
        self.task = task
    }

    func arm() { _ = loop.setTimer(after: interval, target: self, tag: 0) }

    func timerFired(_ tag: UInt, at now: Instant) {
        task()
        arm()
    }
}

/// A value that the loop makes and another thread waits for.
final class Answer<Value: Sendable>: Sendable {
    private let place = Mutex<Value?>(nil)

    func put(_ value: Value) { place.withLock { $0 = value } }

    func wait() -> Value {
        while true {
            if let value = place.withLock({ $0 }) { return value }
            usleep(200)
        }
    }
}
