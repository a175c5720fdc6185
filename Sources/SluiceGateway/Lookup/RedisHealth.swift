package import SluiceCore
package import SluiceEgress
package import SluiceRedis
import Synchronization

/// What is wrong with Redis, as all workers see it: counted each time, told once.
///
/// A server that comes and goes is told of once in a while: what goes wrong again within ten seconds
/// of going well is told only when it stays so for ten seconds.
package final class RedisHealth: Sendable {
    /// Something to log.
    package enum Notice: Hashable, Sendable {
        /// It goes wrong, or for another reason.
        case trouble(RedisUse, RedisComplaint)
        /// It goes well: again, or a connection for the first time.
        case settled(RedisUse)
    }

    /// What is wrong now.
    package struct Trouble: Hashable, Sendable {
        /// What of it.
        package let use: RedisUse
        /// And why.
        package let complaint: RedisComplaint
    }

    private struct Standing {
        var complaint: RedisComplaint?
        var since = Instant.zero
        /// What was told since it last went well for long.
        var told: Set<RedisReason> = []
        var isTold = false
        var settledAt: Instant?
    }

    private struct State {
        var standings: [RedisUse: Standing] = [:]
        var counts: [RedisReason: Int] = [:]
    }

    private static let calm = Duration.seconds(10)
    private let state = Mutex(State())

    /// Nothing is wrong.
    package init() {}

    /// Counts a complaint; returns what is to be told of it.
    package func complained(
        _ complaint: RedisComplaint,
        about use: RedisUse,
        at now: Instant
    ) -> Notice? {
        state.withLock { state in
            state.counts[complaint.reason, default: 0] += 1
            var standing = state.standings[use] ?? Standing()
            defer { state.standings[use] = standing }
            if standing.complaint == nil {
                standing.since = now
                if let settled = standing.settledAt, now >= settled + RedisHealth.calm {
                    standing.told = []
                }
            }
            standing.complaint = complaint
            let isLasting = !standing.isTold && now >= standing.since + RedisHealth.calm
            guard standing.told.insert(complaint.reason).inserted || isLasting else { return nil }
            standing.isTold = true
            return .trouble(use, complaint)
        }
    }

    /// Notes that it goes well; returns what is to be told of that.
    package func recovered(_ use: RedisUse, at now: Instant) -> Notice? {
        state.withLock { state in
            var standing = state.standings[use] ?? Standing()
            let isFirst = standing.settledAt == nil && standing.complaint == nil
            guard isFirst || standing.complaint != nil else { return nil }
            let isTold = standing.isTold || isFirst && use == .connection
            standing.complaint = nil
            standing.isTold = false
            standing.settledAt = now
            state.standings[use] = standing
            return isTold ? .settled(use) : nil
        }
    }

    /// What is wrong now, the connection first.
    package var troubles: [Trouble] {
        state.withLock { state in
            RedisUse.allCases.compactMap { use in
                state.standings[use]?.complaint.map { Trouble(use: use, complaint: $0) }
            }
        }
    }

    /// How often each reason was seen.
    package var counts: [(reason: RedisReason, count: Int)] {
        state.withLock { state in
            RedisReason.allCases.map { ($0, state.counts[$0] ?? 0) }
        }
    }
}
