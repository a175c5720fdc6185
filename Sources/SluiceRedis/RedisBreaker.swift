package import SluiceCore

/// Stops waiting for a Redis that doesn't answer, and finds out when it does again.
///
/// ```
///           5 failures in a row, or 5 and half of a second's outcomes
///   closed ───────────────────────────────────────────────────────────► open
///     ▲                                                                  │ after the pause
///     │ it answered                                                      ▼
///     └───────────────────────────────────────────────────────────── probing
///                    it didn't: open again, the pause doubled up to a second
/// ```
///
/// While open nobody looks up, so nobody waits: requests see a miss at once. The probe is a PING that
/// no request waits for. Count look-ups and probes, not writes: a full Redis refuses those and
/// still answers the others. One for each worker's connection; pure.
package struct RedisBreaker: Sendable {
    /// Where the breaker stands.
    package enum State: Hashable, Sendable {
        /// In use.
        case closed
        /// Not in use before that instant.
        case open(until: Instant)
        /// A probe is under way; its outcome decides.
        case probing
    }

    /// Failures that open it: in a row, or within a window of which they are half.
    package static let failureLimit = 5
    /// How long outcomes are counted together.
    package static let window = Duration.seconds(1)
    /// The first pause.
    package static let pauseMinimum = Duration.milliseconds(250)
    /// The longest pause: with the probe's time-out well below the two seconds we allow ourselves
    /// to notice a return.
    package static let pauseMaximum = Duration.seconds(1)

    /// Where it stands.
    package private(set) var state = State.closed
    private var pause = RedisBreaker.pauseMinimum
    private var inARow = 0
    private var failures = 0
    private var successes = 0
    private var windowEnd = Instant.zero

    /// A closed breaker.
    package init() {}

    /// Whether look-ups and writes may be sent.
    package var admits: Bool { state == .closed }

    /// When to ask ``startProbe(at:)`` again.
    package var nextProbe: Instant {
        if case .open(let until) = state { until } else { .distantFuture }
    }

    /// Whether the caller shall send a probe now; it then owes a ``record(success:at:)``.
    ///
    /// Without a connection, making one is the probe.
    package mutating func startProbe(at now: Instant) -> Bool {
        guard case .open(let until) = state, until <= now else { return false }
        state = .probing
        return true
    }

    /// Counts an outcome: an answer in time, or a time-out, a loss or an error.
    ///
    /// What was sent before the breaker opened and ends later is ignored: only the probe counts then.
    /// While probing, the first outcome is taken for the probe's.
    package mutating func record(success: Bool, at now: Instant) {
        switch state {
        case .open: return
        case .probing:
            if success { close() } else { open(at: now) }
        case .closed:
            if now >= windowEnd {
                windowEnd = now + RedisBreaker.window
                (failures, successes) = (0, 0)
            }
            if success {
                successes += 1
                inARow = 0
                return
            }
            failures += 1
            inARow += 1
            if inARow >= RedisBreaker.failureLimit
                || failures >= RedisBreaker.failureLimit && failures >= successes
            {
                open(at: now)
            }
        }
    }

    /// Opens at once: the connection is gone.
    package mutating func trip(at now: Instant) {
        switch state {
        case .open: return
        case .closed, .probing: open(at: now)
        }
    }

    private mutating func open(at now: Instant) {
        state = .open(until: now + pause)
        pause = min(pause * 2, RedisBreaker.pauseMaximum)
    }

    private mutating func close() {
        self = RedisBreaker()
    }
}
