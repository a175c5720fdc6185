import SluiceCore

/// What the backends of one revision answered in some stretch of time.
///
/// Answers from the cache aren't in it: they hide latency and errors. Nor are those that failed by
/// their client's fault, but for their number.
package struct RolloutWindow: Sendable, Equatable {
    /// Good answers by duration, in the buckets of `DurationScale`.
    package var durations: [UInt64]
    /// Good answers whose duration says nothing (streams).
    package var unmeasured: UInt64
    /// Bad answers, and none.
    package var failures: UInt64
    /// Requests that failed by their client's fault.
    package var clientFaults: UInt64

    /// A stretch in which nothing happened.
    package init() {
        durations = []
        (unmeasured, failures, clientFaults) = (0, 0, 0)
    }

    /// A stretch as counted; `durations` is empty or has `DurationScale.count` elements.
    package init(
        durations: [UInt64],
        unmeasured: UInt64 = 0,
        failures: UInt64,
        clientFaults: UInt64 = 0
    ) {
        precondition(
            durations.isEmpty || durations.count == DurationScale.count,
            "durations are counted in the scale's buckets"
        )
        self.durations = durations
        self.unmeasured = unmeasured
        self.failures = failures
        self.clientFaults = clientFaults
    }

    /// What has come since `earlier`, a reading of the same counters.
    ///
    /// Counters that are below what they were began anew, and count from zero.
    package func since(_ earlier: RolloutWindow) -> RolloutWindow {
        func minus(_ now: UInt64, _ before: UInt64) -> UInt64 {
            now >= before ? now - before : now
        }
        var durations = durations
        if durations.count == earlier.durations.count {
            for index in durations.indices {
                durations[index] = minus(durations[index], earlier.durations[index])
            }
        }
        return RolloutWindow(
            durations: durations,
            unmeasured: minus(unmeasured, earlier.unmeasured),
            failures: minus(failures, earlier.failures),
            clientFaults: minus(clientFaults, earlier.clientFaults)
        )
    }

    // MARK: - What it says

    /// Good answers with a duration.
    package var measured: UInt64 { durations.reduce(0, &+) }

    /// Answers that are judged, good and bad.
    package var requests: UInt64 { measured + unmeasured + failures }

    /// Answers, good and bad, whose durations could be compared.
    package var comparable: UInt64 { measured + failures }

    /// The share of good answers, 0 to 1; 1 when there were none at all.
    package var success: Double {
        let requests = requests
        return requests == 0 ? 1 : Double(requests - failures) / Double(requests)
    }

    /// The duration that `share` of the good answers kept within, in nanoseconds.
    ///
    /// Linear inside a bucket, which is at most a sixteenth of its values wide.
    ///
    /// - Parameter share: above 0 and up to 1.
    /// - Returns: nil where nothing was measured.
    package func quantile(_ share: Double) -> Double? {
        let total = measured
        guard total > 0 else { return nil }
        let rank = share * Double(total)
        var below = 0.0
        for (bucket, count) in durations.enumerated() where count > 0 {
            if below + Double(count) >= rank {
                let range = DurationScale.range(of: bucket)
                let inside = (rank - below) / Double(count)
                return Double(range.lowerBound)
                    + inside * Double(range.upperBound - range.lowerBound)
            }
            below += Double(count)
        }
        return nil
    }

    /// How many standard errors this stretch's share of bad answers is above `other`'s.
    ///
    /// The pooled two-proportion z test; 0 where either is empty or none or all failed.
    package func excessFailures(over other: RolloutWindow) -> Double {
        let (mine, others) = (Double(requests), Double(other.requests))
        guard mine > 0, others > 0 else { return 0 }
        let pooled = (Double(failures) + Double(other.failures)) / (mine + others)
        let error = (pooled * (1 - pooled) * (1 / mine + 1 / others)).squareRoot()
        return error > 0 ? (other.success - success) / error : 0
    }
}
