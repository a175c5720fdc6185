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

    private init(thread: LoopThread, handle: LoopHandle, loop: Confined<EventLoop>) {
        self.thread = thread
        self.handle = handle
        self.loop = loop
    }

    /// Starts the thread.
    package static func start() throws(KernelFailure) -> ControlLoop {
        let kernel = Confined(try LinuxKernel())
        let made = Answer<(Confined<EventLoop>, LoopHandle)>()
        let thread = LoopThread.start(core: nil) {
            let loop = EventLoop(kernel: kernel.value)
            made.put((Confined(loop), loop.handle))
            loop.run(name: "control")
        }
        let (loop, handle) = made.wait()
        return ControlLoop(thread: thread, handle: handle, loop: loop)
    }

    /// Runs `task` on the loop and waits for its result; never call it on the loop itself.
    @discardableResult
    package func run<Value: Sendable>(_ task: @escaping @Sendable (EventLoop) -> Value) -> Value {
        let answer = Answer<Value>()
        let loop = loop
        handle.submit { answer.put(task(loop.value)) }
        return answer.wait()
    }

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

    /// Ends the thread.
    package func stop() {
        let loop = loop
        handle.submit { loop.value.stop() }
        thread.join()
    }
}

/// A value that the loop makes and another thread waits for.
private final class Answer<Value: Sendable>: Sendable {
    private let place = Mutex<Value?>(nil)

    func put(_ value: Value) { place.withLock { $0 = value } }

    func wait() -> Value {
        while true {
            if let value = place.withLock({ $0 }) { return value }
            usleep(200)
        }
    }
}
