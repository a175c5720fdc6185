import SluiceCache
import SluiceConfiguration
import SluiceCore
import SluiceGateway
import SluiceRouting
package import SluiceWire

// What people and configurations want of a rollout: start, pause, resume, promote, abort.
extension RolloutDriver {
    /// Starts a rollout by the configuration's plan with `body`'s members over it.
    ///
    /// - Throws: 409's kind while one is running, 400's for a plan that can't be followed.
    package func start(
        _ model: String,
        _ body: JSONValue?,
        by who: String,
        then answer: @escaping Answer
    ) throws(ChangeError) {
        guard host.snapshot.models.contains(where: { $0.name == model }) else {
            throw ChangeError(.unknown, "unknown model '\(model)'")
        }
        if let running = rollouts[model], !running.isDone {
            throw ChangeError(
                .conflict,
                "a rollout of '\(model)' to '\(running.plan.revision)' is \(running.machine.record.status.rawValue) at \(percent(running)) %; abort it first"
            )
        }
        var plan = host.plan(of: model) ?? RolloutPlan(revision: "")
        do throws(RolloutPlan.Failure) {
            let body = body ?? .object([])
            if plan.revision.isEmpty, case .object = body, body["revision"] == nil {
                throw RolloutPlan.Failure(
                    sentence:
                        "say which revision is to be rolled out, or give model '\(model)' a `rollout` in the configuration"
                )
            }
            try plan.take(body, isStrict: true)
        } catch {
            throw ChangeError(.invalid, error.sentence)
        }
        try begin(plan, model, by: who, then: answer)
    }

    func begin(
        _ wanted: RolloutPlan,
        _ model: String,
        by who: String,
        then answer: @escaping Answer
    ) throws(ChangeError) {
        guard let found = host.snapshot.models.first(where: { $0.name == model }) else { return }
        let plan = try RolloutDriver.settle(wanted, for: found)
        let weights = RolloutDriver.weights(of: found)
        guard (weights[plan.revision] ?? 0) + (plan.baseline.flatMap { weights[$0] } ?? 0) > 0
        else {
            throw ChangeError(
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
    func startConfigured(_ snapshot: Snapshot) {
        for model in snapshot.models {
            guard let plan = host.plan(of: model.name), plan.autoStart,
                rollouts[model.name]?.isDone ?? true,
                rollouts[model.name]?.plan.revision != plan.revision
            else { continue }
            let who = "configuration"
            do throws(ChangeError) {
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
    package func pause(_ model: String, by who: String, then answer: Answer) throws(ChangeError) {
        let rollout = try find(model)
        do throws(RolloutError) {
            try rollout.machine.pause(by: who)
        } catch {
            throw ChangeError(.conflict, error.sentence)
        }
        if rollout.isActing { host.cancelWarmUp(of: model, by: who) }
        host.remember(rollout.machine.record.json, of: model)
        note("is paused at \(percent(rollout)) %", rollout, model, by: who)
        show(rollout, of: model)
        if let view = states[model] { answer(.success(view)) }
    }

    /// What a person may want of a running rollout besides a pause.
    package enum Command: Sendable { case resume, promote, abort }

    /// Goes on, to the end, or back; answered when the weights are there.
    package func grant(
        _ command: Command,
        _ model: String,
        by who: String,
        then answer: @escaping Answer
    ) throws(ChangeError) {
        let rollout = try find(model)
        let reading = read(rollout, model)
        let canary = reading.canary
        let weights = weights(of: model, rollout, host.snapshot) ?? [:]
        do throws(RolloutError) {
            switch command {
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
            throw ChangeError(.conflict, error.sentence)
        }
        rollout.waiting.append(answer)
        rollout.begin(from: reading.canaryTotal, reading.baselineTotal, at: host.now)
        // Its first step may wait for a warm-up still.
        if rollout.isActing { host.cancelWarmUp(of: model, by: who) }
        act(rollout, of: model)
    }

    private func find(_ model: String) throws(ChangeError) -> Rollout {
        guard let rollout = rollouts[model] else {
            throw ChangeError(.unknown, "no rollout of '\(model)' has been started")
        }
        return rollout
    }

    // MARK: - Plans

    /// The plan with baseline and interval, fit for the model.
    private static func settle(
        _ plan: RolloutPlan,
        for model: ModelPlan
    ) throws(ChangeError) -> RolloutPlan {
        var plan = plan
        let weights = weights(of: model)
        if plan.baseline == nil {
            plan.baseline =
                model.revisions.map(\.name).filter { $0 != plan.revision }
                .max { (weights[$0] ?? 0) < (weights[$1] ?? 0) }
        }
        for name in [plan.revision, plan.baseline ?? ""] where weights[name] == nil {
            throw ChangeError(
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
            throw ChangeError(.invalid, "`\(problem.key)` \(problem.sentence)")
        }
        return plan
    }
}
