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
