import Synchronization

/// Whether the gateway as a whole wants traffic; shared by workers and the admin server.
package final class GatewayReadiness: Sendable {
    private let draining = Atomic<Bool>(false)
    private let probed = Atomic<Bool>(false)

    /// Not draining, and not probed yet.
    package init() {}

    /// Whether the process is winding down; then load balancers should look elsewhere.
    package var isDraining: Bool { draining.load(ordering: .relaxed) }

    /// Says that the process is winding down.
    package func beginDraining() { draining.store(true, ordering: .relaxed) }

    /// Whether every backend has been probed once, so that its health is known.
    package var isProbed: Bool { probed.load(ordering: .relaxed) }

    /// Says that every backend has been probed once.
    package func markProbed() { probed.store(true, ordering: .relaxed) }
}
