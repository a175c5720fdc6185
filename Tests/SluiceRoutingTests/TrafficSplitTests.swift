import SluiceCore
import SluiceRouting
import Testing

@Suite("Shares by chance")
struct TrafficSplitTests {
    @Test(
        "Shares follow the weights within three sigma",
        arguments: [
            [10_000], [9_999, 1], [1, 9_999], [9_900, 100], [9_000, 1_000], [5_000, 5_000],
            [3_333, 3_333, 3_334], [0, 9_999, 1],
        ]
    )
    func shares(weights: [Int]) {
        let split = TrafficSplit(weights: weights)
        var random = RandomSource(seed: 42)
        var counts = weights.map { _ in 0 }
        for _ in 0..<Shares.draws {
            if let chosen = split.choose(random: &random, isReady: { _ in true }) {
                counts[chosen.revision] += 1
                #expect(chosen.spilloverFrom == nil)
            }
        }
        Shares.expect(counts, weights)
    }

    @Test(
        "A weight of zero receives nothing, and a revision that is down lends its share",
        arguments: 0..<256 as Range<UInt64>
    )
    func zero(seed: UInt64) {
        var random = RandomSource(seed: seed)
        let split = TrafficSplit(weights: [0, 7_000, 3_000])
        #expect(split.choose(random: &random, isReady: { _ in true })?.revision != 0)
        let spillover = split.choose(random: &random, isReady: { $0 != 1 })
        #expect(
            spillover?.revision == 2
                && (spillover?.spilloverFrom == 1 || spillover?.spilloverFrom == nil)
        )
        #expect(split.choose(random: &random, isReady: { $0 == 0 }) == nil)
    }

    @Test("As many requests are lent as the revision's share says")
    func spillover() {
        let split = TrafficSplit(weights: [6_000, 3_000, 1_000])
        var random = RandomSource(seed: 7)
        var (counts, spillover) = ([0, 0, 0], 0)
        for _ in 0..<Shares.draws {
            if let chosen = split.choose(random: &random, isReady: { $0 != 1 }) {
                counts[chosen.revision] += 1
                if chosen.spilloverFrom == 1 { spillover += 1 }
            }
        }
        #expect(counts[1] == 0)
        Shares.expect([Shares.draws - spillover, spillover], [7_000, 3_000])
        // What remains is shared as the weights of the others are: 6 to 1.
        Shares.expect(counts, [60_000, 0, 10_000])
    }
}

/// What a million fair draws may deviate.
enum Shares {
    static let draws = 1_000_000

    static func expect(
        _ counts: [Int],
        _ weights: [Int],
        of draws: Int = draws,
        at place: SourceLocation = #_sourceLocation
    ) {
        let total = Double(weights.reduce(0, +))
        for (count, weight) in zip(counts, weights) {
            let share = Double(weight) / total
            let sigma = (Double(draws) * share * (1 - share)).squareRoot()
            #expect(
                abs(Double(count) - Double(draws) * share) <= 3 * sigma,
                "\(counts) for \(weights)",
                sourceLocation: place
            )
        }
    }
}
