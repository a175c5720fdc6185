import SluiceCore
import Yams

/// Collects what is wrong, so that one run of `sluice check` shows everything.
final class Findings {
    let file: String
    private(set) var diagnostics: [Diagnostic] = []
    /// What was asked for, when a test wants to know.
    var keysRead: [KeyRead]?

    init(file: String) { self.file = file }

    /// Takes what was found in another file.
    func absorb(_ other: Findings) { diagnostics += other.diagnostics }

    func add(_ message: String, at node: Node) {
        add(message, line: node.mark?.line ?? 1, column: node.mark?.column ?? 1)
    }

    func add(_ message: String, line: Int, column: Int) {
        diagnostics.append(
            Diagnostic(
                file: file,
                line: line,
                column: column,
                message: Redaction.text(message)
            )
        )
    }
}

/// One mapping of the document: asked key by key, then asked whether anything was left.
struct Section {
    /// Where the mapping is called what, for messages: `limits`, `models[0]`.
    let name: String
    let node: Node
    let findings: Findings
    private var known: [String] = []
    private let entries: [(key: String, keyNode: Node, value: Node)]

    /// Nil, with a diagnostic, when the node isn't a mapping with text keys.
    init?(_ node: Node, name: String, _ findings: Findings) {
        guard let mapping = node.mapping else {
            findings.add("\(Section.called(name)) must be a mapping of keys to values", at: node)
            return nil
        }
        self.name = name
        self.node = node
        self.findings = findings
        var entries: [(String, Node, Node)] = []
        var merged: [Node] = []
        for (key, value) in mapping {
            guard let text = key.string else {
                findings.add("a key must be plain text", at: key)
                continue
            }
            if text == "<<" {
                merged += value.sequence.map { Array($0) } ?? [value]
            } else {
                entries.append((text, key, value))
            }
        }
        // `<<: *defaults` (YAML's "merge" type): what the mapping itself says, and what stands
        // before, counts.
        for node in merged {
            guard let mapping = node.mapping else {
                findings.add("`<<` takes a mapping or a list of them, such as *defaults", at: node)
                continue
            }
            for (key, value) in mapping {
                guard let text = key.string, !entries.contains(where: { $0.0 == text }) else {
                    continue
                }
                entries.append((text, key, value))
            }
        }
        self.entries = entries
    }

    private func note(_ key: String, _ form: KeyRead.Form, isRequired: Bool = false) {
        guard findings.keysRead != nil else { return }
        findings.keysRead?.append(
            KeyRead(
                section: name.replacing(#/\[[0-9]+\]/#, with: ""),
                key: key,
                form: form,
                isPresent: entries.contains { $0.key == key },
                isRequired: isRequired
            )
        )
    }

    private static func called(_ name: String) -> String {
        name.isEmpty ? "the configuration" : "`\(name)`"
    }

    private func path(_ key: String) -> String { name.isEmpty ? key : "\(name).\(key)" }

    /// The value under `key`; asking makes the key known.
    mutating func value(_ key: String) -> Node? {
        note(key, .node)
        known.append(key)
        guard let value = entries.first(where: { $0.key == key })?.value else { return nil }
        return Section.isNull(value) ? nil : value
    }

    /// `key:` with nothing after it, `key: ~` and `key: null` are the same as no key (YAML 1.2 §10.3.2).
    private static func isNull(_ node: Node) -> Bool {
        guard let scalar = node.scalar, scalar.style == .plain || scalar.style == .any,
            ["", "~", "null", "Null", "NULL"].contains(scalar.string)
        else { return false }
        // `!!str null` is a text.
        return node.tag.description.hasSuffix("null")
    }

    /// The value under `key`, or a diagnostic at the section.
    mutating func required(_ key: String) -> Node? {
        note(key, .node, isRequired: true)
        if let value = value(key) { return value }
        if let empty = entries.first(where: { $0.key == key }) {
            findings.add("`\(path(key))` has no value, and it must have one", at: empty.keyNode)
            return nil
        }
        findings.add("\(Section.called(name)) needs the key `\(key)`", at: node)
        return nil
    }

    mutating func text(_ key: String) -> String? {
        note(key, .text)
        guard let value = value(key) else { return nil }
        guard let text = value.scalar?.string, !text.isEmpty else {
            findings.add("`\(path(key))` must be text", at: value)
            return nil
        }
        return text
    }

    mutating func flag(_ key: String, _ place: inout Bool) {
        note(key, .flag(plain: place))
        guard let value = value(key) else { return }
        guard let flag = value.bool else {
            findings.add("`\(path(key))` must be true or false, not \(found(value))", at: value)
            return
        }
        place = flag
    }

    mutating func number(_ key: String, _ range: ClosedRange<Int>, _ place: inout Int) {
        note(key, .number(range, plain: place))
        guard let value = value(key) else { return }
        guard let text = value.scalar?.string, let number = Int(text) else {
            findings.add(
                "`\(path(key))` must be a whole number, not \(found(value))",
                at: value
            )
            return
        }
        guard range.contains(number) else {
            findings.add(
                "`\(path(key))` must be from \(range.lowerBound) to \(range.upperBound), not \(number)",
                at: value
            )
            return
        }
        place = number
    }

    /// A year; longer times are slips of a unit, and would pass what a clock can count.
    private static let durationMaximum = Duration.seconds(365 * 86_400)
    /// 1 PiB.
    private static let bytesMaximum = 1 << 50

    mutating func duration(_ key: String, from minimum: Duration, _ place: inout Duration) {
        note(key, .duration(from: minimum, plain: place))
        guard let value = value(key) else { return }
        guard let text = value.scalar?.string, let duration = Units.duration(text) else {
            findings.add(
                "`\(path(key))` must be a time such as 250ms, 30s or 5m, not \(found(value))",
                at: value
            )
            return
        }
        guard duration >= minimum else {
            findings.add(
                "`\(path(key))` must be at least \(Units.text(minimum)), not \(found(value))",
                at: value
            )
            return
        }
        guard duration <= Section.durationMaximum else {
            findings.add(
                "`\(path(key))` must be at most \(Units.text(Section.durationMaximum)), not \(found(value))",
                at: value
            )
            return
        }
        place = duration
    }

    mutating func bytes(_ key: String, from minimum: Int, _ place: inout Int) {
        note(key, .bytes(from: minimum, plain: place))
        guard let value = value(key) else { return }
        guard let text = value.scalar?.string, let bytes = Units.bytes(text) else {
            findings.add(
                "`\(path(key))` must be a size such as 64KiB, 64MiB or 1GiB, not \(found(value))",
                at: value
            )
            return
        }
        guard bytes >= minimum else {
            findings.add(
                "`\(path(key))` must be at least \(Units.text(bytes: minimum)), not \(found(value))",
                at: value
            )
            return
        }
        guard bytes <= Section.bytesMaximum else {
            findings.add(
                "`\(path(key))` must be at most \(Units.text(bytes: Section.bytesMaximum)), not \(found(value))",
                at: value
            )
            return
        }
        place = bytes
    }

    /// The elements of a list that isn't empty.
    mutating func list(_ key: String) -> [Node] {
        note(key, .list)
        guard let value = required(key) else { return [] }
        guard let sequence = value.sequence else {
            findings.add("`\(path(key))` must be a list (lines that begin with `- `)", at: value)
            return []
        }
        if sequence.isEmpty { findings.add("`\(path(key))` must not be empty", at: value) }
        return Array(sequence)
    }

    /// Complains about every key nobody has asked for.
    func finish() {
        for entry in entries where !known.contains(entry.key) {
            var message = "unknown key `\(path(entry.key))`"
            if let near = nearest(entry.key) {
                message += "; did you mean `\(near)`?"
            } else {
                message += "; known here: \(known.sorted().joined(separator: ", "))"
            }
            findings.add(message, at: entry.keyNode)
        }
    }

    private func found(_ node: Node) -> String {
        if let text = node.scalar?.string { return "'\(Redaction.value(text))'" }
        return node.sequence != nil ? "a list" : "a mapping"
    }

    /// The known key that takes the fewest edits, if few are enough.
    private func nearest(_ key: String) -> String? {
        let ranked = known.map { ($0, editDistance($0.lowercased(), key.lowercased())) }
        guard let best = ranked.min(by: { $0.1 < $1.1 }), best.1 <= max(2, key.count / 3) else {
            return nil
        }
        return best.0
    }
}

/// Insertions, deletions and substitutions between two words (Levenshtein).
func editDistance(_ left: String, _ right: String) -> Int {
    let (left, right) = (Array(left), Array(right))
    var row = Array(0...right.count)
    for (i, a) in left.enumerated() {
        var diagonal = row[0]
        row[0] = i + 1
        for (j, b) in right.enumerated() {
            let above = row[j + 1]
            row[j + 1] = min(above + 1, row[j] + 1, diagonal + (a == b ? 0 : 1))
            diagonal = above
        }
    }
    return row[right.count]
}
