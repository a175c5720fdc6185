package import SluiceCore

/// How a model's requests are shared among its revisions, in basis points.
package struct TrafficSplit: Sendable, Equatable {
    /// The basis points of each revision, in configured order; they sum to 10,000.
    package let weights: [Int]

    /// A split; the configuration has checked the sum.
    package init(weights: [Int]) { self.weights = weights }

    /// The revision that takes the next request, by chance, or nil when none can.
    ///
    /// A revision that isn't ready lends its share to those that are, in proportion to theirs. A
    /// weight of 0 gets nothing, ready or not.
    package func choose(
        random: inout RandomSource,
        isReady: (Int) -> Bool
    ) -> SplitDecision? {
        if weights.count == 1 {
            return weights[0] > 0 ? SplitDecision(revision: 0, spilloverFrom: nil) : nil
        }
        let drawn = draw(total: 10_000, &random, { _ in true })
        if let drawn, isReady(drawn) { return SplitDecision(revision: drawn, spilloverFrom: nil) }
        var total = 0
        for index in weights.indices where isReady(index) { total += weights[index] }
        return draw(total: total, &random, isReady).map {
            SplitDecision(revision: $0, spilloverFrom: drawn)
        }
    }

    private func draw(
        total: Int,
        _ random: inout RandomSource,
        _ isIncluded: (Int) -> Bool
    ) -> Int? {
        guard total > 0 else { return nil }
        var rest = random.next(below: total)
        for index in weights.indices where isIncluded(index) {
            rest -= weights[index]
            if rest < 0 { return index }
        }
        return nil
    }
}
