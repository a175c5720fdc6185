/// A point in civil time: nanoseconds since 1970-01-01T00:00:00Z, leap seconds not counted.
///
/// Log lines show it; nothing measures with it (that is `Instant`). Good for the years 1678 to
/// 2261.
package struct WallTime: Comparable, Hashable, Sendable {
    /// Nanoseconds since the Unix epoch.
    package var nanoseconds: Int64

    /// The time that many nanoseconds after the Unix epoch.
    package init(nanoseconds: Int64) { self.nanoseconds = nanoseconds }

    package static func < (left: WallTime, right: WallTime) -> Bool {
        left.nanoseconds < right.nanoseconds
    }

    /// RFC 3339 in UTC, to the millisecond: `2026-11-21T04:15:00.123Z`.
    package var text: String {
        unsafe String(unsafeUninitializedCapacity: 24) { memory in
            // The closure's memory has the 24 bytes that the time takes.
            guard let start = memory.baseAddress else { return 0 }
            var clock = CivilClock()
            var writer = unsafe TextWriter(start: start, capacity: 24)
            clock.writeMilliseconds(self, into: &writer)
            return writer.count
        }
    }

    /// Whole seconds since the epoch, and the nanoseconds (0 or more) above them.
    var parts: (second: Int64, nanosecond: UInt64) {
        var (second, rest) = nanoseconds.quotientAndRemainder(dividingBy: 1_000_000_000)
        if rest < 0 {
            second -= 1
            rest += 1_000_000_000
        }
        return (second, UInt64(rest))
    }
}
