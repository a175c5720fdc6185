// A canary's way to all the traffic, or back to none
// ---------------------------------------------------
//
//              start          check passes, last step but one: promote
//     (idle) ────────► progressing ─────────────────────────────────► promoted
//                       │   ▲   │
//          pause, shift │   │   │ failureLimit failed checks, emergency, abort
//             by others ▼   │   ▼
//                      paused   rolledBack
//                         │ resume ▲
//                         └────────┘ emergency, abort            (promote leads from paused too)
//
// The machine decides and the driver acts. An action changes the record at once, as unsettled; the
// driver writes the record down, shifts the weights and says `settled`. From then on the step's
// window runs, and `tick` is told what came in since. Too little evidence holds, for as long as it
// takes: no traffic is neither success nor failure.
package import SluiceCore

/// What is to be done about the weights.
package enum RolloutAction: Sendable, Equatable {
    /// Nothing, and nothing was checked.
    case wait
    /// Stay where it is; a check failed for the first time or had too little evidence.
    case hold(String)
    /// Give the canary this share, in basis points.
    case shift(share: Int)
    /// Give the canary everything.
    case promote
    /// Give the baseline everything back.
    case rollBack(String)
}

/// Why a person's wish can't be granted.
package struct RolloutError: Error, Sendable, Equatable {
    /// What stands against it.
    package let sentence: String
}

/// One model's rollout: pure, told the time and the windows.
package struct RolloutMachine: Sendable {
    /// All that must survive a restart.
    package private(set) var record: RolloutRecord
    /// When gates are looked at next, while progressing.
    package private(set) var nextCheck: Instant
    /// The last look at the gates, in this process.
    package private(set) var lastCheck: RolloutCheck?
    private let interval: Duration

    /// An emergency needs this many answers, more than half of them bad.
    package static let emergencyRequests: UInt64 = 20

    // MARK: - Beginning

    /// A rollout at its first step, which has yet to be carried out.
    ///
    /// - Parameters:
    ///   - plan: with baseline and interval; `problem` is nil.
    ///   - share: the canary's share now; a step below it is passed over.
    ///   - author: who wants it.
    ///   - now: the time.
    ///   - wall: the same in nanoseconds since 1970.
    package init(
        starting plan: RolloutPlan,
        share: Int,
        by author: String,
        at now: Instant,
        wall: Int64
    ) {
        let step = plan.step(from: share)
        self.init(
            resuming: RolloutRecord(
                plan: plan,
                step: step,
                share: plan.steps[step],
                reason: "started by \(author)",
                started: wall
            ),
            at: now
        )
        if record.share == 10_000 { record.status = .promoted }
    }

    /// A rollout of an earlier process; it stands at the same step, whose window begins anew.
    package init(resuming record: RolloutRecord, at now: Instant) {
        precondition(record.plan.steps.indices.contains(record.step), "a record's step exists")
        self.record = record
        interval = record.plan.interval ?? .seconds(60)
        nextCheck = now + interval
    }

    // MARK: - Looking

    /// Whether evidence has been missing for long.
    package var isStalled: Bool {
        record.status == .progressing && record.inconclusive >= record.plan.stalledAfter
    }

    /// The action that the record stands for, where it has yet to be carried out.
    package var unsettled: RolloutAction? {
        guard !record.isSettled else { return nil }
        switch record.status {
        case .progressing: return .shift(share: record.share)
        case .paused: return nil
        case .promoted: return .promote
        case .rolledBack: return .rollBack(record.reason)
        }
    }

    // MARK: - Time passes

    /// Looks for an emergency, and at the gates if that is due.
    ///
    /// - Parameters:
    ///   - canary: what the canary answered since the step began.
    ///   - baseline: what the baseline did.
    ///   - recent: what the canary answered lately, so that an emergency after a long good time is
    ///     seen as soon.
    ///   - now: the time.
    /// - Returns: what to do; ``record`` says so already, unsettled.
    package mutating func tick(
        canary: RolloutWindow,
        baseline: RolloutWindow,
        recent: RolloutWindow,
        at now: Instant
    ) -> RolloutAction {
        guard record.isSettled, !record.status.isOver else { return .wait }
        if let window = [canary, recent].first(where: RolloutMachine.isEmergency) {
            var check = record.plan.check(canary: canary, baseline: baseline)
            check.result = .fail
            check.sentence =
                "emergency: \(window.failures) of \(window.requests) answers of \(record.plan.revision) were bad"
            lastCheck = check
            return rollBack(check.sentence, canary)
        }
        guard record.status == .progressing, now >= nextCheck else { return .wait }
        nextCheck = now + interval
        let check = record.plan.check(canary: canary, baseline: baseline)
        lastCheck = check
        switch check.result {
        case .inconclusive:
            record.inconclusive += 1
            record.reason = check.sentence
            return .hold(check.sentence)
        case .fail:
            record.inconclusive = 0
            record.failed += 1
            if record.failed >= record.plan.failureLimit { return rollBack(check.sentence, canary) }
            record.reason =
                "failed check \(record.failed) of \(record.plan.failureLimit): \(check.sentence)"
            return .hold(record.reason)
        case .pass:
            record.step = min(record.step + 1, record.plan.steps.count - 1)
            return advance(canary)
        }
    }

    private static func isEmergency(_ window: RolloutWindow) -> Bool {
        window.requests >= emergencyRequests && window.failures > window.requests / 2
    }

    private mutating func advance(_ canary: RolloutWindow) -> RolloutAction {
        add(canary)
        record.share = record.plan.steps[record.step]
        record.isSettled = false
        if record.share == 10_000 {
            record.status = .promoted
            record.reason = "all checks passed"
            return .promote
        }
        record.reason = "all gates passed"
        return .shift(share: record.share)
    }

    private mutating func rollBack(_ reason: String, _ canary: RolloutWindow) -> RolloutAction {
        add(canary)
        record.status = .rolledBack
        record.share = 0
        record.isSettled = false
        record.reason = reason
        return .rollBack(reason)
    }

    private mutating func add(_ canary: RolloutWindow) {
        record.earlierRequests += canary.requests
        record.earlierFailures += canary.failures
    }

    // MARK: - What came of an action

    /// The weights are as the record says; a step's window begins.
    package mutating func settled(at now: Instant, wall: Int64) {
        record.isSettled = true
        record.since = wall
        record.failed = 0
        record.inconclusive = 0
        nextCheck = now + interval
    }

    /// The weights couldn't be shifted: a step waits for a person, an end is tried again.
    ///
    /// - Parameters:
    ///   - reason: what stood against it.
    ///   - share: the canary's share as it is.
    package mutating func refused(_ reason: String, share: Int) {
        guard record.status == .progressing else { return }
        record.status = .paused
        record.share = share
        record.isSettled = true
        record.reason = "the weights couldn't be shifted: \(reason)"
    }

    // MARK: - What others want

    /// Stays at this step until `author` or another resumes it.
    package mutating func pause(by author: String) throws(RolloutError) {
        try expectRunning()
        guard record.status == .progressing else {
            throw RolloutError(sentence: "the rollout is paused already: \(record.reason)")
        }
        record.status = .paused
        record.reason = "paused by \(author)"
    }

    /// Somebody else shifted the weights: what the steps were to prove has changed.
    package mutating func weightsChanged(share: Int, by author: String) {
        guard !record.status.isOver else { return }
        record.status = .paused
        record.isSettled = true
        record.share = share
        record.reason = "\(author) changed the weights"
    }

    /// Goes on from the step that the canary's share has reached.
    ///
    /// A share of 0 goes back to the step it was at. What the canary answered since the step began
    /// is counted, then forgotten.
    package mutating func resume(
        share: Int,
        canary: RolloutWindow,
        by author: String
    ) throws(RolloutError) -> RolloutAction {
        try expectRunning()
        guard record.status == .paused else {
            throw RolloutError(sentence: "the rollout isn't paused")
        }
        if share > 0 { record.step = record.plan.step(from: share) }
        record.status = .progressing
        let action = advance(canary)
        record.reason = "resumed by \(author)"
        return action
    }

    /// Gives the canary everything now, whatever the gates say.
    package mutating func promote(
        canary: RolloutWindow,
        by author: String
    ) throws(RolloutError) -> RolloutAction {
        try expectRunning()
        record.step = record.plan.steps.count - 1
        let action = advance(canary)
        record.reason = "promoted by \(author)"
        return action
    }

    /// Gives the baseline everything back.
    package mutating func abort(
        canary: RolloutWindow,
        by author: String
    ) throws(RolloutError) -> RolloutAction {
        try expectRunning()
        return rollBack("aborted by \(author)", canary)
    }

    /// Ends where it stands, for there is nothing left to shift.
    package mutating func abandon(_ reason: String, wall: Int64) {
        guard !record.status.isOver || !record.isSettled else { return }
        record.status = .rolledBack
        record.isSettled = true
        record.since = wall
        record.reason = reason
    }

    private func expectRunning() throws(RolloutError) {
        guard record.status.isOver else { return }
        let word = record.status == .promoted ? "promoted" : "rolled back"
        throw RolloutError(sentence: "the rollout is over: \(word), \(record.reason)")
    }
}
