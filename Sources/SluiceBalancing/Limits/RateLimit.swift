package import SluiceCore

/// How many requests a model takes, from everybody together or from each caller.
package struct RateLimit: Sendable, Hashable {
    /// What a bucket is kept for.
    package enum Scope: Sendable, Hashable {
        /// One for the model.
        case model
        /// One for each address that clients connect from.
        case client
        /// One for each value of a header, its name in lower case; requests without it share one.
        case header(String)
    }

    /// The time a rate is given for.
    package enum Period: String, Sendable, CaseIterable {
        case second = "s"
        case minute = "m"
        case hour = "h"

        /// Its length.
        package var nanoseconds: Int64 {
            switch self {
            case .second: 1_000_000_000
            case .minute: 60_000_000_000
            case .hour: 3_600_000_000_000
            }
        }
    }

    /// The largest rate and burst; with it a bucket's level fits 64 bits whatever the period.
    package static let maximum = 1_000_000

    /// Requests in each ``period``, from 1 to ``maximum``.
    package var rate: Int
    package var period: Period
    /// Requests that may come at once after a pause, from 1 to ``maximum``.
    package var burst: Int
    package var scope: Scope

    /// A limit; the numbers are the caller's to check.
    package init(rate: Int, per period: Period, burst: Int, scope: Scope) {
        precondition(
            (1...RateLimit.maximum).contains(rate) && (1...RateLimit.maximum).contains(burst),
            "rates and bursts are from 1 to \(RateLimit.maximum)"
        )
        self.rate = rate
        self.period = period
        self.burst = burst
        self.scope = scope
    }

    /// The rate as it is configured: `100/s`.
    package var rateText: String { "\(rate)/\(period.rawValue)" }
}

// A token is as many units as its period has nanoseconds; so `rate` units fall into the bucket each
// nanosecond, and neither a third of a token nor a rate of 7/h is ever rounded.

/// Requests that may go on now: falls by one for each, and fills up steadily.
package struct TokenBucket: BitwiseCopyable, Sendable {
    private var level: Int64
    private var filled = Int64.min

    /// A full bucket.
    package init(full limit: RateLimit) { level = TokenBucket.capacity(limit) }

    private static func capacity(_ limit: RateLimit) -> Int64 {
        Int64(limit.burst) * limit.period.nanoseconds
    }

    private mutating func fill(_ limit: RateLimit, _ now: Instant) {
        // Workers' clocks are read once a tick, so another's may be a little behind.
        guard now.nanoseconds > filled else { return }
        let capacity = TokenBucket.capacity(limit)
        let (elapsed, isLong) = now.nanoseconds.subtractingReportingOverflow(filled)
        let (fresh, isMuch) = elapsed.multipliedReportingOverflow(by: Int64(limit.rate))
        filled = now.nanoseconds
        level = isLong || isMuch || fresh >= capacity - level ? capacity : level + fresh
    }

    /// Takes a token; returns 0, or else the nanoseconds until there is one, rounded up.
    package mutating func take(_ limit: RateLimit, at now: Instant) -> Int64 {
        fill(limit, now)
        let token = limit.period.nanoseconds
        if level >= token {
            level -= token
            return 0
        }
        let (whole, rest) = (token - level).quotientAndRemainder(dividingBy: Int64(limit.rate))
        return whole + (rest > 0 ? 1 : 0)
    }

    /// Puts a token back that was taken for nothing.
    package mutating func giveBack(_ limit: RateLimit) {
        level = min(level + limit.period.nanoseconds, TokenBucket.capacity(limit))
    }

    /// Whether nothing is owed any more, so that forgetting the bucket changes nothing.
    package mutating func isFull(_ limit: RateLimit, at now: Instant) -> Bool {
        fill(limit, now)
        return level == TokenBucket.capacity(limit)
    }
}
