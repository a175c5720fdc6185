/// What all workers share of one revision, besides its backends' loads; the same over reloads.
package final class RevisionSharedState: Sendable {
    /// Ejects backends.
    package let outliers = OutlierDetector()
    /// Bounds repetitions.
    package let retries = RetryBudget()
    /// Where requests wait for backends with a limit.
    package let queue = RevisionQueue()
    /// How many requests may be at its backends, where that is learnt.
    package let concurrency = ConcurrencyLimit()
    /// The ring of `ringHash`.
    package let rings = RingRegistry()

    /// A board of a revision nobody has asked yet.
    package init() {}
}
