/// The requests that go to a revision whatever the weights say; the first route that holds wins.
///
/// A revision with weight 0 is addressed all the same: that is how a candidate is tried before it
/// gets any traffic.
package struct RouteTable: Sendable, Equatable {
    /// One rule.
    package struct Route: Sendable, Equatable {
        package var match: FieldMatch
        /// The revision's number, in configured order.
        package var revision: Int

        /// A rule.
        package init(match: FieldMatch, revision: Int) {
            self.match = match
            self.revision = revision
        }
    }

    /// The most routes a model may have: each is tried in turn, for every request.
    package static let routesMaximum = 64

    package let routes: [Route]

    /// A table of at most ``routesMaximum`` routes.
    package init(_ routes: [Route]) { self.routes = routes }

    /// The revision of the first route that holds.
    ///
    /// A field may stand in a head several times, and one value that passes is enough:
    /// `anyValue(route, accepts)` says whether `accepts` any value under the name that route number
    /// `route` looks for.
    package func revision(
        anyValue: (_ route: Int, _ accepts: (UnsafeRawBufferPointer) -> Bool) -> Bool
    ) -> Int? {
        for index in routes.indices {
            if unsafe anyValue(index, { unsafe routes[index].match.test.accepts($0) }) {
                return routes[index].revision
            }
        }
        return nil
    }
}
