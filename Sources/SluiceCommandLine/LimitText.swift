import Foundation
import SluiceWire

/// What limits a model's requests and what is sent twice, as the admin API has it, for people.
enum LimitText {
    /// A line for each feature that the model has.
    static func lines(_ model: JSONValue) -> [String] {
        let name = StatusTable.visible(model["name"])
        let revisions = model["revisions"]?.elements ?? []
        return rateLimits(model).map { "\(name): \($0)" }
            + revisions.compactMap { revision in
                concurrency(revision).map {
                    "\(name) \(StatusTable.visible(revision["name"])): \($0)"
                }
            }
            + revisions.compactMap { revision in
                hedges(model["hedge"] ?? .null, revision).map {
                    "\(name) \(StatusTable.visible(revision["name"])): \($0)"
                }
            }
    }

    private static func rateLimits(_ model: JSONValue) -> [String] {
        let limits = (model["rateLimits"]?.elements ?? []).map { limit in
            let scope = limit["per"]?.text ?? "model"
            let text = "\(StatusTable.visible(limit["rate"])) per \(scope)"
            return scope == "model" ? text : "\(text) (\(limit["callers"]?.integer ?? 0) callers)"
        }
        guard !limits.isEmpty else { return [] }
        let refused = StatusTable.rate(model["rateLimitedPerSecond"])
        return [
            "rate limited to \(limits.joined(separator: ", ")), \(refused) turned away a second"
        ]
    }

    private static func concurrency(_ revision: JSONValue) -> String? {
        guard let learnt = revision["concurrency"], learnt != .null else { return nil }
        let refused = StatusTable.rate(revision["rejectedPerSecond"])
        return
            "\(learnt["inUse"]?.integer ?? 0) of \(learnt["limit"]?.integer ?? 0) places in use (adaptiveConcurrency), \(refused) turned away a second"
    }

    private static func hedges(_ hedge: JSONValue, _ revision: JSONValue) -> String? {
        guard let delay = hedge["delaySeconds"] else { return nil }
        let text =
            "\(StatusTable.rate(revision["hedgesPerSecond"])) requests a second sent twice, after \(StatusTable.duration(delay))"
        guard let won = revision["hedgeWinRatio"]?.double else { return text }
        return text + String(format: ", %.0f %% of the copies won", 100 * won)
    }
}
