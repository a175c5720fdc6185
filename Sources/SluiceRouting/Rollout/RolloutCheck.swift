// One look at canary and baseline
// -------------------------------
// Each gate compares the two over the same window, since the step began, and a gate that hasn't
// enough answers to judge by says so. What a false alarm costs is a rollback nobody needed, so a
// difference must be more than chance: success needs two standard errors as well as the margin, and
// a quantile enough answers (with equal revisions, lognormal durations and 300 answers the 99th
// percentile would fail one check in twenty; the 95th one in two hundred).

import SluiceCore

/// What came of a gate, or of a whole check.
package enum RolloutResult: String, Sendable, CaseIterable {
    case pass, fail
    /// Too little evidence either way.
    case inconclusive
}

/// A condition on the canary.
package enum RolloutGate: String, Sendable, CaseIterable {
    /// The share of good answers.
    case success
    /// The 95th percentile of durations.
    case p95
    /// The 99th percentile of durations.
    case p99
}

/// One gate's result with the numbers behind it.
package struct RolloutVerdict: Sendable, Equatable {
    package var gate: RolloutGate
    package var result: RolloutResult
    /// The canary's number: a share from 0 to 1, or nanoseconds.
    package var canary: Double?
    /// The baseline's number, in the same unit.
    package var baseline: Double?
    /// What the canary's number must reach (success) or not exceed (durations).
    package var limit: Double?
    /// Standard errors between the two; only for success.
    package var z: Double?
}

/// All gates at one moment.
package struct RolloutCheck: Sendable, Equatable {
    package var result: RolloutResult
    package var verdicts: [RolloutVerdict]
    /// Answers of the canary and the baseline that were judged.
    package var canaryRequests: UInt64
    package var baselineRequests: UInt64
    /// Of the canary's requests, those left out because their client was at fault.
    package var clientFaults: UInt64
    /// What it came to, for people.
    package var sentence: String
}

extension RolloutPlan {
    /// Standard errors above which a difference in good answers is more than chance.
    package static let significance = 2.0

    /// Compares what canary and baseline answered over the same stretch of time.
    package func check(canary: RolloutWindow, baseline: RolloutWindow) -> RolloutCheck {
        let verdicts = [
            success(canary, baseline),
            quantile(.p95, 0.95, p95Ratio, from: minRequests, nil, canary, baseline),
            quantile(.p99, 0.99, p99Ratio, from: minRequestsP99, maxP99, canary, baseline),
        ]
        var check = RolloutCheck(
            result: .pass,
            verdicts: verdicts,
            canaryRequests: canary.requests,
            baselineRequests: baseline.requests,
            clientFaults: canary.clientFaults,
            sentence: "all gates pass"
        )
        if let shortage = shortage(canary, baseline) {
            check.result = .inconclusive
            check.sentence = shortage
        } else if verdicts.contains(where: { $0.result == .fail }) {
            check.result = .fail
            check.sentence = verdicts.filter { $0.result == .fail }
                .map { RolloutPlan.sentence($0) }.joined(separator: "; ")
        }
        return check
    }

    private func shortage(_ canary: RolloutWindow, _ baseline: RolloutWindow) -> String? {
        for (name, window) in [(revision, canary), (self.baseline ?? "the baseline", baseline)]
        where window.requests < UInt64(minRequests) {
            var sentence =
                window.requests == 0
                ? "no backend of \(name) has answered since the step began"
                : "\(name) has \(window.requests) of the \(minRequests) answers a check needs"
            if window.clientFaults > 0 {
                sentence += "; \(window.clientFaults) more were the clients' fault"
            }
            return sentence
        }
        return nil
    }

    private func success(_ canary: RolloutWindow, _ baseline: RolloutWindow) -> RolloutVerdict {
        let margin = baseline.success - Double(successMargin) / 10_000
        let floor = Double(successFloor) / 10_000
        // A baseline that misses the floor itself can't ask it of another.
        let limit = baseline.success >= floor ? max(floor, margin) : margin
        let z = canary.excessFailures(over: baseline)
        let isKnown = min(canary.requests, baseline.requests) >= UInt64(minRequests)
        // Shares are quotients; a canary exactly at the limit isn't below it.
        let isBelow = canary.success < limit - 1e-12
        return RolloutVerdict(
            gate: .success,
            result: !isKnown
                ? .inconclusive : isBelow && z > RolloutPlan.significance ? .fail : .pass,
            canary: canary.requests > 0 ? canary.success : nil,
            baseline: baseline.requests > 0 ? baseline.success : nil,
            limit: limit,
            z: z
        )
    }

    private func quantile(
        _ gate: RolloutGate,
        _ share: Double,
        _ ratio: Double,
        from minimum: Int,
        _ bound: Duration?,
        _ canary: RolloutWindow,
        _ baseline: RolloutWindow
    ) -> RolloutVerdict {
        let (mine, others) = (canary.quantile(share), baseline.quantile(share))
        let bound = bound.map { Double($0.nanoseconds) }
        let isComparable = min(canary.comparable, baseline.comparable) >= UInt64(minimum)
        var limit = isComparable ? others.map { $0 * ratio } : nil
        if let bound, canary.comparable >= UInt64(minimum) { limit = min(limit ?? bound, bound) }
        var result = RolloutResult.inconclusive
        if let mine, let limit { result = mine > limit ? .fail : .pass }
        return RolloutVerdict(
            gate: gate,
            result: result,
            canary: mine,
            baseline: others,
            limit: limit ?? others.map { $0 * ratio }
        )
    }

    /// Why a gate failed.
    private static func sentence(_ verdict: RolloutVerdict) -> String {
        let (canary, limit) = (verdict.canary ?? 0, verdict.limit ?? 0)
        guard verdict.gate == .success else {
            return
                "\(verdict.gate.rawValue) \(milliseconds(canary)) is above \(milliseconds(limit)) (baseline \(milliseconds(verdict.baseline ?? 0)))"
        }
        return
            "success \(percent(canary)) is below \(percent(limit)) (baseline \(percent(verdict.baseline ?? 1)), z \(rounded(verdict.z ?? 0, 10)))"
    }

    private static func milliseconds(_ nanoseconds: Double) -> String {
        "\(rounded(nanoseconds / 1e6, 100)) ms"
    }

    private static func percent(_ share: Double) -> String { "\(rounded(share * 100, 100)) %" }

    private static func rounded(_ value: Double, _ parts: Double) -> Double {
        (value * parts).rounded() / parts
    }
}
