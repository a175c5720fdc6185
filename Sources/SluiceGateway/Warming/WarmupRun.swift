// One revision is being warmed: which input is next, may it go now, and is it over?
//
//   running ──nothing left, all answered──► done
//      │  └──ten failures in a row────────► failing
//      └─────cancelled────────────────────► cancelled
//
// All workers take from one run, so the rate and the calls in flight are the gateway's. What was in the
// cache already gives its place in the rate back. Calls in flight when a run is given up finish, and
// their answers are kept; they don't count any more.
package import SluiceCore
import Synchronization

/// What became of one replayed input.
package enum WarmResult: String, Sendable {
    /// A backend answered; the answer is kept.
    case answered
    /// It came to nothing.
    case failed
    /// The answer was in the cache already.
    case skipped
}

/// The replay of a model's hottest inputs to one of its revisions.
package final class WarmupRun: Sendable {
    /// How a run ends.
    package enum End: Sendable, Equatable {
        /// Nothing is left.
        case done
        /// An operator has stopped it.
        case cancelled
        /// The revision fails; says how.
        case failing(String)
    }

    /// How far it is.
    package struct Progress: Sendable, Equatable {
        /// How many inputs there are to replay.
        package var inputs: Int
        package var answered = 0
        package var failed = 0
        package var skipped = 0
        /// Absent while it runs.
        package var end: End?

        /// A run that has yet to begin.
        package init(inputs: Int) { self.inputs = inputs }

        /// How many inputs are over.
        package var done: Int { answered + failed + skipped }
    }

    /// What a worker does now.
    package enum Next: Sendable {
        /// Send this one.
        case replay(TopRequest)
        /// Not now: look again in a moment.
        case wait
        /// Nothing is left to begin.
        case over
    }

    /// Whose inputs they are.
    package let model: String
    /// To whom they go.
    package let revision: String
    /// Requests a second, at most.
    package let rate: Int
    private let requests: [TopRequest]

    /// Calls in flight, at most.
    package static let inFlightMaximum = 8
    /// Failures in a row after which the revision is let alone.
    package static let failureMaximum = 10
    // Nanoseconds of the rate that may be saved up: what a timer's tick needs.
    private static let burst: Int64 = 20_000_000

    private struct State {
        var progress: Progress
        var next = 0
        var inFlight = 0
        var failuresInRow = 0
        /// When the next one may go; what lies behind is saved up.
        var due = Instant.zero
        var then: (@Sendable (Progress) -> Void)?
    }

    private let state: Mutex<State>

    /// A run over `requests`, in their order; `then` is called once, at its end, on any thread.
    package init(
        model: String,
        revision: String,
        rate: Int,
        _ requests: [TopRequest],
        then: @escaping @Sendable (Progress) -> Void
    ) {
        self.model = model
        self.revision = revision
        self.rate = rate
        self.requests = requests
        state = Mutex(State(progress: Progress(inputs: requests.count), then: then))
    }

    /// How far it is now.
    package var progress: Progress { state.withLock { $0.progress } }

    /// Replays nothing more.
    package func cancel() { stop(.cancelled) }

    /// The next input to send, if one may go at `now`; each must be `ended`.
    package func next(at now: Instant) -> Next {
        state.withLock { state in
            guard state.progress.end == nil, state.next < requests.count else { return .over }
            let earliest = Instant(nanoseconds: now.nanoseconds - WarmupRun.burst)
            if state.due < earliest { state.due = earliest }
            guard state.inFlight < WarmupRun.inFlightMaximum, state.due <= now else { return .wait }
            state.due = state.due.advanced(byNanoseconds: interval)
            state.inFlight += 1
            state.next += 1
            return .replay(requests[state.next - 1])
        }
    }

    /// One input is over; `isRevisionsFault` says of a failure that it was not the input's.
    package func ended(
        _ result: WarmResult,
        isRevisionsFault: Bool = false,
        _ sentence: String = ""
    ) {
        let then = state.withLock { state -> (@Sendable (Progress) -> Void)? in
            guard state.progress.end == nil else { return nil }
            state.inFlight -= 1
            switch result {
            case .answered:
                state.progress.answered += 1
                state.failuresInRow = 0
            case .skipped:
                state.progress.skipped += 1
                state.due = state.due.advanced(byNanoseconds: -interval)
            case .failed:
                state.progress.failed += 1
                state.failuresInRow = isRevisionsFault ? state.failuresInRow + 1 : 0
            }
            if state.failuresInRow >= WarmupRun.failureMaximum {
                state.progress.end = .failing(sentence)
            } else if state.next == requests.count, state.inFlight == 0 {
                state.progress.end = .done
            }
            return state.progress.end == nil ? nil : state.then.take()
        }
        then?(progress)
    }

    /// Ends it here; the first end counts.
    package func stop(_ end: End) {
        let then = state.withLock { state -> (@Sendable (Progress) -> Void)? in
            guard state.progress.end == nil else { return nil }
            state.progress.end = end
            return state.then.take()
        }
        then?(progress)
    }

    private var interval: Int64 { 1_000_000_000 / Int64(rate) }
}
