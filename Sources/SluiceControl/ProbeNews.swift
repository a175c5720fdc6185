import Synchronization

/// Passes on what the probe has found out; the coordinator that is to hear of it comes to be later than the probe.
final class ProbeNews: Sendable {
    private struct State {
        var action: (@Sendable () -> Void)?
        /// Whether there was news before there was an action.
        var isPending = false
    }

    private let state = Mutex(State())

    func use(_ action: @escaping @Sendable () -> Void) {
        let isPending = state.withLock { state in
            state.action = action
            return state.isPending
        }
        if isPending { action() }
    }

    func notify() {
        let action = state.withLock { state in
            state.isPending = state.action == nil
            return state.action
        }
        action?()
    }
}
