// What is remembered of a backend's failures, in one word that workers share.
//
//   63 ........................ 24 23 ........ 16 15 .......... 0
//   when it last changed (1.05 ms)  failures in    share of failures
//                                   a row          in 1/65536
//
// A backend without failures has a word of zero: telling so costs one relaxed load an answer, and
// nothing is written. The share is an average over about ten answers that fades in 10 s, so that a
// backend that is avoided is tried again.
//
// A fast failure looks idle: with the least load alone one backend of eight that fails in 1 ms
// draws 30 % of the traffic. The penalty is 1 + 4 x odds, odds being share / (1 - share): for small
// shares as good as 1 + 4 x share, which was enough in simulation at a load of a few requests a
// backend. But that one ends at 5, and a failing backend has no in-flight of its own, so it draws
// as soon as the others have five requests each. Odds have no such end.
package import SluiceCore

/// One backend's failures: a pure value, packed to be compared and exchanged.
package struct FailureRecord: BitwiseCopyable, Sendable, Equatable {
    /// The packed form; 0 is a backend without failures.
    package let word: UInt64

    /// No failures.
    package static var clean: FailureRecord { FailureRecord(word: 0) }

    /// A record as it was packed.
    package init(word: UInt64) { self.word = word }

    private init(share: UInt64, streak: UInt64, step: UInt64) {
        word =
            share < FailureRecord.shareNegligible && streak == 0
            ? 0 : step << 24 | min(streak, 255) << 16 | min(share, 65_535)
    }

    // A sixty-fourth: below that a record is as good as clean.
    private static let shareNegligible: UInt64 = 1_024
    // Odds of 255 at the most; a penalty of 1,021.
    private static let shareMaximum: UInt64 = 65_536 - 256

    /// A penalty of 1, in the units of ``penalty(at:)``.
    package static var noPenalty: Int { 256 }

    /// How many failures that count for ejection came in a row, up to 255.
    package var streak: Int { Int(word >> 16 & 0xFF) }

    private func share(atStep step: UInt64) -> UInt64 {
        ExponentialDecay.faded(
            word & 0xFFFF,
            by: ExponentialDecay.steps(from: word >> 24, to: step)
        )
    }

    /// The share of failures, from 0 to 1.
    package func share(at now: Instant) -> Double {
        Double(share(atStep: ExponentialDecay.step(at: now))) / 65_536
    }

    /// What the load is multiplied by, in 1/256.
    ///
    /// Nothing for a share that is negligible: among idle backends the smallest penalty decides, and
    /// one that failed once would be left out for as long as its share takes to fade to nothing.
    package func penalty(at now: Instant) -> Int {
        guard word != 0 else { return FailureRecord.noPenalty }
        let share = min(share(atStep: ExponentialDecay.step(at: now)), FailureRecord.shareMaximum)
        guard share >= FailureRecord.shareNegligible else { return FailureRecord.noPenalty }
        return FailureRecord.noPenalty + Int(4 * 256 * share / (65_536 - share))
    }

    /// The record after one more answer.
    package func noting(_ outcome: BackendOutcome, at now: Instant) -> FailureRecord {
        let step = ExponentialDecay.step(at: now)
        let before = share(atStep: step)
        switch outcome {
        case .unknown: return self
        case .served:
            return FailureRecord(share: before - before / 10, streak: 0, step: step)
        default:
            return FailureRecord(
                share: before + (65_536 - before) / 10,
                streak: outcome.countsForEjection ? UInt64(streak) + 1 : 0,
                step: step
            )
        }
    }

    /// The same without its row of failures: an ejected backend starts over.
    package var withoutStreak: FailureRecord {
        FailureRecord(share: word & 0xFFFF, streak: 0, step: word >> 24)
    }
}
