// `30s`, `64MiB`: numbers with their unit, as configurations write them.

enum Units {
    private static let times: [(String, Double)] = [
        ("ms", 1e6), ("us", 1e3), ("s", 1e9), ("m", 60e9), ("h", 3600e9),
    ]
    private static let sizes: [(String, Double)] = [
        ("KiB", 1024), ("MiB", 1_048_576), ("GiB", 1_073_741_824), ("kB", 1e3), ("KB", 1e3),
        ("MB", 1e6), ("GB", 1e9), ("B", 1), ("", 1),
    ]

    static func duration(_ text: String) -> Duration? {
        guard let value = scaled(text, times), value < 9e18 else { return nil }
        return .nanoseconds(Int64(value))
    }

    static func bytes(_ text: String) -> Int? {
        guard let value = scaled(text, sizes), value < 9e18 else { return nil }
        return Int(value)
    }

    private static func scaled(_ text: String, _ units: [(String, Double)]) -> Double? {
        for (unit, factor) in units where text.hasSuffix(unit) {
            let digits = text.dropLast(unit.count)
            guard let first = digits.first, first.isASCII, first.isNumber,
                digits.allSatisfy({ $0.isASCII && ($0.isNumber || $0 == ".") }),
                let number = Double(digits)
            else { continue }
            return number * factor
        }
        return nil
    }

    /// A percentage from 0 to 100 with up to two decimals, in hundredths of a percent.
    static func basisPoints(_ text: String) -> Int? {
        let parts = text.split(separator: ".", omittingEmptySubsequences: false)
        guard parts.count <= 2, let whole = Int(parts[0]), (0...100).contains(whole) else {
            return nil
        }
        var fraction = 0
        if parts.count == 2 {
            guard (1...2).contains(parts[1].count), let digits = Int(parts[1]), digits >= 0 else {
                return nil
            }
            fraction = parts[1].count == 1 ? digits * 10 : digits
        }
        let points = whole * 100 + fraction
        return points <= 10_000 ? points : nil
    }

    /// Basis points as the percentage they were written as.
    static func percent(_ points: Int) -> String {
        let (whole, rest) = points.quotientAndRemainder(dividingBy: 100)
        guard rest != 0 else { return "\(whole)" }
        let digits = rest < 10 ? "0\(rest)" : "\(rest)"
        return "\(whole).\(digits.hasSuffix("0") ? String(digits.dropLast()) : digits)"
    }

    /// The shortest exact spelling of a duration.
    static func text(_ duration: Duration) -> String {
        let nanoseconds =
            duration.components.seconds * 1_000_000_000
            + duration.components.attoseconds / 1_000_000_000
        for (unit, size) in [("h", 3_600_000_000_000), ("m", 60_000_000_000), ("s", 1_000_000_000)]
            as [(String, Int64)] where nanoseconds >= size && nanoseconds % size == 0
        { return "\(nanoseconds / size)\(unit)" }
        return nanoseconds == 0 ? "0s" : "\(nanoseconds / 1_000_000)ms"
    }

    /// The shortest exact spelling of a size.
    static func text(bytes: Int) -> String {
        for (unit, size) in [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)]
        where bytes >= size && bytes % size == 0 { return "\(bytes / size)\(unit)" }
        return "\(bytes)"
    }
}

extension Configuration {
    /// Reads `250ms`, `30s`, `5m` or `1h`; nil when it is something else.
    package static func duration(_ text: String) -> Duration? { Units.duration(text) }

    /// Reads `64KiB`, `1GiB` or a number of bytes; nil when it is something else.
    package static func bytes(_ text: String) -> Int? { Units.bytes(text) }

    /// Reads a percentage such as `99.95` as basis points; nil when it is something else.
    package static func basisPoints(_ text: String) -> Int? { Units.basisPoints(text) }

    /// The shortest exact spelling of a duration: `90s`, `250ms`.
    package static func text(_ duration: Duration) -> String { Units.text(duration) }

    /// Basis points as a percentage: 9995 is `99.95`.
    package static func percent(_ points: Int) -> String { Units.percent(points) }
}
