/// When a request that nobody has answered yet is sent to another backend as well.
///
/// The terms are gRPC's (A6, "Hedging Policy"): the second copy costs its backend work that is thrown
/// away, so it counts in the retry budget, and only an idempotent model may have it.
package struct HedgePolicy: Sendable, Equatable {
    /// From sending an attempt to sending the next.
    package var delay: Duration
    /// Attempts in all, the first one among them; from 2 to 5.
    package var maxAttempts: Int

    /// A policy.
    package init(delay: Duration, maxAttempts: Int = 2) {
        self.delay = delay
        self.maxAttempts = maxAttempts
    }
}
