import Foundation
import SluiceWire

/// A rollout's state, as the admin API has it, for people.
enum RolloutText {
    /// One line.
    static func line(_ rollout: JSONValue, model: String) -> String {
        let revision = rollout["revision"]?.text ?? "-"
        let status = rollout["status"]?.text ?? "-"
        let word = status == "rolledBack" ? "rolled back" : status
        var line = "\(model): rollout of \(revision) is \(word)"
        if status == "progressing" || status == "paused" {
            let steps = rollout["steps"]?.elements?.count ?? 0
            line += String(
                format: " at %g %% (step %d of %d)",
                rollout["weight"]?.double ?? 0,
                rollout["step"]?.integer ?? 0,
                steps
            )
        }
        if rollout["stalled"]?.flag == true { line += ", stalled" }
        return line + ": " + (rollout["reason"]?.text ?? "-")
    }

    /// Everything: where it stands and the gates with their numbers.
    static func full(_ rollout: JSONValue, model: String) -> String {
        var lines = [line(rollout, model: model)]
        let steps = (rollout["steps"]?.elements ?? []).compactMap(\.double)
            .map { String(format: "%g", $0) }.joined(separator: ", ")
        lines.append(
            "steps \(steps) %, baseline \(rollout["baseline"]?.text ?? "-"), here since \(rollout["since"]?.text ?? "-")"
                + (rollout["nextCheck"]?.text.map { ", next check at \($0)" } ?? "")
        )
        if let check = rollout["check"], check != .null {
            lines.append(Terminal.table(gates(check)))
            lines.append(
                "a check at this moment: \(check["result"]?.text ?? "-"), \(check["reason"]?.text ?? "-")"
            )
            lines.append(
                "answers since the step began: \(count(check["canaryRequests"])) of the canary, \(count(check["baselineRequests"])) of the baseline"
                    + (check["clientFaults"]?.integer.flatMap {
                        $0 > 0 ? ", \($0) left out as their clients' fault" : nil
                    } ?? "")
            )
        }
        lines.append(
            "answers in all: \(count(rollout["requests"])) of the canary, \(count(rollout["badAnswers"])) of them bad"
        )
        return lines.joined(separator: "\n")
    }

    private static func gates(_ check: JSONValue) -> [[String]] {
        var rows = [["GATE", "CANARY", "BASELINE", "LIMIT", "Z", "VERDICT"]]
        for gate in check["gates"]?.elements ?? [] {
            let unit = gate["unit"]?.text ?? ""
            func cell(_ key: String) -> String {
                gate[key]?.double.map { String(format: "%.2f %@", $0, unit) } ?? "-"
            }
            let name = gate["gate"]?.text ?? "-"
            rows.append([
                name, cell("canary"), cell("baseline"),
                (name == "success" ? ">= " : "<= ") + cell("limit"),
                gate["z"]?.double.map { String(format: "%.1f", $0) } ?? "",
                gate["result"]?.text ?? "-",
            ])
        }
        return rows
    }

    private static func count(_ value: JSONValue?) -> String { "\(value?.integer ?? 0)" }
}
