package import SluiceRouting
package import SluiceWire

// A rollout's record as the state file keeps it.
extension RolloutRecord {
    /// Everything, under the names below.
    package var json: JSONValue {
        .object([
            .init("plan", plan.json),
            .init("status", .string(status.rawValue)),
            .init("step", .number("\(step)")),
            .init("share", .number("\(share)")),
            .init("settled", .bool(isSettled)),
            .init("failed", .number("\(failed)")),
            .init("inconclusive", .number("\(inconclusive)")),
            .init("reason", .string(reason)),
            .init("started", .number("\(started)")),
            .init("since", .number("\(since)")),
            .init("requests", .number("\(earlierRequests)")),
            .init("badAnswers", .number("\(earlierFailures)")),
        ])
    }

    /// Reads what ``json`` has written, perhaps in another version; nil when it makes no sense.
    ///
    /// Unknown members are passed over, and those that only inform may be missing.
    package init?(json: JSONValue) {
        var plan = RolloutPlan(revision: "")
        guard let members = json["plan"], (try? plan.take(members, isStrict: false)) != nil,
            plan.baseline != nil,
            let status = json["status"]?.text.flatMap(RolloutStatus.init(rawValue:)),
            let step = json["step"]?.integer, plan.steps.indices.contains(step),
            let share = json["share"]?.integer, (0...10_000).contains(share)
        else { return nil }
        self.init(
            plan: plan,
            step: step,
            share: share,
            reason: json["reason"]?.text ?? "",
            started: json["started"]?.integer.map { Int64($0) } ?? 0
        )
        self.status = status
        isSettled = json["settled"]?.flag ?? false
        failed = max(0, json["failed"]?.integer ?? 0)
        inconclusive = max(0, json["inconclusive"]?.integer ?? 0)
        since = json["since"]?.integer.map { Int64($0) } ?? started
        earlierRequests = UInt64(clamping: json["requests"]?.integer ?? 0)
        earlierFailures = UInt64(clamping: json["badAnswers"]?.integer ?? 0)
    }
}
