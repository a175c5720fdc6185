// Days to dates
// -------------
// A year that starts in March has its odd month at the end, so month lengths follow one line:
// month m (0 = March) starts on day (153 m + 2) / 5. Days are counted in eras of 400 years
// (146,097 days), inside which leap years are a matter of three divisions.
// Source: Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms", civil_from_days.

/// Writes times as RFC 3339 text in UTC and remembers the text of the current second.
///
/// Lines of one second share everything before the fraction, so the date is worked out once per
/// second. One clock belongs to one thread.
package struct CivilClock: Sendable {
    private var second = Int64.min
    // "2026-11-21T04:15:00." in the bytes of three words, the last four unused.
    private var text: (UInt64, UInt64, UInt64) = (0, 0, 0)

    /// A clock that remembers nothing yet.
    package init() {}

    /// Writes `2026-11-21T04:15:00.123456Z`, 27 bytes.
    @inline(__always)
    mutating func writeMicroseconds(_ time: WallTime, into writer: inout TextWriter) {
        let nanosecond = writeSecond(time, &writer)
        writer.digits(of: nanosecond / 1_000, width: 6)
        writer.byte(0x5A)
    }

    /// Writes `2026-11-21T04:15:00.123Z`, 24 bytes.
    @inline(__always)
    mutating func writeMilliseconds(_ time: WallTime, into writer: inout TextWriter) {
        let nanosecond = writeSecond(time, &writer)
        writer.digits(of: nanosecond / 1_000_000, width: 3)
        writer.byte(0x5A)
    }

    @inline(__always)
    private mutating func writeSecond(_ time: WallTime, _ writer: inout TextWriter) -> UInt64 {
        let (second, nanosecond) = time.parts
        if second != self.second { remember(second) }
        writer.word(text.0)
        writer.word(text.1)
        writer.word(text.2)
        writer.retract(4)
        return nanosecond
    }

    private mutating func remember(_ second: Int64) {
        self.second = second
        let (date, clock) = CivilClock.split(second, by: 86_400)
        let (year, month, day) = CivilClock.civil(daysSinceEpoch: date)
        func pair(_ value: Int64) -> UInt64 {
            UInt64(value / 10 + 0x30) | UInt64(value % 10 + 0x30) << 8
        }
        let dash: UInt64 = 0x2D
        let colon: UInt64 = 0x3A
        // YYYY-MM-
        text.0 =
            pair(year / 100) | pair(year % 100) << 16 | dash << 32 | pair(month) << 40 | dash << 56
        // DDTHH:MM
        text.1 =
            pair(day) | 0x54 << 16 | pair(clock / 3_600) << 24 | colon << 40
            | pair(clock / 60 % 60) << 48
        // :SS.
        text.2 = colon | pair(clock % 60) << 8 | 0x2E << 24
    }

    /// The date that many days after 1970-01-01, in the proleptic Gregorian calendar.
    static func civil(daysSinceEpoch days: Int64) -> (year: Int64, month: Int64, day: Int64) {
        // 719,468 days lie between 0000-03-01 and 1970-01-01.
        let (era, dayOfEra) = split(days + 719_468, by: 146_097)
        let yearOfEra =
            (dayOfEra - dayOfEra / 1_460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let marchMonth = (5 * dayOfYear + 2) / 153
        let day = dayOfYear - (153 * marchMonth + 2) / 5 + 1
        let month = marchMonth < 10 ? marchMonth + 3 : marchMonth - 9
        return (yearOfEra + era * 400 + (month <= 2 ? 1 : 0), month, day)
    }

    /// Division that rounds down, so that times before the epoch work too.
    private static func split(_ value: Int64, by unit: Int64) -> (Int64, Int64) {
        let (quotient, rest) = value.quotientAndRemainder(dividingBy: unit)
        return rest < 0 ? (quotient - 1, rest + unit) : (quotient, rest)
    }
}
