// The same user, the same revision: weighted rendezvous (Thaler and Ravishankar 1998; with weights by
// exponential variables, Schindelhauer and Schomaker 2005).
//
// Every user has, for every revision, a waiting time that no weight and no machine can change:
//
//     U(user, revision) = a hash as a number in (0, 1)        E = −ln U, exponentially distributed
//
// and belongs to the revision with the least E ÷ weight. The first of several such arrivals is
// revision i with probability weight(i) ÷ sum of weights, so shares are right. A weight that rises
// makes its revision's time shorter and nobody else's longer, so:
//
// - With two revisions each user has one fixed threshold, E₂ ÷ (E₁ + E₂), which is uniform, and is
//   with the second while its share is above it. Raising the share only adds users, lowering it only
//   takes some away.
// - A revision that is added at 0 moves nobody, and at x % takes x % of the users, evenly from those
//   that gave them. A revision that can't be used is left out: its users go to their next best, the
//   same everywhere, and all others stay.
// - Where three or more share and the share goes from one to another, some users change places among
//   the others as well: from 50/40/10 to 40/50/10 moves 10.9 % and not 10, from 50/45/5 to 45/45/10
//   7.1 % and not 5; a change of d never moves more than 2d ÷ (1 + d). A rule that knows nothing but
//   the weights in force moves fewer for one change only by moving more for another (Moulton and
//   Jiang, "Maximally Consistent Sampling and the Jaccard Index of Probability Distributions", 2018).
//
// Rejected: a threshold on one hash for two revisions and this for more, because bringing in a third
// at 1 % would then deal half the users anew.
//
// Equal on every machine: the hash is XXH64, and the logarithm is made of additions, multiplications
// and divisions of doubles alone, which IEEE 754 rounds in one way only. The C library's `log` may
// differ in the last bit between processors; that would deal one user in some 10^15 differently, so
// other tools may well use it.
import SluiceCore

/// Deals users to revisions in proportion to the weights, each always to the same one.
package struct StickySplit: Sendable, Equatable {
    /// What each revision's hash begins with.
    package let seeds: [UInt64]

    /// A split of one model's users.
    ///
    /// - Parameters:
    ///   - model: its name, so that a user's luck with one model is not that with another.
    ///   - salt: another one deals all users anew.
    ///   - revisions: their names, in configured order.
    package init(model: String, salt: String, revisions: [String]) {
        seeds = revisions.map { revision in
            let text = Array("\(model)\u{0}\(salt)\u{0}\(revision)".utf8)
            return unsafe text.withUnsafeBytes { unsafe XXH64.hash($0, seed: 0) }
        }
    }

    /// The revision of a user, or nil when none can be used.
    ///
    /// `weights` has a number for each revision, 0 for those that get nothing. Costs a hash and a
    /// logarithm, about 30 ns, for each that gets something.
    package func choose(
        user: UnsafeRawBufferPointer,
        weights: [Int],
        isReady: (Int) -> Bool
    ) -> SplitDecision? {
        guard let own = unsafe first(user, weights, { _ in true }) else { return nil }
        if isReady(own) { return SplitDecision(revision: own, spilloverFrom: nil) }
        return unsafe first(user, weights, isReady).map {
            SplitDecision(revision: $0, spilloverFrom: own)
        }
    }

    /// The revision whose time comes first, of those included.
    private func first(
        _ user: UnsafeRawBufferPointer,
        _ weights: [Int],
        _ isIncluded: (Int) -> Bool
    ) -> Int? {
        var best: (index: Int, time: Double)?
        for index in seeds.indices where weights[index] > 0 && isIncluded(index) {
            let hash = unsafe XXH64.hash(user, seed: seeds[index])
            let time = StickySplit.waitingTime(hash) / Double(weights[index])
            guard let known = best, known.time <= time else {
                best = (index, time)
                continue
            }
        }
        return best?.index
    }

    /// −ln of the hash's upper 52 bits, and a half, as a fraction: exponentially distributed.
    ///
    /// With 52 bits the half still has a place in a double, so U is exact, and never 0 or 1.
    private static func waitingTime(_ hash: UInt64) -> Double {
        -logarithm((Double(hash >> 12) + 0.5) * 0x1p-52)
    }

    /// The natural logarithm of a normal number above 0, to two units in the last place.
    ///
    /// x is 2^k m with √½ ≤ m < √2, and ln m = 2 artanh s with s = (m − 1) ÷ (m + 1), so |s| < 0.172:
    /// ten terms of s + s³/3 + s⁵/5 + … leave less than 10^-17.
    private static func logarithm(_ number: Double) -> Double {
        var exponent = Double(number.exponent)
        var mantissa = number.significand
        if mantissa > 1.414_213_562_373_095_1 {
            mantissa /= 2
            exponent += 1
        }
        let s = (mantissa - 1) / (mantissa + 1)
        let square = s * s
        var sum = (1.0 / 19) * square
        sum = (sum + 1.0 / 17) * square
        sum = (sum + 1.0 / 15) * square
        sum = (sum + 1.0 / 13) * square
        sum = (sum + 1.0 / 11) * square
        sum = (sum + 1.0 / 9) * square
        sum = (sum + 1.0 / 7) * square
        sum = (sum + 1.0 / 5) * square
        sum = (sum + 1.0 / 3) * square
        return exponent * 0.693_147_180_559_945_31 + (2 * s + 2 * s * sum)
    }
}
