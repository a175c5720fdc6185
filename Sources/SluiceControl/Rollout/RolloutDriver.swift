// The hand on the knob
// --------------------
// A rollout is the same change as a person's shift, made by another hand: the driver reads what the
// backends answered, asks the machine, and hands the coordinator weights. Before it acts it has the record
// written down, afterwards again; a restart in between finds an unsettled record and acts once more.
//
// Several times a second it looks for an emergency and for weights that somebody else has moved;
// whether the gates are due is the machine's business.
import SluiceCache
import SluiceConfiguration
import SluiceCore
import SluiceGateway
import SluiceRouting
import SluiceWire

/// All rollouts of the gateway; lives on the control loop.
package final class RolloutDriver {
    /// What a call is answered once the weights are as they should be.
    package typealias Answer = (Result<RolloutView, ChangeError>) -> Void

    let host: any RolloutHost
    let states: RolloutStates
    var rollouts: [String: Rollout] = [:]
    private var seenGeneration: Int?
    private var movers: [String: String] = [:]

    /// How often ``tick()`` wants to be called.
    package static let period = Duration.milliseconds(250)

    /// A driver without rollouts, and then those that an earlier process has left.
    package init(host: any RolloutHost, states: RolloutStates) {
        self.host = host
        self.states = states
        for (model, json) in host.records.sorted(by: { $0.key < $1.key }) {
            guard let record = RolloutRecord(json: json) else {
                host.note(
                    "the rollout of \(model) in the state file makes no sense and is left out",
                    model: model,
                    by: "start"
                )
                continue
            }
            let rollout = Rollout(RolloutMachine(resuming: record, at: host.now), at: host.now)
            rollouts[model] = rollout
            if !record.status.isOver || !record.isSettled {
                host.note(
                    "rollout of \(model) \(record.plan.revision) goes on after a restart, \(record.status == .paused ? "paused " : "")at \(Configuration.percent(record.share)) %",
                    model: model,
                    by: "start"
                )
            }
            show(rollout, of: model)
        }
    }

    /// How a model's rollout stands now; nil where there was none.
    package func view(of model: String) -> RolloutView? {
        // After the end nothing is added.
        if let rollout = rollouts[model], !rollout.isDone { show(rollout, of: model) }
        return states[model]
    }

    // MARK: - Time passes

    /// Looks at every rollout; call it every ``period``.
    package func tick() {
        let snapshot = host.snapshot
        if snapshot.generation != seenGeneration {
            seenGeneration = snapshot.generation
            forgetGone(snapshot)
            startConfigured(snapshot)
        }
        for (model, rollout) in rollouts { look(at: rollout, of: model, snapshot) }
    }

    /// A model that isn't configured any more takes its rollout along: one that comes by its name
    /// later is another.
    private func forgetGone(_ snapshot: Snapshot) {
        let names = Set(snapshot.models.map(\.name))
        for (model, rollout) in rollouts where !names.contains(model) {
            if !rollout.isDone {
                note("was given up: the model isn't configured any more", rollout, model)
            }
            rollouts[model] = nil
            states.show(nil, of: model)
            for answer in rollout.waiting {
                answer(
                    .failure(ChangeError(.unknown, "model '\(model)' isn't configured any more"))
                )
            }
            rollout.waiting = []
        }
    }

    /// Somebody other than a rollout has shifted a model's weights.
    package func weightsMoved(model: String, by who: String) {
        guard let rollout = rollouts[model] else { return }
        movers[model] = who
        look(at: rollout, of: model, host.snapshot)
        movers[model] = nil
    }

    private func look(at rollout: Rollout, of model: String, _ snapshot: Snapshot) {
        guard !rollout.isActing else { return }
        if rollout.machine.record.status.isOver, rollout.machine.record.isSettled {
            // Late answers still belong to it; what comes after is nobody's.
            if host.now < rollout.closing { show(rollout, of: model) }
            return
        }
        guard let weights = weights(of: model, rollout, snapshot) else {
            rollout.machine.abandon(
                "\(rollout.plan.revision) or its baseline is gone",
                wall: host.wall
            )
            note("was given up: its revisions aren't configured any more", rollout, model)
            finish(rollout, of: model, refusal: nil)
            return
        }
        if rollout.machine.unsettled != nil {
            act(rollout, of: model)
            return
        }
        if follow(weights, rollout, model) { return }
        let reading = read(rollout, model)
        let action = rollout.machine.tick(
            canary: reading.canary,
            baseline: reading.baseline,
            recent: rollout.recent(reading.canaryTotal, at: host.now),
            at: host.now
        )
        if action != .wait, let result = rollout.machine.lastCheck?.result {
            host.count(result, model: model, revision: rollout.plan.revision)
        }
        switch action {
        case .wait: break
        case .hold(let reason): hold(rollout, model, reason)
        case .shift, .promote, .rollBack:
            rollout.begin(from: reading.canaryTotal, reading.baselineTotal, at: host.now)
            act(rollout, of: model)
        }
        show(rollout, of: model)
    }

    /// Pauses a rollout whose weights aren't what it has asked for.
    private func follow(
        _ weights: [String: Int],
        _ rollout: Rollout,
        _ model: String
    ) -> Bool {
        let record = rollout.machine.record
        guard weights != rollout.plan.weights(share: record.share, in: weights) else {
            return false
        }
        let who = movers[model] ?? "somebody"
        rollout.machine.weightsChanged(share: rollout.plan.share(in: weights), by: who)
        if record.status == .progressing {
            note("paused: \(who) changed the weights", rollout, model, by: who)
        }
        host.remember(rollout.machine.record.json, of: model)
        show(rollout, of: model)
        return true
    }

    /// Says why it holds, the first time and when it has lasted.
    private func hold(_ rollout: Rollout, _ model: String, _ reason: String) {
        let result = rollout.machine.lastCheck?.result
        if result != rollout.heldFor {
            rollout.heldFor = result
            note("holds at \(percent(rollout)) %: \(reason)", rollout, model)
        }
        if rollout.machine.isStalled, !rollout.hasStalled {
            rollout.hasStalled = true
            note("is stalled at \(percent(rollout)) %: \(reason)", rollout, model)
        }
        host.remember(rollout.machine.record.json, of: model)
    }

    // MARK: - Acting

    /// Writes the record down and shifts the weights; `acted` comes after.
    func act(_ rollout: Rollout, of model: String) {
        guard !rollout.isActing, let action = rollout.machine.unsettled else { return }
        let snapshot = host.snapshot
        guard let weights = weights(of: model, rollout, snapshot) else { return }
        rollout.isActing = true
        let record = rollout.machine.record
        host.remember(record.json, of: model)
        var shift = TrafficShift(
            model: model,
            weights: rollout.plan.weights(share: record.share, in: weights)
        )
        // A step gives way to whoever was faster; a rollback doesn't.
        if case .shift = action { shift.seenGeneration = snapshot.generation }
        // What goes back goes at once.
        if case .rollBack = action { shift.isWarmed = false }
        host.shift(shift) { [weak self] refusal in
            self?.acted(rollout, model, record, refusal)
        }
    }

    private func acted(
        _ rollout: Rollout,
        _ model: String,
        _ record: RolloutRecord,
        _ refusal: ChangeError?
    ) {
        rollout.isActing = false
        guard rollouts[model] === rollout else { return }
        guard rollout.machine.record == record || rollout.machine.unsettled == nil else {
            // Somebody wanted something else meanwhile.
            act(rollout, of: model)
            return
        }
        guard let refusal else {
            rollout.machine.settled(at: host.now, wall: host.wall)
            announce(rollout, model)
            finish(rollout, of: model, refusal: nil)
            return
        }
        // Where the coordinator is busy, the next look tries again.
        if refusal.kind != .busy {
            let weights = weights(of: model, rollout, host.snapshot) ?? [:]
            rollout.machine.refused(refusal.sentence, share: rollout.plan.share(in: weights))
            note("couldn't shift: \(refusal.sentence)", rollout, model)
        }
        finish(rollout, of: model, refusal: refusal)
    }

    private func finish(_ rollout: Rollout, of model: String, refusal: ChangeError?) {
        host.remember(rollout.machine.record.json, of: model)
        show(rollout, of: model)
        let waiting = rollout.waiting
        rollout.waiting = []
        for answer in waiting {
            if let refusal {
                answer(.failure(refusal))
            } else if let view = states[model] {
                answer(.success(view))
            }
        }
    }

    private func announce(_ rollout: Rollout, _ model: String) {
        let record = rollout.machine.record
        switch record.status {
        case .progressing: note("is at \(percent(rollout)) %: \(record.reason)", rollout, model)
        case .paused: break
        case .promoted: note("is promoted: \(record.reason)", rollout, model)
        case .rolledBack:
            let (requests, bad) = totals(rollout, model)
            note(
                "is rolled back: \(record.reason); \(bad) of its \(requests) answers were bad",
                rollout,
                model
            )
        }
    }

    // MARK: - Numbers

    /// What was answered since the step began, and since the process did.
    struct Reading {
        let canary, baseline, canaryTotal, baselineTotal: RolloutWindow
    }

    func read(_ rollout: Rollout, _ model: String) -> Reading {
        let canary = host.answers(model: model, revision: rollout.plan.revision)
        let baseline = host.answers(model: model, revision: rollout.plan.baseline ?? "")
        return Reading(
            canary: canary.since(rollout.canaryBase),
            baseline: baseline.since(rollout.baselineBase),
            canaryTotal: canary,
            baselineTotal: baseline
        )
    }

    private func totals(_ rollout: Rollout, _ model: String) -> (requests: UInt64, bad: UInt64) {
        let (record, window) = (rollout.machine.record, read(rollout, model).canary)
        return (record.earlierRequests + window.requests, record.earlierFailures + window.failures)
    }

    func show(_ rollout: Rollout, of model: String) {
        let record = rollout.machine.record
        let reading = read(rollout, model)
        let (requests, bad) = totals(rollout, model)
        let isOver = record.status.isOver
        let left = rollout.machine.nextCheck.nanoseconds(since: host.now)
        states.show(
            RolloutView(
                record: record,
                weight: weights(of: model, rollout, host.snapshot)?[rollout.plan.revision] ?? 0,
                isReady: canServe(rollout, of: model),
                nextCheck: record.status == .progressing && record.isSettled
                    ? host.wall + left : nil,
                isStalled: rollout.machine.isStalled,
                check: isOver
                    ? rollout.machine.lastCheck
                    : rollout.plan.check(canary: reading.canary, baseline: reading.baseline),
                lastResult: rollout.machine.lastCheck?.result,
                requests: requests,
                badAnswers: bad
            ),
            of: model
        )
    }

    private func canServe(_ rollout: Rollout, of model: String) -> Bool {
        let plan = host.snapshot.models.first { $0.name == model }
        return plan?.revisions.first { $0.name == rollout.plan.revision }?.canServe ?? false
    }

    func percent(_ rollout: Rollout) -> String {
        Configuration.percent(rollout.machine.record.share)
    }

    func note(
        _ what: String,
        _ rollout: Rollout,
        _ model: String,
        by who: String = GatewayRolloutHost.author
    ) {
        host.note("rollout of \(model) \(rollout.plan.revision) \(what)", model: model, by: who)
    }

    /// A model's weights; nil where the rollout's revisions aren't both there.
    func weights(
        of model: String,
        _ rollout: Rollout,
        _ snapshot: Snapshot
    ) -> [String: Int]? {
        guard let plan = snapshot.models.first(where: { $0.name == model }) else { return nil }
        let weights = RolloutDriver.weights(of: plan)
        guard weights[rollout.plan.revision] != nil,
            rollout.plan.baseline.flatMap({ weights[$0] }) != nil
        else { return nil }
        return weights
    }

    static func weights(of model: ModelPlan) -> [String: Int] {
        Dictionary(
            uniqueKeysWithValues: zip(model.revisions.map(\.name), model.split.weights)
        )
    }
}
