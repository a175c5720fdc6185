private import CLinux
private import Glibc
import SluiceCore

/// A thread that runs one event loop.
///
/// The loop and everything on it are made on the thread itself and never leave it; the outside
/// holds this handle and sends tasks.
@safe
package final class LoopThread: @unchecked Sendable {
    // Unchecked: `thread` is written once, before the handle leaves `start`.
    private var thread: pthread_t
    private let body: @Sendable () -> Void

    private init(body: @escaping @Sendable () -> Void) {
        self.body = body
        thread = 0
    }

    /// Starts a thread, on core number `core` of those available if given.
    package static func start(core: Int?, _ body: @escaping @Sendable () -> Void) -> LoopThread {
        let handle = LoopThread {
            if let core { _ = clinux_pin_to_core(Int32(core)) }
            body()
        }
        // The retained reference is the thread's own; it gives it back when it starts.
        let argument = unsafe Unmanaged.passRetained(handle).toOpaque()
        let result = unsafe pthread_create(
            &handle.thread,
            nil,
            { argument in
                guard let argument = unsafe argument else { return nil }
                unsafe Unmanaged<LoopThread>.fromOpaque(argument).takeRetainedValue().body()
                return nil
            },
            argument
        )
        precondition(result == 0, "the system has no thread left")
        return handle
    }

    /// Waits for the thread's end.
    package func join() { pthread_join(thread, nil) }

    /// Leaves the thread to end by itself, when nobody waits for it; in place of ``join()``.
    package func detach() { pthread_detach(thread) }
}
