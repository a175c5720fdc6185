import Foundation
import Testing

/// Names that the glossary replaced by the field's terms.
///
/// A new declaration takes the term in the message of the test that fails. Configuration keys, metrics and what is in
/// the text of an answer are strings, and keep their names.
@Suite("Retired words")
struct RetiredWordsTests {
    /// A word in a name, as camel case divides it, and the term to use.
    static let words: [String: String] = [
        "flow": "request", "flows": "requests",
        "question": "canonical request, cacheable request or check",
        "questions": "canonical requests, cacheable requests or checks",
        "wish": "requested format, or command", "wishes": "response format", "wished": "requested",
        "foresee": "look ahead", "foreseen": "prefetched",
        "flight": "coalesced call", "flights": "coalesced calls",
        "overtake": "refetch", "overtaken": "refetched",
        "vain": "timed out", "desk": "coordinator",
        "unheard": "internal request", "judge": "classify or evaluate",
        "judged": "classified or evaluated",
        "stranger": "unmatched", "strangers": "unmatched",
        "spare": "stale entry", "spares": "stale entries", "spoken": "backend protocol",
        "colleague": "peer", "colleagues": "peers",
        "lent": "spillover or offloaded", "lender": "spillover from",
        "lending": "spilling over",
        "habits": "row caching", "shelf": "registry", "asker": "command origin",
        "fading": "exponential decay", "patience": "the name of the timeout",
        "books": "bookkeeping", "why": "reason",
        "stairs": "layers", "rooms": "modules",
    ]

    /// Whole types, some of whose words are good elsewhere.
    static let types: [String: String] = [
        "LinePlace": "QueueTicket", "WorkerLines": "WorkerQueues", "AbsentHost": "DetachedHost",
        "Refusal": "ErrorReply", "AdminRefusal": "AdminError", "ChangeRefusal": "ChangeError",
        "RolloutRefusal": "RolloutError", "Dialect": "RuntimeKind or HTTPVersionPolicy",
        "Replica": "WorkerSnapshot", "WarmHand": "CacheWarmer", "WarmRun": "WarmupRun",
        "HotInputs": "TopRequests", "HotTable": "TopRequestTable", "HotRequest": "TopRequest",
        "ShareWatch": "SpilloverWatch", "NameWatch": "DNSRefresher",
        "PurgeLedger": "PurgeEpochs", "LookupGate": "AdaptiveBypass",
        "AccessPiece": "AccessFragment", "LoadBoard": "BackendLoads",
        "RevisionBoard": "RevisionSharedState", "StatusBoard": "StatusReport",
        "LiveBoard": "LiveStats", "RolloutBoard": "RolloutStates",
        "AnswerBoard": "AnswerTallies", "StreamBoard": "StreamedState",
    ]

    /// Words that give one of ``words`` another meaning by standing before it or after it.
    static let pairs: Set = [
        ["flow", "control"], ["tensor", "flow"], ["over", "flow"], ["in", "flight"],
    ]

    static let keywords: Set<Substring> = [
        "func", "var", "let", "case", "struct", "class", "enum", "protocol", "typealias",
        "extension", "actor", "associatedtype",
    ]

    @Test("Retired words stand in no file name", arguments: LayeringTests.modules)
    func fileNames(module: String) throws {
        for file in try LayeringTests.sources(of: module) {
            let parts = file.name.dropLast(".swift".count).split(separator: "+")
            for part in parts {
                if let term = Self.term(for: part) {
                    Issue.record("\(module)/\(file.name): use '\(term)'")
                }
            }
        }
    }

    @Test("Retired words stand in no declaration", arguments: LayeringTests.modules)
    func declarations(module: String) throws {
        for file in try LayeringTests.sources(of: module) {
            for (name, line) in Self.declarations(in: file.lines) {
                if let term = Self.term(for: name) {
                    Issue.record("\(module)/\(file.name):\(line): '\(name)': use '\(term)'")
                }
            }
        }
    }

    @Test(
        "A retired word is found as a word of a name, not as a part of one",
        arguments: [
            ("flow", true), ("flowCount", true), ("endFlow", true), ("FlowPointer", true),
            ("overflow", false), ("workflow", false), ("flowControlError", false),
            ("inFlight", false), ("maxInFlight", false), ("FlightTable", true),
            ("RFlight", true), ("LinePlace", true), ("talent", false),
        ] as [(Substring, Bool)]
    )
    func found(name: Substring, isRetired: Bool) {
        #expect((Self.term(for: name) != nil) == isRetired)
    }

    @Test("A declaration is read off code, not off texts or comments")
    func read() {
        let source = """
            // let flow = 1
            func take(_ desk: Int, by why: Reason) { print("let wish: \\"vain\\"") } // var spare
            case shelf
            """
        let names = Self.declarations(in: source.split(separator: "\n")).map(\.name)
        #expect(names == ["take", "desk", "why", "shelf"])
    }

    /// The term to use for `name`, when one of its words is retired.
    static func term(for name: Substring) -> String? {
        if let term = types[String(name)] { return term }
        let parts = split(name)
        for (index, part) in parts.enumerated() {
            guard let term = words[part] else { continue }
            if index > 0, pairs.contains([parts[index - 1], part]) { continue }
            if index + 1 < parts.count, pairs.contains([part, parts[index + 1]]) { continue }
            return term
        }
        return nil
    }

    /// The words of a name in camel case, in lower case; an acronym is a word.
    static func split(_ name: Substring) -> [String] {
        var parts: [String] = []
        let letters = Array(name)
        for (index, letter) in letters.enumerated() {
            guard letter.isLetter else { continue }
            let startsWord =
                letter.isUppercase
                && (index == 0 || !letters[index - 1].isUppercase
                    || index + 1 < letters.count && letters[index + 1].isLowercase)
            if startsWord || parts.isEmpty || !letters[index - 1].isLetter { parts.append("") }
            parts[parts.count - 1] += letter.lowercased()
        }
        return parts
    }

    /// The names that `lines` declare, and where: what follows a keyword, and a parameter's own name.
    static func declarations(in lines: [Substring]) -> [(name: Substring, line: Int)] {
        var found: [(name: Substring, line: Int)] = []
        var isText = false
        for (index, line) in lines.enumerated() {
            if line.contains("\"\"\"") {
                // A text of one line opens and closes; else it begins or ends here.
                if line.split(separator: "\"\"\"", omittingEmptySubsequences: false).count == 2 {
                    isText.toggle()
                }
                continue
            }
            if isText { continue }
            let tokens = Self.tokens(of: line)
            for (place, token) in tokens.enumerated() {
                let isDeclared = place > 0 && keywords.contains(tokens[place - 1])
                // `name: Type`, as parameters and properties have it.
                let isTyped =
                    place + 2 < tokens.count && tokens[place + 1] == ":"
                    && (tokens[place + 2].first?.isUppercase == true || tokens[place + 2] == "[")
                guard token.first?.isLetter == true, isDeclared || isTyped else { continue }
                found.append((token, index + 1))
            }
        }
        return found
    }

    /// Names, and single marks, of a line of code up to its comment, without what is in quotes.
    static func tokens(of line: Substring) -> [Substring] {
        var tokens: [Substring] = []
        var rest = line
        while let first = rest.first {
            if rest.hasPrefix("//") { break }
            if first == "\"" {
                rest = rest.dropFirst()
                while let next = rest.first, next != "\"" {
                    rest = rest.dropFirst(next == "\\" ? 2 : 1)
                }
                rest = rest.dropFirst()
            } else if first.isLetter || first == "_" {
                let name = rest.prefix { $0.isLetter || $0.isNumber || $0 == "_" }
                tokens.append(name)
                rest = rest.dropFirst(name.count)
            } else {
                if !first.isWhitespace { tokens.append(rest.prefix(1)) }
                rest = rest.dropFirst()
            }
        }
        return tokens
    }
}
