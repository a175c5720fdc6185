import SluiceRouting
private import Synchronization

/// Which share of a model's predictions is copied to which revision, and how much copying may cost.
package struct MirrorPlan: Sendable {
    /// The shadow: its place among the model's revisions.
    package var revision: Int
    /// The share of predictions that other revisions answer, in basis points.
    package var share: Int
    /// Copies that may be under way, over all workers.
    package var maxInFlight: Int
    /// Bytes that a request may have to be copied.
    package var maxBytes: Int
    /// How far numbers may lie apart to be close; nil compares nothing.
    package var tolerance: Double?
    /// Counts the copies under way; the same across reloads.
    package var gate: MirrorGate

    /// A mirror as configured.
    package init(
        revision: Int,
        share: Int,
        maxInFlight: Int,
        maxBytes: Int,
        tolerance: Double?,
        gate: MirrorGate
    ) {
        self.revision = revision
        self.share = share
        self.maxInFlight = maxInFlight
        self.maxBytes = maxBytes
        self.tolerance = tolerance
        self.gate = gate
    }
}

extension TrafficRules {
    /// Whether a header or cookie may send a request to `revision`, whatever its weight.
    func mayRoute(to revision: Int) -> Bool {
        allowsRevisionHeader || table.routes.contains { $0.revision == revision }
    }
}

/// How many copies of one model's requests are under way, over all workers.
package final class MirrorGate: Sendable {
    private let inside = Atomic<Int>(0)

    /// A gate that no request has passed.
    package init() {}

    /// How many are inside.
    package var count: Int { inside.load(ordering: .relaxed) }

    /// Lets one more in, if fewer than `maximum` are; each that came in leaves once.
    func enter(maximum: Int) -> Bool {
        guard inside.wrappingAdd(1, ordering: .relaxed).newValue > maximum else { return true }
        leave()
        return false
    }

    func leave() {
        let before = inside.wrappingSubtract(1, ordering: .relaxed).oldValue
        precondition(before > 0, "a copy leaves once")
    }
}
