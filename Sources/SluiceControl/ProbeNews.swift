import Synchronization

/// Passes on what the probe has found out; the desk that is to hear of it comes to be later than the probe.
final class ProbeNews: Sendable {
    private let action = Mutex<(@Sendable () -> Void)?>(nil)

    func use(_ action: @escaping @Sendable () -> Void) { self.action.withLock { $0 = action } }

    func notify() { action.withLock { $0 }?() }
}
