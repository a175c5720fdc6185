/// The order of a list of models.
package enum ModelSort: String, CaseIterable, Sendable {
    /// As the file has them.
    case configuration
    case name
    /// Most requests first.
    case requests
    /// Largest share of failed answers first.
    case errors
    /// Slowest first, by p99.
    case latency
    /// What needs a look first.
    case health
}

/// Which models a list has, and in which order.
package struct ModelQuery: Hashable, Sendable {
    /// Why a parameter can't be used.
    package struct Failure: Error {
        /// What is wrong and what would be right.
        package let sentence: String
    }

    /// Words in lower case; each is part of the name of the model, of a revision or of a backend.
    package private(set) var words: [[UInt8]] = []
    package private(set) var sort = ModelSort.configuration

    /// Bytes of `search`, at most.
    package static let searchMaximum = 256

    /// All models, as the file has them.
    package init() {}

    /// What the parameters `search` and `sort` ask for; throws a sentence for the caller.
    package init(_ parameters: [String: String]) throws(Failure) {
        let search = parameters["search"] ?? ""
        guard search.utf8.count <= ModelQuery.searchMaximum else {
            throw Failure(sentence: "search has \(ModelQuery.searchMaximum) bytes at most")
        }
        words = search.lowercased().split(whereSeparator: \.isWhitespace).map { Array($0.utf8) }
        if let text = parameters["sort"] {
            guard let sort = ModelSort(rawValue: text) else {
                let known = ModelSort.allCases.map(\.rawValue).joined(separator: ", ")
                throw Failure(sentence: "sort is one of \(known)")
            }
            self.sort = sort
        }
    }

    /// Whether all words are in `text`, which is in lower case.
    package func matches(_ text: [UInt8]) -> Bool {
        words.allSatisfy { ModelQuery.holds(text, $0) }
    }

    private static func holds(_ text: [UInt8], _ word: [UInt8]) -> Bool {
        guard let first = word.first, word.count <= text.count else { return word.isEmpty }
        for start in 0...(text.count - word.count) where text[start] == first {
            if text[start..<(start + word.count)].elementsEqual(word) { return true }
        }
        return false
    }

    /// A whole number from `range` that the parameter `name` has; nil if it is absent.
    package static func number(
        _ name: String,
        in range: ClosedRange<Int>,
        _ parameters: [String: String]
    ) throws(Failure) -> Int? {
        guard let text = parameters[name] else { return nil }
        guard let number = Int(text), range.contains(number) else {
            let bound = range.upperBound == .max ? "or more" : "to \(range.upperBound)"
            throw Failure(sentence: "\(name) is a whole number, \(range.lowerBound) \(bound)")
        }
        return number
    }
}

/// One page of a list of models, by the call for lists; throws sentences for the caller.
///
/// `continue` names where the next page begins: the place, and the last model of the page before. If
/// that model is still there the page begins after it, whatever came or went before it.
package struct ModelPage: Sendable {
    package let query: ModelQuery
    package let limit: Int
    private let place: Int
    private let last: String?

    /// Models of a page, unless the caller says; and at most.
    package static let limits = (usual: 100, maximum: 1000)

    /// Whether the parameters ask for a page rather than for everything.
    package static func isWanted(_ parameters: [String: String]) -> Bool {
        ["search", "sort", "limit", "continue"].contains { parameters[$0] != nil }
    }

    /// The page that the parameters ask for.
    package init(_ parameters: [String: String]) throws(ModelQuery.Failure) {
        query = try ModelQuery(parameters)
        let range = 1...ModelPage.limits.maximum
        limit = try ModelQuery.number("limit", in: range, parameters) ?? ModelPage.limits.usual
        guard let token = parameters["continue"] else {
            (place, last) = (0, nil)
            return
        }
        let parts = token.split(separator: ".", maxSplits: 1, omittingEmptySubsequences: false)
        guard parts.count == 2, let place = Int(parts[0]), place >= 0 else {
            throw ModelQuery.Failure(
                sentence: "continue is what the page before gave as `continue`, unchanged"
            )
        }
        (self.place, last) = (place, String(parts[1]))
    }

    /// The places of this page in `ranking`, and the token of the next one; nil after the last.
    package func slice(
        of ranking: [Int],
        name: (Int) -> String
    ) -> (places: ArraySlice<Int>, next: String?) {
        var start = min(place, ranking.count)
        if let last, let found = ranking.firstIndex(where: { name($0) == last }) {
            start = found + 1
        }
        let end = min(start + limit, ranking.count)
        let slice = ranking[start..<end]
        let next = end < ranking.count ? slice.last.map { "\(end).\(name($0))" } : nil
        return (slice, next)
    }
}
