// May it go again? The table is short, because a request that may have reached a model is never
// silently sent twice:
//
//   what happened                                   any model     idempotent: true
//   no connection, nothing written                  elsewhere, not counted as a retry
//   REFUSED_STREAM, GOAWAY before the stream        yes           yes
//   503, UNAVAILABLE before any response data       no            yes
//   reset, connection lost, the try's time is over  no            yes
//   anything after the response's head has gone on  no            no
package import SluiceCore
private import Synchronization

/// Whether and when a failed attempt is repeated elsewhere.
package struct RetryPolicy: Sendable, Equatable {
    /// Repetitions of one request; connection attempts don't count.
    package var attempts = 1
    /// Whether a model may be asked the same thing twice.
    package var isIdempotent = false
    /// Bytes of a request's body that are kept to be sent again.
    package var bufferBytes = 64 << 10
    /// How long one attempt may take; zero is as long as the request may.
    package var tryTimeout = Duration.zero

    /// The defaults.
    package init() {}

    /// Why an attempt came to nothing.
    package enum Cause: String, Sendable, CaseIterable {
        /// The backend said that it has not begun.
        case refused
        /// It said that it can't serve.
        case unavailable
        /// It broke the call off, or its connection broke.
        case reset
        /// It took longer than ``RetryPolicy/tryTimeout``.
        case timeout
    }

    /// Whether a request that was repeated `count` times may go once more.
    package func allows(_ cause: Cause, after count: Int) -> Bool {
        count < attempts && (cause == .refused || isIdempotent)
    }

    /// How long to wait before a repetition, in nanoseconds; the first has number 1.
    ///
    /// All of it is chance: up to 25 ms, 75 ms, 175 ms, then 250 ms. What a backend refused
    /// untouched goes on at once, the first time.
    package static func delay(
        _ cause: Cause,
        number: Int,
        random: inout RandomSource
    ) -> Int64 {
        if cause == .refused, number == 1 { return 0 }
        let bound = min(250, 25 * (1 << min(number, 5)) - 25)
        return Int64(random.next(below: bound * 1_000_000))
    }
}

/// How many of a revision's requests may be repetitions at a time, over all workers.
package final class RetryBudget: Sendable {
    private let underWay = Atomic<Int>(0)

    /// A budget of which nothing is spent.
    package init() {}

    /// Takes a place for one more retry; false when a fifth of the requests in flight, and three at
    /// least, are retries already.
    package func tryBegin(inFlight: Int) -> Bool {
        let allowed = max(3, inFlight / 5)
        var current = underWay.load(ordering: .relaxed)
        while current < allowed {
            let (exchanged, found) = underWay.weakCompareExchange(
                expected: current,
                desired: current + 1,
                ordering: .relaxed
            )
            if exchanged { return true }
            current = found
        }
        return false
    }

    /// Gives the place back.
    package func end() { underWay.wrappingSubtract(1, ordering: .relaxed) }

    /// Retries under way.
    package var count: Int { underWay.load(ordering: .relaxed) }
}
