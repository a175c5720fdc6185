/// What one listener looks at: a page of the list, and at most one model whole.
package struct StreamView: Sendable, Equatable {
    /// The model that is shown whole.
    package enum Opened: Sendable, Equatable {
        case none
        /// The first of the page when the stream begins.
        case first
        case named(String)
    }

    package var query = ModelQuery()
    /// Models of the list before the page.
    package var offset = 0
    package var limit = StreamView.limits.usual
    package var opened = Opened.first

    /// Models of a page, unless the listener says; and at most.
    package static let limits = (usual: 50, maximum: 100)

    /// The first page of everything.
    package init() {}

    /// What the parameters `search`, `sort`, `offset`, `limit` and `model` ask for.
    package init(_ parameters: [String: String]) throws(ModelQuery.Failure) {
        query = try ModelQuery(parameters)
        offset = try ModelQuery.number("offset", in: 0...Int.max, parameters) ?? 0
        let range = 1...StreamView.limits.maximum
        limit = try ModelQuery.number("limit", in: range, parameters) ?? StreamView.limits.usual
        opened = parameters["model"].map { $0.isEmpty ? .none : .named($0) } ?? .first
    }
}
