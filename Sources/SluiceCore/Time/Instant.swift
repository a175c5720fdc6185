/// A point on the monotonic clock, in nanoseconds since an arbitrary start.
///
/// Only a kernel reads the clock; everybody else is handed an instant.
public struct Instant: BitwiseCopyable, Comparable, Hashable, Sendable {
    public var nanoseconds: Int64

    /// The instant that many nanoseconds after the clock's start.
    @inlinable
    public init(nanoseconds: Int64) { self.nanoseconds = nanoseconds }

    /// The clock's start.
    @inlinable public static var zero: Instant { Instant(nanoseconds: 0) }

    /// An instant no clock reaches: "never".
    @inlinable public static var distantFuture: Instant { Instant(nanoseconds: .max) }

    // Written out: what the compiler makes up is called, not inlined, from other modules.
    @inlinable
    public static func == (left: Instant, right: Instant) -> Bool {
        left.nanoseconds == right.nanoseconds
    }

    @inlinable
    public static func < (left: Instant, right: Instant) -> Bool {
        left.nanoseconds < right.nanoseconds
    }

    /// The instant `duration` later; saturates at ``distantFuture``.
    public static func + (instant: Instant, duration: Duration) -> Instant {
        let (sum, overflow) = instant.nanoseconds.addingReportingOverflow(duration.nanoseconds)
        return overflow ? .distantFuture : Instant(nanoseconds: sum)
    }

    /// Whole nanoseconds from `earlier` to this instant; cheaper than a `Duration`, which is a
    /// 128-bit number.
    @inlinable
    public func nanoseconds(since earlier: Instant) -> Int64 {
        nanoseconds &- earlier.nanoseconds
    }

    /// The instant that many nanoseconds later; saturates at ``distantFuture``.
    @inlinable
    public func advanced(byNanoseconds count: Int64) -> Instant {
        let (sum, overflow) = nanoseconds.addingReportingOverflow(count)
        return overflow ? .distantFuture : Instant(nanoseconds: sum)
    }

    /// The time from `earlier` to `later`.
    public static func - (later: Instant, earlier: Instant) -> Duration {
        .nanoseconds(later.nanoseconds - earlier.nanoseconds)
    }
}

extension Duration {
    /// The whole nanoseconds of this duration, saturating at about 292 years.
    package var nanoseconds: Int64 {
        // Up to 584 years one division does, as the quotient has 64 bits; `components` takes many more.
        let whole = attoseconds
        let (high, low) = (whole >> 64, UInt64(truncatingIfNeeded: whole))
        if high >= 0, high < 1_000_000_000 {
            let billion: UInt64 = 1_000_000_000
            return Int64(clamping: billion.dividingFullWidth((UInt64(high), low)).quotient)
        }
        let (seconds, attoseconds) = components
        let (scaled, overflow) = seconds.multipliedReportingOverflow(by: 1_000_000_000)
        guard !overflow else { return seconds < 0 ? .min : .max }
        let (sum, carried) = scaled.addingReportingOverflow(attoseconds / 1_000_000_000)
        return carried ? (seconds < 0 ? .min : .max) : sum
    }

    /// This duration in seconds, as metrics and log lines want it.
    package var inSeconds: Double { Double(nanoseconds) / 1e9 }
}
