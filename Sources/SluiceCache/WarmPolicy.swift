/// How a revision's cache is filled before it first takes weight.
package struct WarmPolicy: Hashable, Sendable {
    /// Inputs that are replayed, at most; the hottest.
    package var top: Int
    /// Requests in a second to the backends, by all workers together, at most.
    package var rate: Int

    /// A policy; both numbers are above zero.
    package init(top: Int, rate: Int) {
        precondition(top > 0 && rate > 0, "warming replays something, and at some pace")
        self.top = top
        self.rate = rate
    }
}
