import Foundation
import SluiceWire

/// The table that `sluice status` prints and `sluice top` keeps on the screen.
///
/// Made of the admin API's models alone; a dash is a number there is none of.
enum StatusTable {
    /// The table as text; where it is wider than `width`, columns that matter least are left out.
    static func text(_ models: [JSONValue], width: Int = .max) -> String {
        var rows = rows(models)
        var numbers = 4
        for name in ["P50", "IN FLIGHT", "BACKENDS", "CACHE HITS"] {
            let text = Terminal.table(rows, numbers: numbers)
            guard text.prefix(while: { $0 != "\n" }).count > width,
                let place = rows[0].firstIndex(of: name)
            else { return text }
            for index in rows.indices { rows[index].remove(at: place) }
            if place < numbers { numbers -= 1 }
        }
        return Terminal.table(rows, numbers: numbers)
    }

    /// One row per revision, the heading first.
    private static func rows(_ models: [JSONValue]) -> [[String]] {
        var rows = [
            [
                "MODEL", "REVISION", "TRAFFIC", "BACKENDS", "IN FLIGHT", "REQ/S", "ERRORS", "P50",
                "P99", "CACHE HITS",
            ]
        ]
        for model in models {
            let cache = model["cache"] ?? .null
            let hits = cache == .null ? "off" : ratio(cache["hitRatio"])
            for revision in model["revisions"]?.elements ?? [] {
                rows.append([
                    visible(model["name"]), visible(revision["name"]), traffic(revision),
                    backends(revision), load(revision),
                    rate(revision["requestsPerSecond"]), ratio(revision["errorRatio"]),
                    duration(revision["p50Seconds"]), duration(revision["p99Seconds"]), hits,
                ])
            }
        }
        return rows
    }

    /// The revision's share, and the file's where that is another.
    private static func traffic(_ revision: JSONValue) -> String {
        let now = revision["traffic"]?.double ?? 0
        let text = String(format: "%g %%", now)
        guard let configured = revision["configuredTraffic"]?.double, configured != now else {
            return text
        }
        return text + String(format: " (file %g %%)", configured)
    }

    private static func backends(_ revision: JSONValue) -> String {
        let all = revision["backends"]?.elements ?? []
        let up = all.count {
            $0["health"]?.text == "up" && ($0["state"]?.text ?? "ready") == "ready"
        }
        let ejected = all.count { $0["health"]?.text == "ejected" }
        return "\(up)/\(all.count) up" + (ejected > 0 ? ", \(ejected) ejected" : "")
    }

    /// A line for each backend with which something is wrong, and how many more there are.
    static func troubles(_ models: [JSONValue]) -> [String] {
        var lines: [String] = []
        var count = 0
        for model in models {
            for revision in model["revisions"]?.elements ?? [] {
                for backend in revision["backends"]?.elements ?? [] {
                    guard let reason = backend["reason"], reason != .null else { continue }
                    count += 1
                    guard count <= troublesMaximum else { continue }
                    lines.append(
                        "\(visible(model["name"])) \(visible(revision["name"])) \(visible(backend["address"])) is \(visible(backend["health"])): \(visible(reason))"
                    )
                }
            }
        }
        if count > troublesMaximum { lines.append("and \(count - troublesMaximum) more backends") }
        return lines
    }

    private static let troublesMaximum = 50

    /// Requests under way, and those that wait for a backend.
    private static func load(_ revision: JSONValue) -> String {
        let queued = revision["queued"]?.integer ?? 0
        return "\(revision["inFlight"]?.integer ?? 0)" + (queued > 0 ? " + \(queued) queued" : "")
    }

    static func rate(_ value: JSONValue?) -> String {
        guard let value = value?.double else { return "-" }
        return value > 0 && value < 10
            ? String(format: "%.1f", value) : String(format: "%.0f", value)
    }

    private static func ratio(_ value: JSONValue?) -> String {
        value?.double.map { String(format: "%.1f %%", 100 * $0) } ?? "-"
    }

    static func duration(_ value: JSONValue?) -> String {
        guard let seconds = value?.double else { return "-" }
        return seconds < 1
            ? String(format: "%.1f ms", 1000 * seconds) : String(format: "%.2f s", seconds)
    }

    /// Text without what could move the cursor.
    static func visible(_ value: JSONValue?) -> String {
        let text = value?.text ?? "-"
        return String(
            text.unicodeScalars.map {
                $0.properties.generalCategory == .control ? "?" : Character($0)
            }
        )
    }
}
