import Foundation
import SluiceCore
import SluiceRouting
import Testing

@Suite("Sticky users")
struct StickySplitTests {
    static let names = ["v1", "v2", "v3"]
    static let split = StickySplit(model: "iris", salt: "", revisions: names)

    static func decide(
        _ user: String,
        _ weights: [Int],
        _ split: StickySplit = split,
        isReady: (Int) -> Bool = { _ in true }
    ) -> SplitDecision? {
        let bytes = Array(user.utf8)
        return unsafe bytes.withUnsafeBytes {
            unsafe split.choose(user: $0, weights: weights, isReady: isReady)
        }
    }

    static func revisions(_ weights: [Int], users: Int = 100_000) -> [Int] {
        (0..<users).map { decide("user-\($0)", weights)?.revision ?? -1 }
    }

    /// How many users go from each revision to each other one.
    static func moves(_ before: [Int], _ after: [Int]) -> [[Int]: Int] {
        var moves: [[Int]: Int] = [:]
        for (from, to) in zip(before, after) where from != to {
            moves[[from, to], default: 0] += 1
        }
        return moves
    }

    // MARK: - Equal everywhere

    // Made by another implementation, in Python with its `math.log`.
    static let golden = [
        (
            [5_000, 4_000, 1_000], "",
            "1212212122112211111111312223133121312121122131111213111112211111"
        ),
        (
            [5_000, 4_000, 1_000], "2026",
            "2112222213122211111123112221233211111111212312222133212222111212"
        ),
        (
            [9_000, 1_000, 0], "",
            "1111112122111111111111111111111111111111111111111211111111111111"
        ),
    ]

    @Test("Users are dealt as they were and will be", arguments: golden)
    func goldenValues(weights: [Int], salt: String, expected: String) {
        let split = StickySplit(model: "iris", salt: salt, revisions: Self.names)
        let found = (0..<64).map { number in
            "\((Self.decide("user-\(number)", weights, split)?.revision ?? 8) + 1)"
        }
        #expect(found.joined() == expected)
    }

    @Test("The hash begins with model, salt and revision")
    func seeds() {
        #expect(
            Self.split.seeds == [
                0x3200_21C2_0A44_A2F7, 0xCF77_4A7D_C26D_EE46, 0xBE5A_7427_20ED_FCAA,
            ]
        )
        #expect(
            StickySplit(model: "echo", salt: "", revisions: ["v1"]).seeds == [0x8D60_8232_DF09_FF9C]
        )
        let alice = unsafe Array("alice".utf8).withUnsafeBytes {
            unsafe XXH64.hash($0, seed: Self.split.seeds[1])
        }
        #expect(alice == 0x4E69_F030_39B7_00F8)
    }

    @Test("Two splits made apart, and a library's logarithm, agree on 100,000 users")
    func agreement() {
        let weights = [5_000, 4_000, 1_000]
        let other = StickySplit(model: "iris", salt: "", revisions: Self.names)
        for number in 0..<100_000 {
            let user = Array("user-\(number)".utf8)
            let times = unsafe user.withUnsafeBytes { user in
                (0..<3).map { index in
                    let hash = unsafe XXH64.hash(user, seed: other.seeds[index])
                    return -log((Double(hash >> 12) + 0.5) / 4_503_599_627_370_496)
                        / Double(weights[index])
                }
            }
            let expected = times.firstIndex(of: times.min() ?? 0)
            let first = Self.decide("user-\(number)", weights)
            #expect(
                first?.revision == expected
                    && first == Self.decide("user-\(number)", weights, other)
            )
        }
    }

    // MARK: - Shares

    @Test(
        "Shares follow the weights within three sigma",
        arguments: [
            [9_999, 1, 0], [9_900, 100, 0], [9_000, 1_000, 0], [5_000, 5_000, 0], [1, 9_999, 0],
            [0, 10_000, 0], [8_000, 1_900, 100],
        ]
    )
    func shares(weights: [Int]) {
        var counts = [0, 0, 0]
        for revision in Self.revisions(weights, users: Shares.draws) { counts[revision] += 1 }
        Shares.expect(counts, weights)
    }

    @Test("A user's luck with one model says nothing of that with another")
    func independence() {
        let echo = StickySplit(model: "echo", salt: "", revisions: ["v1", "v2"])
        var both = 0
        for number in 0..<100_000
        where Self.decide("user-\(number)", [8_000, 2_000, 0])?.revision == 1
            && Self.decide("user-\(number)", [8_000, 2_000], echo)?.revision == 1
        { both += 1 }
        Shares.expect([100_000 - both, both], [9_600, 400], of: 100_000)
    }

    // MARK: - Who moves

    @Test(
        "From 10 to 20 percent a tenth of the users goes from the old to the new, and nobody back"
    )
    func raising() {
        let (before, after) = (
            Self.revisions([9_000, 1_000, 0]), Self.revisions([8_000, 2_000, 0])
        )
        let moves = Self.moves(before, after)
        #expect(Array(moves.keys) == [[0, 1]])
        Shares.expect([moves[[0, 1]] ?? 0], [1_000, 9_000], of: 100_000)
        #expect(Array(Self.moves(after, before).keys) == [[1, 0]])
    }

    @Test("Along a whole rollout each user changes once")
    func rollout() {
        var before = Self.revisions([10_000, 0, 0], users: 10_000)
        for points in [1, 100, 500, 1_000, 2_500, 5_000, 9_999, 10_000] {
            let after = Self.revisions([10_000 - points, points, 0], users: 10_000)
            #expect(Self.moves(before, after).keys.allSatisfy { $0 == [0, 1] })
            before = after
        }
        #expect(before.allSatisfy { $0 == 1 })
    }

    @Test("A third revision moves nobody at 0, and only its own share above")
    func third() {
        let before = Self.revisions([5_000, 5_000, 0])
        let two = StickySplit(model: "iris", salt: "", revisions: ["v1", "v2"])
        let withoutIt = (0..<100_000).map {
            Self.decide("user-\($0)", [5_000, 5_000], two)?.revision
        }
        #expect(withoutIt == before)
        let moves = Self.moves(before, Self.revisions([4_950, 4_950, 100]))
        #expect(moves.keys.allSatisfy { $0[1] == 2 })
        Shares.expect([moves.values.reduce(0, +)], [100, 9_900], of: 100_000)
        #expect(Self.revisions([5_000, 0, 5_000]).allSatisfy { $0 != 1 })
    }

    /// The share of users that stay where they are: the sum over revisions of 1 ÷ Σ max(p(j) ÷ p(i), q(j) ÷ q(i)) (Moulton and Jiang 2018).
    static func kept(_ before: [Int], _ after: [Int]) -> Double {
        let (p, q) = (before.map { Double($0) }, after.map { Double($0) })
        var sum = 0.0
        for i in p.indices where p[i] > 0 && q[i] > 0 {
            var inner = 0.0
            for j in p.indices { inner += max(p[j] / p[i], q[j] / q[i]) }
            sum += 1 / inner
        }
        return sum
    }

    @Test(
        "With three revisions what moves is what the rule promises: less than twice the changed share",
        arguments: [
            ([5_000, 4_000, 1_000], [4_000, 5_000, 1_000]),
            ([8_000, 1_000, 1_000], [7_000, 2_000, 1_000]),
            ([5_000, 4_500, 500], [4_500, 4_500, 1_000]),
            ([3_400, 3_300, 3_300], [3_400, 6_600, 0]),
        ]
    )
    func three(before: [Int], after: [Int]) {
        let changed = Double(zip(before, after).reduce(0) { $0 + abs($1.0 - $1.1) } / 2) / 10_000
        let moved = Self.moves(Self.revisions(before), Self.revisions(after)).values.reduce(0, +)
        let expected = Int((10_000 * (1 - Self.kept(before, after))).rounded())
        Shares.expect([moved], [expected, 10_000 - expected], of: 100_000)
        #expect(Double(expected) / 10_000 < 2 * changed / (1 + changed))
    }

    @Test("Only the users of a revision that is down move, each to a place of its own")
    func spillingOver() {
        let weights = [6_000, 3_000, 1_000]
        var counts = [0, 0, 0]
        for number in 0..<100_000 {
            let user = "user-\(number)"
            let own = Self.decide(user, weights)
            let spillover = Self.decide(user, weights, isReady: { $0 != 1 })
            if own?.revision == 1 {
                #expect(spillover?.spilloverFrom == 1)
                counts[spillover?.revision ?? 1] += 1
            } else {
                #expect(spillover == own)
            }
        }
        let total = counts.reduce(0, +)
        Shares.expect(counts, [6_000, 0, 1_000], of: total)
    }

    @Test("Where nobody with a share is ready there is none, whoever else is")
    func nobody() {
        #expect(Self.decide("a", [7_000, 3_000, 0], isReady: { $0 == 2 }) == nil)
        #expect(Self.decide("a", [0, 0, 0]) == nil)
        #expect(Self.decide("a", [0, 0, 10_000])?.revision == 2)
    }
}
