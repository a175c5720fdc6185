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

    /// The shortest exact spelling of a duration.
    static func text(_ duration: Duration) -> String {
        let nanoseconds = duration.components.seconds * 1_000_000_000
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
}
