/// The two text forms in which numbers leave the process.
package enum ExpositionFormat: Hashable, Sendable, CaseIterable {
    /// Prometheus text format 0.0.4.
    case prometheus
    /// OpenMetrics 1.0.
    case openMetrics

    /// The value of the response's `content-type`.
    package var contentType: StaticString {
        switch self {
        case .prometheus: "text/plain; version=0.0.4; charset=utf-8"
        case .openMetrics: "application/openmetrics-text; version=1.0.0; charset=utf-8"
        }
    }

    /// The form that the value of an `accept` field asks for.
    ///
    /// OpenMetrics only where it's named, in a version we speak, and not liked less than plain
    /// text; anything else, nonsense included, gets Prometheus text. Source: RFC 9110 §12.5.1.
    package static func preferred(byAccept accept: String) -> ExpositionFormat {
        var openMetrics = 0
        var plain = 0
        var wildcard = 0
        for range in accept.split(separator: ",") {
            var parts = range.split(separator: ";").map { trimmed($0).lowercased() }
            guard !parts.isEmpty else { continue }
            let type = parts.removeFirst()
            let quality = parts.first { $0.hasPrefix("q=") }.map { thousandths($0.dropFirst(2)) }
            let version = parts.first { $0.hasPrefix("version=") }?
                .dropFirst("version=".count).filter { $0 != "\"" }
            switch type {
            case "application/openmetrics-text" where version == nil || version == "1.0.0":
                openMetrics = max(openMetrics, quality ?? 1_000)
            case "text/plain" where version == nil || version == "0.0.4":
                plain = max(plain, quality ?? 1_000)
            case "text/*", "*/*":
                wildcard = max(wildcard, quality ?? 1_000)
            default:
                break
            }
        }
        return openMetrics > plain && openMetrics >= wildcard ? .openMetrics : .prometheus
    }

    private static func trimmed(_ text: Substring) -> Substring {
        var text = text.drop { $0 == " " || $0 == "\t" }
        while text.last == " " || text.last == "\t" { text.removeLast() }
        return text
    }

    /// A quality value (RFC 9110 §12.4.2) in thousandths; zero when it isn't one.
    private static func thousandths(_ text: Substring) -> Int {
        guard let whole = text.first, whole == "0" || whole == "1" else { return 0 }
        let rest = text.dropFirst()
        guard !rest.isEmpty else { return whole == "1" ? 1_000 : 0 }
        let digits = rest.dropFirst()
        guard rest.first == ".", digits.count <= 3, digits.utf8.allSatisfy({ $0 &- 0x30 < 10 })
        else { return 0 }
        guard whole == "0" else { return 1_000 }
        let padded = digits + String(repeating: "0", count: 3 - digits.count)
        return Int(padded) ?? 0
    }
}
