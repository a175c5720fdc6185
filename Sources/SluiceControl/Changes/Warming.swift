package import SluiceGateway

/// Who fills the cache of a revision.
package protocol Warmer: Sendable {
    /// Begins, and says when it is over, on any thread; nil where there is nothing to replay from.
    func warm(
        model: String,
        revision: String,
        then: @escaping @Sendable (WarmupRun.Progress) -> Void
    ) -> WarmupRun?
}

extension ResultCache: Warmer {}

/// What is being warmed, and the shifts that wait for it.
struct Warming: Sendable {
    /// A shift that is made when its revisions are warm.
    struct Shift: Sendable {
        var shift: TrafficShift
        var who: String
        /// Tells shifts apart: a run that ends late belongs to an earlier one.
        var number: Int
        var runs: [WarmupRun] = []
        var left: Int
        var notes: [String] = []
        var then: @Sendable (Result<Applied, ChangeError>) -> Void
    }

    /// The last run of each model and revision, over or not.
    var runs: [String: [String: WarmupRun]] = [:]
    /// At most one for each model.
    var shifts: [String: Shift] = [:]
    var count = 0
}
