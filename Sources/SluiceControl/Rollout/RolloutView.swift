import SluiceConfiguration
package import SluiceRouting
import SluiceTelemetry
package import SluiceWire
import Synchronization

/// One rollout as people see it.
package struct RolloutView: Sendable {
    package var record: RolloutRecord
    /// The canary's weight in the model, in basis points.
    package var weight: Int
    /// Whether a backend of the canary can take requests.
    package var isReady: Bool
    /// When the gates decide next, in nanoseconds since 1970; nil unless progressing.
    package var nextCheck: Int64?
    package var isStalled: Bool
    /// The gates as they stand now; after the end, as they stood.
    package var check: RolloutCheck?
    /// What the last check that was due came to.
    package var lastResult: RolloutResult?
    /// The canary's judged answers since the rollout began, and the bad ones among them.
    package var requests: UInt64
    package var badAnswers: UInt64

    /// As the admin API shows it; see the manual's "Canary rollouts".
    package var json: JSONValue {
        let plan = record.plan
        return .object([
            .init("revision", .string(plan.revision)),
            .init("baseline", .string(plan.baseline ?? "-")),
            .init("status", .string(record.status.rawValue)),
            .init("step", .number("\(record.step + 1)")),
            .init("steps", .array(plan.steps.map { .number(Configuration.percent($0)) })),
            .init("weight", .number(Configuration.percent(weight))),
            .init("reason", .string(reason)),
            .init("ready", .bool(isReady)),
            .init("stalled", .bool(isStalled)),
            .init("started", RolloutView.time(record.started)),
            .init("since", RolloutView.time(record.since)),
            .init("nextCheck", nextCheck.map(RolloutView.time) ?? .null),
            .init("lastResult", lastResult.map { .string($0.rawValue) } ?? .null),
            .init("failedChecks", .number("\(record.failed)")),
            .init("requests", .number("\(requests)")),
            .init("badAnswers", .number("\(badAnswers)")),
            .init("check", check.map(RolloutView.json) ?? .null),
            .init("plan", plan.json),
        ])
    }

    private var reason: String {
        guard !isReady, !record.status.isOver else { return record.reason }
        return record.reason + "; no backend of \(record.plan.revision) is ready"
    }

    private static func time(_ nanoseconds: Int64) -> JSONValue {
        .string(WallTime(nanoseconds: nanoseconds).text)
    }

    private static func json(_ check: RolloutCheck) -> JSONValue {
        .object([
            .init("result", .string(check.result.rawValue)),
            .init("reason", .string(check.sentence)),
            .init("canaryRequests", .number("\(check.canaryRequests)")),
            .init("baselineRequests", .number("\(check.baselineRequests)")),
            .init("clientFaults", .number("\(check.clientFaults)")),
            .init("gates", .array(check.verdicts.map(json))),
        ])
    }

    private static func json(_ verdict: RolloutVerdict) -> JSONValue {
        let isShare = verdict.gate == .success
        // Percent to three decimals, milliseconds to three.
        func number(_ value: Double?) -> JSONValue {
            guard let value else { return .null }
            let scaled = isShare ? value * 100 : value / 1e6
            return .number("\((scaled * 1000).rounded() / 1000)")
        }
        return .object([
            .init("gate", .string(verdict.gate.rawValue)),
            .init("result", .string(verdict.result.rawValue)),
            .init("unit", .string(isShare ? "%" : "ms")),
            .init("canary", number(verdict.canary)),
            .init("baseline", number(verdict.baseline)),
            .init("limit", number(verdict.limit)),
            .init("z", verdict.z.map { .number("\(($0 * 100).rounded() / 100)") } ?? .null),
        ])
    }
}

/// The rollouts as they stood a moment ago, for any thread.
package final class RolloutStates: Sendable {
    private let views = Mutex<[String: RolloutView]>([:])

    /// A board without rollouts.
    package init() {}

    /// A model's rollout, running or over; nil if there was none.
    package subscript(model: String) -> RolloutView? { views.withLock { $0[model] } }

    /// All of them, by model.
    package var all: [String: RolloutView] { views.withLock { $0 } }

    func show(_ view: RolloutView?, of model: String) { views.withLock { $0[model] = view } }
}
