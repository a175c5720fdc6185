package import SluiceBalancing
package import SluiceRouting

/// What a model does when backends fail, are full, or have just come up.
package struct ResiliencePlan: Sendable {
    /// When backends are ejected, and when health isn't believed.
    package var outlier = OutlierPolicy()
    /// How long a backend that came up takes to get its whole share.
    package var slowStart = Duration.zero
    /// What is sent again.
    package var retry = RetryPolicy()
    /// When a slow request goes to another backend as well; nil is never.
    package var hedge: HedgePolicy?
    /// Requests that may wait for a backend with a limit.
    package var maxQueue = 1_000
    /// How long they may wait.
    package var queueTimeout = Duration.seconds(5)
    /// What `ringHash` goes by.
    package var hashOn: FieldSource?
    /// How many requests callers may send; the same across reloads while a limit isn't changed.
    package var rateLimiters: [RateLimiter] = []
    /// Between what a revision's requests at once are limited; nil leaves them alone.
    package var concurrency: ConcurrencyBounds?

    /// The defaults.
    package init() {}
}
