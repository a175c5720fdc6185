import SluiceCore

/// What an automatic rollout is to do, and what it asks of the canary before each step.
///
/// Defaults are those that the simulation in `RolloutSimulationTests` justifies.
package struct RolloutPlan: Sendable, Equatable {
    /// The revision that is to take over: the canary.
    package var revision: String
    /// The revision it is compared with and takes its traffic from; nil is the one with the most.
    package var baseline: String?
    /// The canary's share of what both have, in basis points; rising, and 10,000 in the end.
    package var steps = [100, 500, 1_000, 2_500, 5_000, 10_000]
    /// Between two checks; nil is the longer of a minute and half the cache's time to live.
    package var interval: Duration?
    /// How far below the baseline's the share of good answers may be, in basis points.
    package var successMargin = 100
    /// The share of good answers that is asked for where the baseline has it, in basis points.
    package var successFloor = 9_900
    /// The canary's 95th percentile is at most this many times the baseline's.
    package var p95Ratio = 1.2
    /// The canary's 99th percentile is at most this many times the baseline's.
    package var p99Ratio = 1.2
    /// The most that the canary's 99th percentile may be, whatever the baseline's is.
    package var maxP99: Duration?
    /// Answers of either revision without which a check is inconclusive.
    package var minRequests = 300
    /// Answers of either revision without which the 99th percentile isn't judged.
    package var minRequestsP99 = 1_000
    /// Failed checks in a row that roll back.
    package var failureLimit = 2
    /// Inconclusive checks in a row after which the rollout is reported as stalled.
    package var stalledAfter = 10
    /// Whether it starts by itself when the configuration first has it.
    package var autoStart = false

    /// A plan with the defaults for everything else.
    package init(revision: String, baseline: String? = nil) {
        self.revision = revision
        self.baseline = baseline
    }

    /// The shortest interval there is.
    package static let intervalMinimum = Duration.seconds(1)

    /// What is wrong with the plan: the key, and a sentence that begins behind it; nil if nothing.
    package var problem: (key: String, sentence: String)? {
        if revision.isEmpty { return ("revision", "must name the revision to roll out") }
        if revision == baseline {
            return ("baseline", "must be another revision than '\(revision)'")
        }
        if let problem = stepsProblem { return ("steps", problem) }
        if let interval, interval < RolloutPlan.intervalMinimum {
            return ("interval", "must be at least 1s")
        }
        if !(0...10_000).contains(successMargin) {
            return ("successMargin", "must be from 0 to 100 percentage points")
        }
        if !(0...10_000).contains(successFloor) {
            return ("successFloor", "must be a percentage from 0 to 100")
        }
        for (key, ratio) in [("p95Ratio", p95Ratio), ("p99Ratio", p99Ratio)]
        where !(1...1_000).contains(ratio) { return (key, "must be from 1 to 1000") }
        if let maxP99, maxP99 <= .zero { return ("maxP99", "must be above 0") }
        for (key, number) in [
            ("minRequests", minRequests), ("failureLimit", failureLimit),
            ("stalledAfter", stalledAfter),
        ] where !(1...1_000_000_000).contains(number) { return (key, "must be at least 1") }
        if minRequestsP99 < minRequests {
            return ("minRequestsP99", "must be at least minRequests, \(minRequests)")
        }
        return nil
    }

    private var stepsProblem: String? {
        guard let last = steps.last, steps.count <= 100 else { return "must have 1 to 100 entries" }
        guard steps.allSatisfy({ (1...10_000).contains($0) }) else {
            return "must be percentages above 0 and up to 100 with up to two decimals"
        }
        guard zip(steps, steps.dropFirst()).allSatisfy({ $0 < $1 }) else { return "must rise" }
        return last == 10_000 ? nil : "must end with 100"
    }

    // MARK: - Shares

    /// A model's weights when the canary has `share` of what it and the baseline have together.
    ///
    /// Other revisions keep theirs. A share above none is at least one basis point, so that a small
    /// step isn't rounded away.
    ///
    /// - Parameters:
    ///   - share: 0 to 10,000.
    ///   - weights: the model's weights now, in basis points.
    /// - Returns: all of the model's weights; their sum is what it was.
    package func weights(share: Int, in weights: [String: Int]) -> [String: Int] {
        guard let baseline else { return weights }
        let both = (weights[revision] ?? 0) + (weights[baseline] ?? 0)
        var canary = (share * both + 5_000) / 10_000
        if share > 0, both > 0 { canary = max(canary, 1) }
        if share < 10_000, both > 1 { canary = min(canary, both - 1) }
        if share == 0 { canary = 0 }
        var result = weights
        result[revision] = canary
        result[baseline] = both - canary
        return result
    }

    /// The canary's share of what it and the baseline have together, in basis points.
    package func share(in weights: [String: Int]) -> Int {
        let canary = weights[revision] ?? 0
        let both = canary + (baseline.flatMap { weights[$0] } ?? 0)
        return both == 0 ? 0 : (canary * 10_000 + both / 2) / both
    }

    /// The first step that doesn't take traffic away from a canary that has `share`.
    package func step(from share: Int) -> Int {
        steps.firstIndex { $0 >= share } ?? steps.count - 1
    }
}
