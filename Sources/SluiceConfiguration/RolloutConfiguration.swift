import SluiceRouting
import Yams

// A model's `rollout`: the plan that `sluice canary start MODEL` follows without further words.
extension ConfigurationReader {
    func rollout(
        _ node: Node,
        _ name: String,
        _ model: Configuration.Model
    ) -> RolloutPlan? {
        guard var section = Section(node, name: name, findings) else { return nil }
        defer { section.finish() }
        _ = section.required("revision")
        var plan = RolloutPlan(
            revision: section.text("revision") ?? "",
            baseline: section.text("baseline")
        )
        steps(&section, &plan)
        section.optionalDuration("interval", from: RolloutPlan.intervalMinimum, &plan.interval)
        section.percentage("successMargin", &plan.successMargin)
        section.percentage("successFloor", &plan.successFloor)
        section.ratio("p95Ratio", &plan.p95Ratio)
        section.ratio("p99Ratio", &plan.p99Ratio)
        section.optionalDuration("maxP99", from: .milliseconds(1), &plan.maxP99)
        let limit = 1_000_000_000
        section.number("minRequests", 1...limit, &plan.minRequests)
        // Who raises one means the other as well.
        plan.minRequestsP99 = max(plan.minRequestsP99, plan.minRequests)
        section.number("minRequestsP99", 1...limit, &plan.minRequestsP99)
        section.number("failureLimit", 1...limit, &plan.failureLimit)
        section.number("stalledAfter", 1...limit, &plan.stalledAfter)
        section.flag("autoStart", &plan.autoStart)
        for (key, revision) in [("revision", plan.revision), ("baseline", plan.baseline)] {
            guard let revision, !revision.isEmpty,
                !model.revisions.contains(where: { $0.name == revision })
            else { continue }
            let known = model.revisions.map(\.name).joined(separator: ", ")
            findings.add(
                "`\(name).\(key)`: model '\(model.name)' has no revision '\(revision)'; it has \(known)",
                at: section.value(key) ?? node
            )
        }
        if !plan.revision.isEmpty, let problem = plan.problem {
            findings.add(
                "`\(name).\(problem.key)` \(problem.sentence)",
                at: section.value(problem.key) ?? node
            )
        }
        return plan
    }

    private func steps(_ section: inout Section, _ plan: inout RolloutPlan) {
        guard let node = section.value("steps") else { return }
        guard let entries = node.sequence else {
            findings.add(
                "`\(section.name).steps` must be a list of percentages, such as [1, 5, 25, 100]",
                at: node
            )
            return
        }
        plan.steps = entries.map { entry in
            // 0 is no step; what is wrong with it is said with the plan's other problems.
            Units.basisPoints(entry.scalar?.string ?? "") ?? 0
        }
    }
}

extension Section {
    fileprivate mutating func optionalDuration(
        _ key: String,
        from minimum: Duration,
        _ place: inout Duration?
    ) {
        guard value(key) != nil else { return }
        var duration = minimum
        self.duration(key, from: minimum, &duration)
        place = duration
    }

    fileprivate mutating func percentage(_ key: String, _ place: inout Int) {
        guard let node = value(key) else { return }
        guard let points = Units.basisPoints(node.scalar?.string ?? "") else {
            findings.add(
                "`\(name).\(key)` must be a percentage from 0 to 100 with up to two decimals",
                at: node
            )
            return
        }
        place = points
    }

    fileprivate mutating func ratio(_ key: String, _ place: inout Double) {
        guard let node = value(key) else { return }
        guard let ratio = node.scalar.flatMap({ Double($0.string) }), (1...1_000).contains(ratio)
        else {
            findings.add("`\(name).\(key)` must be a number from 1 to 1000, such as 1.2", at: node)
            return
        }
        place = ratio
    }
}

// MARK: - Writing

extension RolloutPlan {
    /// The plan as YAML, and as the admin API takes it: what differs from the defaults.
    package var yamlText: String {
        let plain = RolloutPlan(revision: revision)
        var fields = ["revision: \(YAMLText.quoted(revision))"]
        if let baseline { fields.append("baseline: \(YAMLText.quoted(baseline))") }
        if steps != plain.steps {
            fields.append("steps: [\(steps.map(Units.percent).joined(separator: ", "))]")
        }
        if let interval { fields.append("interval: \(Units.text(interval))") }
        if successMargin != plain.successMargin {
            fields.append("successMargin: \(Units.percent(successMargin))")
        }
        if successFloor != plain.successFloor {
            fields.append("successFloor: \(Units.percent(successFloor))")
        }
        if p95Ratio != plain.p95Ratio { fields.append("p95Ratio: \(p95Ratio)") }
        if p99Ratio != plain.p99Ratio { fields.append("p99Ratio: \(p99Ratio)") }
        if let maxP99 { fields.append("maxP99: \(Units.text(maxP99))") }
        for (key, number, usual) in [
            ("minRequests", minRequests, plain.minRequests),
            ("minRequestsP99", minRequestsP99, plain.minRequestsP99),
            ("failureLimit", failureLimit, plain.failureLimit),
            ("stalledAfter", stalledAfter, plain.stalledAfter),
        ] where number != usual { fields.append("\(key): \(number)") }
        if autoStart { fields.append("autoStart: true") }
        return "{\(fields.joined(separator: ", "))}"
    }
}
