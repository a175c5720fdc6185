// The hand on the knob
// --------------------
// A rollout is the same change as a person's shift, made by another hand: the driver reads what the
// backends answered, asks the machine, and hands the desk weights. Before it acts it has the record
// written down, afterwards again; a restart in between finds an unsettled record and acts once more.
//
// Several times a second it looks for an emergency and for weights that somebody else has moved;
// whether the gates are due is the machine's business.
import SluiceCache
import SluiceConfiguration
import SluiceCore
import SluiceGateway
import SluiceRouting
package import SluiceWire

/// All rollouts of the gateway; lives on the control loop.
package final class RolloutDriver {
    /// What a call is answered once the weights are as they should be.
    package typealias Answer = (Result<RolloutView, ChangeRefusal>) -> Void

    private let host: any RolloutHost
    private let board: RolloutBoard
    private var rollouts: [String: Rollout] = [:]
    private var seenGeneration = 0
    private var movers: [String: String] = [:]

    /// How often ``tick()`` wants to be called.
    package static let period = Duration.milliseconds(250)

    /// A driver without rollouts, and then those that an earlier process has left.
    package init(host: any RolloutHost, board: RolloutBoard) {
        self.host = host
        self.board = board
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

    // MARK: - Time passes

    /// Looks at every rollout; call it every ``period``.
    package func tick() {
        let snapshot = host.snapshot
        if snapshot.generation != seenGeneration {
            seenGeneration = snapshot.generation
            startConfigured(snapshot)
        }
        for (model, rollout) in rollouts { look(at: rollout, of: model, snapshot) }
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
            rollout.machine.abandon("\(rollout.plan.revision) or its baseline is gone", wall: host.wall)
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
    private func act(_ rollout: Rollout, of model: String) {
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
        host.shift(shift) { [weak self] result in
            self?.acted(rollout, model, record, result)
        }
    }

    private func acted(
        _ rollout: Rollout,
        _ model: String,
        _ record: RolloutRecord,
        _ result: Result<Applied, ChangeRefusal>
    ) {
        rollout.isActing = false
        guard rollouts[model] === rollout else { return }
        guard rollout.machine.record == record || rollout.machine.unsettled == nil else {
            // Somebody wanted something else meanwhile.
            act(rollout, of: model)
            return
        }
        switch result {
        case .success:
            rollout.machine.settled(at: host.now, wall: host.wall)
            announce(rollout, model)
            finish(rollout, of: model, refusal: nil)
        case .failure(let refusal) where refusal.kind == .busy:
            // The next look tries again.
            finish(rollout, of: model, refusal: refusal)
        case .failure(let refusal):
            let weights = weights(of: model, rollout, host.snapshot) ?? [:]
            rollout.machine.refused(refusal.sentence, share: rollout.plan.share(in: weights))
            note("couldn't shift: \(refusal.sentence)", rollout, model)
            finish(rollout, of: model, refusal: refusal)
        }
    }

    private func finish(_ rollout: Rollout, of model: String, refusal: ChangeRefusal?) {
        host.remember(rollout.machine.record.json, of: model)
        show(rollout, of: model)
        let waiting = rollout.waiting
        rollout.waiting = []
        for answer in waiting {
            if let refusal {
                answer(.failure(refusal))
            } else if let view = board[model] {
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

    // MARK: - What people want

    /// Starts a rollout by the configuration's plan with `body`'s members over it.
    ///
    /// - Throws: 409's kind while one is running, 400's for a plan that can't be followed.
    package func start(
        _ model: String,
        _ body: JSONValue?,
        by who: String,
        then answer: @escaping Answer
    ) throws(ChangeRefusal) {
        guard host.snapshot.models.contains(where: { $0.name == model }) else {
            throw ChangeRefusal(.unknown, "unknown model '\(model)'")
        }
        if let running = rollouts[model], !running.isDone {
            throw ChangeRefusal(
                .conflict,
                "a rollout of '\(model)' to '\(running.plan.revision)' is \(running.machine.record.status.rawValue) at \(percent(running)) %; abort it first"
            )
        }
        var plan = host.plan(of: model) ?? RolloutPlan(revision: "")
        do throws(RolloutPlan.Failure) {
            let body = body ?? .object([])
            if plan.revision.isEmpty, body["revision"] == nil {
                throw RolloutPlan.Failure(
                    sentence:
                        "say which revision is to be rolled out, or give model '\(model)' a `rollout` in the configuration"
                )
            }
            try plan.take(body, isStrict: true)
        } catch {
            throw ChangeRefusal(.invalid, error.sentence)
        }
        try begin(plan, model, by: who, then: answer)
    }

    private func begin(
        _ wanted: RolloutPlan,
        _ model: String,
        by who: String,
        then answer: @escaping Answer
    ) throws(ChangeRefusal) {
        guard let found = host.snapshot.models.first(where: { $0.name == model }) else { return }
        let plan = try RolloutDriver.settle(wanted, for: found)
        let weights = RolloutDriver.weights(of: found)
        guard (weights[plan.revision] ?? 0) + (plan.baseline.flatMap { weights[$0] } ?? 0) > 0
        else {
            throw ChangeRefusal(
                .invalid,
                "neither '\(plan.revision)' nor '\(plan.baseline ?? "")' has any traffic that could be shifted"
            )
        }
        let machine = RolloutMachine(
            starting: plan,
            share: plan.share(in: weights),
            by: who,
            at: host.now,
            wall: host.wall
        )
        let rollout = Rollout(machine, at: host.now)
        rollout.waiting.append(answer)
        let reading = read(rollout, model)
        rollout.begin(from: reading.canaryTotal, reading.baselineTotal, at: host.now)
        rollouts[model] = rollout
        note(
            "begins, in steps of \(plan.steps.map(Configuration.percent).joined(separator: ", ")) % every \(Configuration.text(plan.interval ?? .zero))",
            rollout,
            model,
            by: who
        )
        act(rollout, of: model)
    }

    /// Starts what the configuration wants started, once for each revision.
    private func startConfigured(_ snapshot: Snapshot) {
        for model in snapshot.models {
            guard let plan = host.plan(of: model.name), plan.autoStart,
                rollouts[model.name]?.isDone ?? true,
                rollouts[model.name]?.plan.revision != plan.revision
            else { continue }
            let who = "configuration"
            do throws(ChangeRefusal) {
                try begin(plan, model.name, by: who) { _ in }
            } catch {
                host.note(
                    "rollout of \(model.name) can't begin: \(error.sentence)",
                    model: model.name,
                    by: who
                )
            }
        }
    }

    /// Stays at the step until resumed.
    package func pause(_ model: String, by who: String, then answer: Answer) throws(ChangeRefusal) {
        let rollout = try find(model)
        do throws(RolloutRefusal) {
            try rollout.machine.pause(by: who)
        } catch {
            throw ChangeRefusal(.conflict, error.sentence)
        }
        host.remember(rollout.machine.record.json, of: model)
        note("is paused at \(percent(rollout)) %", rollout, model, by: who)
        show(rollout, of: model)
        if let view = board[model] { answer(.success(view)) }
    }

    /// What a person may want of a running rollout besides a pause.
    package enum Wish: Sendable { case resume, promote, abort }

    /// Goes on, to the end, or back; answered when the weights are there.
    package func grant(
        _ wish: Wish,
        _ model: String,
        by who: String,
        then answer: @escaping Answer
    ) throws(ChangeRefusal) {
        let rollout = try find(model)
        let reading = read(rollout, model)
        let canary = reading.canary
        let weights = weights(of: model, rollout, host.snapshot) ?? [:]
        do throws(RolloutRefusal) {
            switch wish {
            case .resume:
                _ = try rollout.machine.resume(
                    share: rollout.plan.share(in: weights),
                    canary: canary,
                    by: who
                )
            case .promote: _ = try rollout.machine.promote(canary: canary, by: who)
            case .abort: _ = try rollout.machine.abort(canary: canary, by: who)
            }
        } catch {
            throw ChangeRefusal(.conflict, error.sentence)
        }
        rollout.waiting.append(answer)
        rollout.begin(from: reading.canaryTotal, reading.baselineTotal, at: host.now)
        act(rollout, of: model)
    }

    private func find(_ model: String) throws(ChangeRefusal) -> Rollout {
        guard let rollout = rollouts[model] else {
            throw ChangeRefusal(.unknown, "no rollout of '\(model)' has been started")
        }
        return rollout
    }

    // MARK: - Numbers

    /// What was answered since the step began, and since the process did.
    private struct Reading {
        let canary, baseline, canaryTotal, baselineTotal: RolloutWindow
    }

    private func read(_ rollout: Rollout, _ model: String) -> Reading {
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

    private func show(_ rollout: Rollout, of model: String) {
        let record = rollout.machine.record
        let reading = read(rollout, model)
        let (requests, bad) = totals(rollout, model)
        let isOver = record.status.isOver
        let left = rollout.machine.nextCheck.nanoseconds(since: host.now)
        board.show(
            RolloutView(
                record: record,
                weight: weights(of: model, rollout, host.snapshot)?[rollout.plan.revision] ?? 0,
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

    private func percent(_ rollout: Rollout) -> String {
        Configuration.percent(rollout.machine.record.share)
    }

    private func note(
        _ what: String,
        _ rollout: Rollout,
        _ model: String,
        by who: String = GatewayRolloutHost.author
    ) {
        host.note("rollout of \(model) \(rollout.plan.revision) \(what)", model: model, by: who)
    }

    /// A model's weights; nil where the rollout's revisions aren't both there.
    private func weights(
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

    private static func weights(of model: ModelPlan) -> [String: Int] {
        Dictionary(
            uniqueKeysWithValues: zip(model.revisions.map(\.name), model.split.weights)
        )
    }

    /// The plan with baseline and interval, fit for the model.
    private static func settle(
        _ plan: RolloutPlan,
        for model: ModelPlan
    ) throws(ChangeRefusal) -> RolloutPlan {
        var plan = plan
        let weights = weights(of: model)
        if plan.baseline == nil {
            plan.baseline =
                model.revisions.map(\.name).filter { $0 != plan.revision }
                .max { (weights[$0] ?? 0) < (weights[$1] ?? 0) }
        }
        for name in [plan.revision, plan.baseline ?? ""] where weights[name] == nil {
            throw ChangeRefusal(
                .invalid,
                name.isEmpty
                    ? "model '\(model.name)' has one revision only; a rollout takes two"
                    : "model '\(model.name)' has no revision '\(name)'; it has \(model.revisions.map(\.name).joined(separator: ", "))"
            )
        }
        if plan.interval == nil {
            // A step fills the cache anew for its share; half the time to live lets it settle.
            plan.interval = max(.seconds(60), (model.cache?.timeToLive ?? .zero) / 2)
        }
        if let problem = plan.problem {
            throw ChangeRefusal(.invalid, "`\(problem.key)` \(problem.sentence)")
        }
        return plan
    }
}

/// One model's rollout in the driver's hands.
private final class Rollout {
    var machine: RolloutMachine
    /// What had been answered when the step began.
    var canaryBase = RolloutWindow()
    var baselineBase = RolloutWindow()
    /// Whether the desk has a shift of it.
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
