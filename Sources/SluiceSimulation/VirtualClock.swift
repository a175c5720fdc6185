package import SluiceCore

/// The time of a simulated world; it passes only when somebody moves it on.
package final class VirtualClock {
    /// The time now.
    package private(set) var now: Instant

    /// A clock that shows `start`.
    package init(start: Instant = Instant(nanoseconds: 1_000_000_000)) { now = start }

    /// Moves on to `instant`; a clock never goes back.
    package func advance(to instant: Instant) {
        precondition(instant >= now, "a clock never goes back")
        now = instant
    }

    /// Moves on by so many nanoseconds.
    package func advance(byNanoseconds count: Int64) {
        advance(to: now.advanced(byNanoseconds: count))
    }
}
