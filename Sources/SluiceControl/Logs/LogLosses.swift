import SluiceCore

/// Says once that a log loses lines, and once that it does no more.
struct LogLosses {
    /// What there is to say.
    enum Notice: Equatable {
        /// Lines are being lost.
        case losing
        /// No line was lost for a while; so many were.
        case over(UInt64)
    }

    private var seen: UInt64 = 0
    private var before: UInt64 = 0
    private var last: Int64 = 0
    /// Whether ``Notice/losing`` was said and ``Notice/over(_:)`` was not.
    private(set) var isLosing = false

    private static let quiet: Int64 = 5_000_000_000

    /// Takes note that `total` lines are lost by now; `now` is in nanoseconds of any clock.
    mutating func look(_ total: UInt64, at now: Int64) -> Notice? {
        if total > seen {
            let isNew = !isLosing
            if isNew { before = seen }
            (seen, last, isLosing) = (total, now, true)
            return isNew ? .losing : nil
        }
        guard isLosing, now - last >= LogLosses.quiet else { return nil }
        isLosing = false
        return .over(seen - before)
    }
}
