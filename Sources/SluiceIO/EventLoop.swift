private import CLinux
package import SluiceCore

/// Whoever owns a watched descriptor.
package protocol ReadinessHandler: AnyObject {
    /// The descriptor became ready in one of these ways.
    func ready(_ readiness: Readiness)
}

/// What other threads hold of a loop.
package struct LoopHandle: Sendable {
    fileprivate let mailbox: Mailbox<@Sendable () -> Void>
    fileprivate let waker: any LoopWaker

    /// Runs `task` on the loop soon.
    ///
    /// A mailbox with 65,536 waiting tasks belongs to a loop that has stopped, which is our bug.
    package func submit(_ task: @escaping @Sendable () -> Void) {
        let isPosted = mailbox.post(task)
        precondition(isPosted, "a loop's mailbox is full: the loop has stopped")
        waker.wake()
    }
}

/// One thread's reactor.
///
/// A tick: messages from other loops, due timers, ready descriptors, then one write for each
/// connection that has something to say. Work that arrives together leaves together.
@safe
package final class EventLoop {
    /// The outside.
    package let kernel: any Kernel
    /// Memory for everything that belongs to this loop.
    package let buffers: BufferPool
    /// The time at which this tick began.
    package private(set) var now: Instant
    /// Where sockets are read into; valid within one callback.
    let readMemory: UnsafeMutableRawBufferPointer
    /// Where TLS decrypts to; valid within one callback.
    let plainMemory: UnsafeMutableRawBufferPointer
    /// Interrupts this loop's wait, from any thread.
    package let waker: any LoopWaker

    private let mailbox = Mailbox<@Sendable () -> Void>()
    private var timers: TimerWheel
    private var handlers: [(any ReadinessHandler)?] = []
    private var generations: [UInt32] = []
    private var freeSlots: [Int] = []
    private var departed: [AnyObject] = []
    private var dirty: [TCPStream] = []
    private var isRunning = false
    private let events: UnsafeMutableBufferPointer<Readiness>
    /// Called once in every tick after the last write; for work that should stay off the path.
    package var endOfTick: (() -> Void)?

    /// Bytes of one read; large enough that big tensors need few calls.
    static let readSize = 256 << 10

    /// A loop over `kernel`.
    package init(kernel: any Kernel) {
        self.kernel = kernel
        buffers = BufferPool()
        now = kernel.now()
        waker = kernel.waker
        timers = TimerWheel(now: now)
        unsafe readMemory = .allocate(byteCount: EventLoop.readSize, alignment: 64)
        unsafe plainMemory = .allocate(byteCount: EventLoop.readSize, alignment: 64)
        unsafe events = .allocate(capacity: 512)
    }

    deinit {
        unsafe readMemory.deallocate()
        unsafe plainMemory.deallocate()
        unsafe events.deallocate()
    }

    // MARK: - Running

    /// Runs until ``stop()``; names the thread so that `top -H` tells loops apart.
    package func run(name: String) {
        unsafe clinux_name_thread(name)
        isRunning = true
        while isRunning { tick(until: nil) }
    }

    /// Ends ``run(name:)`` after the current tick; call it on the loop.
    package func stop() { isRunning = false }

    /// When ``tick(until:)`` has something to do even if nothing happens; nil is never.
    package var nextDeadline: Instant? { dirty.isEmpty ? timers.nextDeadline : now }

    /// Waits until something happens or `limit`, and does all that is due.
    package func tick(until limit: Instant?) {
        var deadline = nextDeadline
        if let limit { deadline = min(limit, deadline ?? limit) }
        let count = unsafe kernel.wait(into: events, until: deadline)
        now = kernel.now()
        for task in mailbox.takeAll() { task() }
        while let (target, tag) = timers.popDue(at: now) { target.timerFired(tag, at: now) }
        for index in 0..<count { unsafe dispatch(events[index]) }
        flush()
        endOfTick?()
        // Only now may those go away whose own calls may have been on the stack.
        departed.removeAll(keepingCapacity: true)
    }

    private func dispatch(_ readiness: Readiness) {
        let slot = Int(readiness.token & 0xFFFF_FFFF)
        // An event of a descriptor that was closed earlier in this batch is stale.
        guard slot < handlers.count, generations[slot] == UInt32(readiness.token >> 32) else {
            return
        }
        handlers[slot]?.ready(readiness)
    }

    /// Streams that were written to in this tick write now; writing may make others dirty.
    private func flush() {
        var index = 0
        while index < dirty.count {
            dirty[index].flush()
            index += 1
        }
        dirty.removeAll(keepingCapacity: true)
    }

    func markDirty(_ stream: TCPStream) { dirty.append(stream) }

    // MARK: - Messages

    /// What other threads may hold of this loop.
    package var handle: LoopHandle { LoopHandle(mailbox: mailbox, waker: waker) }

    // MARK: - Timers

    /// Sets a timer `delay` from now; the target must cancel it before it goes away.
    package func setTimer(after delay: Duration, target: any TimerTarget, tag: UInt) -> TimerID {
        timers.set(at: now + delay, target: target, tag: tag)
    }

    /// Sets a timer at `deadline`; the target must cancel it before it goes away.
    package func setTimer(at deadline: Instant, target: any TimerTarget, tag: UInt) -> TimerID {
        timers.set(at: deadline, target: target, tag: tag)
    }

    /// Cancels a timer and forgets its name.
    package func cancelTimer(_ timer: inout TimerID) {
        timers.cancel(timer)
        timer = .none
    }

    /// How many timers are set; zero when all is quiet.
    package var timerCount: Int { timers.count }

    // MARK: - Descriptors

    /// Watches a descriptor for `handler`, which the loop keeps alive until ``unregister(_:descriptor:)``.
    package func register(
        _ handler: any ReadinessHandler,
        descriptor: Int32,
        for interest: Interest
    ) -> UInt64 {
        let slot: Int
        if let free = freeSlots.popLast() {
            slot = free
            handlers[slot] = handler
        } else {
            slot = handlers.count
            handlers.append(handler)
            generations.append(0)
        }
        let token = UInt64(generations[slot]) << 32 | UInt64(slot)
        kernel.watch(descriptor, for: interest, token: token)
        return token
    }

    /// Stops watching; the handler lives until the tick's end.
    ///
    /// Once for each token: its slot may be another descriptor's by then.
    package func unregister(_ token: UInt64, descriptor: Int32) {
        let slot = Int(token & 0xFFFF_FFFF)
        guard slot < handlers.count, generations[slot] == UInt32(token >> 32),
            let handler = handlers[slot]
        else { preconditionFailure("a descriptor is unregistered once") }
        kernel.unwatch(descriptor)
        departed.append(handler)
        handlers[slot] = nil
        generations[slot] &+= 1
        freeSlots.append(slot)
    }

    /// Keeps an object alive until the tick's end, because its own call may be on the stack.
    func keepUntilTickEnds(_ object: AnyObject) { departed.append(object) }

    /// How many descriptors are watched; zero when all is quiet.
    package var descriptorCount: Int { handlers.count - freeSlots.count }
}
