import Yams

// From YAML text to its tree, or to a sentence that says where it isn't YAML.
extension Configuration {
    /// Nodes a document may have, aliases followed: 2,000 models of two revisions have some 200,000, and a
    /// document whose aliases lie in each other has billions.
    private static let nodeMaximum = 1_000_000

    static func compose(_ yaml: String, _ findings: Findings) -> Node? {
        do {
            guard let root = try Yams.compose(yaml: yaml) else {
                findings.add(
                    "the configuration is empty; it needs `listeners` and `models`",
                    line: 1,
                    column: 1
                )
                return nil
            }
            var left = nodeMaximum
            guard isCountable(root, &left) else {
                findings.add(
                    "the aliases (*NAME) stand for more than \(nodeMaximum) values; write out fewer of them",
                    line: 1,
                    column: 1
                )
                return nil
            }
            return root
        } catch let error as YamlError {
            let (line, column, text) = place(of: error, in: yaml)
            findings.add(text, line: line, column: column)
        } catch {
            findings.add("this is not YAML", line: 1, column: 1)
        }
        return nil
    }

    /// Counts `left` down by the nodes of a tree; false when there are more.
    private static func isCountable(_ node: Node, _ left: inout Int) -> Bool {
        left -= 1
        guard left >= 0 else { return false }
        switch node {
        case .mapping(let mapping):
            for (key, value) in mapping {
                guard isCountable(key, &left), isCountable(value, &left) else { return false }
            }
        case .sequence(let sequence):
            for element in sequence { guard isCountable(element, &left) else { return false } }
        case .scalar, .alias: break
        }
        return true
    }

    /// What the library says of other errors quotes the document, which may have passwords.
    private static func place(of error: YamlError, in yaml: String) -> (Int, Int, String) {
        switch error {
        case .scanner(_, let problem, let mark, _), .parser(_, let problem, let mark, _),
            .composer(_, let problem, let mark, _):
            if isIndentedByTab(line: mark.line, of: yaml) {
                return (mark.line, 1, "this is not YAML: a tab; lines are indented with spaces")
            }
            return (mark.line, mark.column, "this is not YAML: \(problem)")
        case .duplicatedKeysInMapping(let keys, let context):
            let names = keys.map { "`\($0)`" }.sorted().joined(separator: ", ")
            return (
                context.mark.line, context.mark.column,
                "\(names) stands twice in this mapping; keep one"
            )
        case .reader(let problem, let offset, _, _):
            let before = yaml.prefix(offset ?? 0)
            let line = before.count { $0.isNewline } + 1
            let column =
                before.count
                - (before.lastIndex(where: \.isNewline).map {
                    before.distance(from: before.startIndex, to: $0) + 1
                } ?? 0) + 1
            return (line, column, "this is not YAML: \(problem)")
        default: return (1, 1, "this is not YAML")
        }
    }

    private static func isIndentedByTab(line: Int, of yaml: String) -> Bool {
        let lines = yaml.split(
            maxSplits: max(1, line),
            omittingEmptySubsequences: false,
            whereSeparator: \.isNewline
        )
        guard lines.indices.contains(line - 1) else { return false }
        return lines[line - 1].prefix { $0 == " " || $0 == "\t" }.contains("\t")
    }
}
