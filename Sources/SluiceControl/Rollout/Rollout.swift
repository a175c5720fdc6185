import SluiceCore
import SluiceRouting

/// One model's rollout in the driver's hands.
final class Rollout {
    var machine: RolloutMachine
    /// What had been answered when the step began.
    var canaryBase = RolloutWindow()
    var baselineBase = RolloutWindow()
    /// Whether the coordinator has a shift of it.
    var isActing = false
    /// Who is answered when it has been made.
    var waiting: [RolloutDriver.Answer] = []
    /// What the last hold that people were told of was for.
    var heldFor: RolloutResult?
    var hasStalled = false
    /// Until when answers are counted after the end.
    var closing: Instant
    // Two marks, so that `recent` covers one to two times `stretch`.
    private var older = RolloutWindow()
    private var newer = RolloutWindow()
    private var turned: Instant

    private static let stretch = Duration.seconds(5)

    var plan: RolloutPlan { machine.record.plan }

    /// Whether another may begin.
    var isDone: Bool { machine.record.status.isOver && machine.record.isSettled && !isActing }

    init(_ machine: RolloutMachine, at now: Instant) {
        self.machine = machine
        closing = now
        turned = now
    }

    /// A step's window begins.
    func begin(from canary: RolloutWindow, _ baseline: RolloutWindow, at now: Instant) {
        (canaryBase, baselineBase) = (canary, baseline)
        (older, newer, turned) = (canary, canary, now)
        (heldFor, hasStalled) = (nil, false)
        closing = now + .seconds(10)
    }

    /// What was answered lately.
    func recent(_ total: RolloutWindow, at now: Instant) -> RolloutWindow {
        if now >= turned + Rollout.stretch {
            (older, newer, turned) = (newer, total, now)
        }
        return total.since(older)
    }
}
