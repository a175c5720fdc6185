// Passive health: what callers' answers say of a backend.
//
// Five failures in a row of the kind that says "this backend can't serve" take it out, for 30 s the
// first time and 30 s more each time after. Ejecting too much is the best known fault of such
// machinery, so at most half of a revision's backends are out, and never the last one that works.
package import SluiceCore
private import Synchronization

/// When backends are ejected, and for how long.
package struct OutlierPolicy: Sendable, Equatable {
    /// Failures in a row that eject; 0 turns ejection off.
    package var consecutiveFailures = 5
    /// How long the first ejection lasts.
    package var baseEjection = Duration.seconds(30)
    /// How much of a revision may be ejected; one backend of several always may.
    package var maxEjectedPercent = 50
    /// Below this share of usable backends health is no longer believed; 0 always believes it.
    package var panicPercent = 50

    /// The defaults.
    package init() {}

    /// No ejection lasts longer, unless `baseEjection` itself is.
    static let ejectionMaximum = Duration.seconds(300)
}

/// Takes a revision's failing backends out of use, one decision at a time over all workers.
package final class OutlierDetector: Sendable {
    private let turn = Mutex<Void>(())

    /// A detector.
    package init() {}

    /// Ejects `host` if its failures call for it and the others allow it; returns whether it did.
    ///
    /// `record` is what ``BackendLoad/note(_:at:)`` returned for the latest failure.
    package func record(
        _ host: BackendLoad,
        _ record: FailureRecord,
        among hosts: [BackendLoad],
        policy: OutlierPolicy,
        at now: Instant
    ) -> Bool {
        guard policy.consecutiveFailures > 0, record.streak >= policy.consecutiveFailures else {
            return false
        }
        return turn.withLock { _ in
            guard host.health == .up || host.health == .unknown else { return false }
            let ejected = hosts.count { $0.health == .ejected && !$0.isUsable(at: now) }
            let others = hosts.count { $0 != host && $0.isUsable(at: now) }
            guard
                OutlierDetector.allows(
                    hosts: hosts.count,
                    ejected: ejected,
                    othersUsable: others,
                    percent: policy.maxEjectedPercent
                )
            else { return false }
            let base = policy.baseEjection.nanoseconds
            _ = host.eject(
                base: base,
                maximum: max(base, OutlierPolicy.ejectionMaximum.nanoseconds),
                at: now
            )
            return true
        }
    }

    /// Whether one more may be ejected.
    package static func allows(hosts: Int, ejected: Int, othersUsable: Int, percent: Int) -> Bool {
        othersUsable > 0 && ejected < max(1, hosts * percent / 100)
    }
}
