/// Where a rollout stands.
package enum RolloutStatus: String, Sendable, CaseIterable {
    /// Going from step to step.
    case progressing
    /// Waiting for a person; only an emergency moves it.
    case paused
    /// The canary has all the traffic: over.
    case promoted
    /// The baseline has its traffic back: over.
    case rolledBack

    /// Whether nothing more happens.
    package var isOver: Bool { self == .promoted || self == .rolledBack }
}

/// All that must survive a restart for a rollout to go on where it was.
///
/// Written before each transition is carried out, with ``isSettled`` false, and again when it was:
/// whoever finds an unsettled record shifts the weights once more, which changes nothing if they
/// had been shifted.
package struct RolloutRecord: Sendable, Equatable {
    /// What to do, with baseline and interval settled.
    package var plan: RolloutPlan
    package var status = RolloutStatus.progressing
    /// The number of the step it is at, or ended at.
    package var step: Int
    /// The canary's share of its and the baseline's traffic, in basis points.
    package var share: Int
    /// Whether the weights are what ``share`` asks for.
    package var isSettled = false
    /// Failed checks in a row.
    package var failed = 0
    /// Inconclusive checks in a row.
    package var inconclusive = 0
    /// Why it stands where it stands, for people.
    package var reason: String
    /// When it began, in nanoseconds since 1970.
    package var started: Int64
    /// When its step, or its end, began, in nanoseconds since 1970.
    package var since: Int64
    /// The canary's judged answers in all steps before this one.
    package var earlierRequests: UInt64 = 0
    /// Those of them that were bad.
    package var earlierFailures: UInt64 = 0

    /// A rollout about to begin.
    package init(plan: RolloutPlan, step: Int, share: Int, reason: String, started: Int64) {
        self.plan = plan
        self.step = step
        self.share = share
        self.reason = reason
        self.started = started
        since = started
    }
}
