/// One page of a list of models, by the call for lists; throws sentences for the caller.
///
/// `continue` names where the next page begins: the place, and the last model of the page before. If
/// that model is still there, or the list is by name, the page begins after it, whatever came or went
/// before it; otherwise at the place.
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
        if let last {
            // By name it is known where a model was that has gone.
            let next =
                query.sort == .name
                ? ranking.firstIndex { name($0) > last }
                : ranking.firstIndex { name($0) == last }.map { $0 + 1 }
            start = next ?? (query.sort == .name ? ranking.count : start)
        }
        let end = min(start + limit, ranking.count)
        let slice = ranking[start..<end]
        let next = end < ranking.count ? slice.last.map { "\(end).\(name($0))" } : nil
        return (slice, next)
    }
}
