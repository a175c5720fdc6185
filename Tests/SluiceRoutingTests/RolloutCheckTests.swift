import SluiceCore
import SluiceRouting
import Testing

@Suite("A rollout's numbers")
struct RolloutCheckTests {
    static let plan = RolloutPlan(revision: "v2", baseline: "v1")

    static func window(_ good: Int, bad: Int = 0, nanoseconds: Int64 = 10_000_000) -> RolloutWindow
    {
        RolloutMachineTests.window(good, bad: bad, milliseconds: Int(nanoseconds / 1_000_000))
    }

    @Test("Buckets join without gap or overlap, each at most a sixteenth of its values wide")
    func scale() {
        var end: Int64 = 0
        for bucket in 0..<DurationScale.count {
            let range = DurationScale.range(of: bucket)
            #expect(range.lowerBound == end)
            end = range.upperBound
            #expect(DurationScale.bucket(nanoseconds: range.lowerBound) == bucket)
            #expect(DurationScale.bucket(nanoseconds: range.upperBound - 1) == bucket)
            if bucket > 0, bucket < DurationScale.count - 1 {
                let width = range.upperBound - range.lowerBound
                #expect(width * 16 <= range.lowerBound)
            }
        }
        #expect(DurationScale.bucket(nanoseconds: -1) == 0)
        #expect(DurationScale.bucket(nanoseconds: .max) == DurationScale.count - 1)
    }

    @Test("A quantile is within a sixteenth of the exact one")
    func quantile() throws {
        var durations = [UInt64](repeating: 0, count: DurationScale.count)
        for step in 1...10_000 {
            durations[DurationScale.bucket(nanoseconds: Int64(step) * 10_000)] += 1
        }
        let window = RolloutWindow(durations: durations, failures: 0)
        for share in [0.5, 0.95, 0.99, 0.999, 1] {
            let exact = share * 1e8
            let found = try #require(window.quantile(share))
            #expect(abs(found - exact) < exact / 32, "\(share): \(found)")
        }
        #expect(RolloutWindow().quantile(0.5) == nil)
    }

    /// By hand: p = (x1 + x2) / (n1 + n2), z = difference / sqrt(p (1 - p) (1/n1 + 1/n2)).
    @Test(
        "The z statistic is that of two proportions",
        arguments: [
            (300, 9, 2_700, 13, 4.85), (300, 4, 2_700, 13, 1.86), (100, 0, 100, 0, 0.0),
            (50, 50, 50, 50, 0.0), (1_000, 10, 1_000, 20, -1.84),
        ]
    )
    func z(mine: Int, bad: Int, others: Int, otherBad: Int, expected: Double) {
        let z = Self.window(mine - bad, bad: bad)
            .excessFailures(over: Self.window(others - otherBad, bad: otherBad))
        #expect(abs(z - expected) < 0.01, "\(z)")
    }

    @Test("What was counted before is left out, and counters that began anew count from zero")
    func difference() {
        let earlier = Self.window(100, bad: 3)
        let window = Self.window(150, bad: 5).since(earlier)
        #expect(window.requests == 52 && window.failures == 2)
        #expect(Self.window(10, bad: 1).since(earlier) == Self.window(10, bad: 1))
        #expect(Self.window(10).since(RolloutWindow()) == Self.window(10))
    }

    struct Case: Sendable, CustomTestStringConvertible {
        var testDescription: String { what }
        let what: String
        let canary: RolloutWindow
        let baseline: RolloutWindow
        let verdicts: [RolloutResult]
        let result: RolloutResult
    }

    static let cases: [Case] = [
        Case(
            what: "below 300 answers nothing is said",
            canary: window(0, bad: 299),
            baseline: window(2_700),
            verdicts: [.inconclusive, .inconclusive, .inconclusive],
            result: .inconclusive
        ),
        Case(
            what: "from 300 on success and p95",
            canary: window(300),
            baseline: window(2_700),
            verdicts: [.pass, .pass, .inconclusive],
            result: .pass
        ),
        Case(
            what: "from 1000 on p99",
            canary: window(1_000),
            baseline: window(9_000),
            verdicts: [.pass, .pass, .pass],
            result: .pass
        ),
        Case(
            what: "too few of the baseline are as bad as too few of the canary",
            canary: window(9_000),
            baseline: window(299),
            verdicts: [.inconclusive, .inconclusive, .inconclusive],
            result: .inconclusive
        ),
        Case(
            what: "exactly 99 % is enough",
            canary: window(990, bad: 10),
            baseline: window(9_000),
            verdicts: [.pass, .pass, .pass],
            result: .pass
        ),
        Case(
            what: "below 99 % where the baseline isn't",
            canary: window(988, bad: 12),
            baseline: window(8_982, bad: 18),
            verdicts: [.fail, .pass, .pass],
            result: .fail
        ),
        Case(
            what: "a baseline below 99 % asks for no more than its own, less a point",
            canary: window(950, bad: 50),
            baseline: window(8_640, bad: 360),
            verdicts: [.pass, .pass, .pass],
            result: .pass
        ),
        Case(
            what: "two points below a bad baseline",
            canary: window(940, bad: 60),
            baseline: window(8_640, bad: 360),
            verdicts: [.fail, .pass, .pass],
            result: .fail
        ),
        Case(
            what: "a difference that may be chance",
            canary: window(296, bad: 4),
            baseline: window(2_687, bad: 13),
            verdicts: [.pass, .pass, .inconclusive],
            result: .pass
        ),
        Case(
            what: "half as slow again",
            canary: window(300, nanoseconds: 15_000_000),
            baseline: window(2_700),
            verdicts: [.pass, .fail, .inconclusive],
            result: .fail
        ),
        Case(
            what: "faster",
            canary: window(1_000, nanoseconds: 5_000_000),
            baseline: window(9_000),
            verdicts: [.pass, .pass, .pass],
            result: .pass
        ),
    ]

    @Test("The gates", arguments: cases)
    func gates(_ example: Case) {
        let check = Self.plan.check(canary: example.canary, baseline: example.baseline)
        #expect(check.verdicts.map(\.result) == example.verdicts, "\(example.what)")
        #expect(check.result == example.result, "\(example.what): \(check.sentence)")
    }

    @Test("An absolute bound holds whatever the baseline does")
    func bound() {
        var plan = Self.plan
        plan.maxP99 = .milliseconds(12)
        let slow = Self.window(1_000, nanoseconds: 15_000_000)
        let check = plan.check(canary: slow, baseline: slow)
        #expect(check.verdicts.map(\.result) == [.pass, .pass, .fail])
        #expect(check.sentence.hasPrefix("p99 ") && check.sentence.contains("above 12.0 ms"))
    }

    @Test("Too few answers are explained, with those that were the clients' fault")
    func shortage() {
        var canary = Self.window(112)
        canary.clientFaults = 40
        let check = Self.plan.check(canary: canary, baseline: Self.window(9_000))
        #expect(
            check.sentence
                == "v2 has 112 of the 300 answers a check needs; 40 more were the clients' fault"
        )
    }

    // MARK: - Plans

    @Test(
        "Shares take from the baseline only, and a small step isn't rounded away",
        arguments: [
            (0, 0, 10_000, 0), (100, 100, 9_900, 0), (10_000, 10_000, 0, 0),
            (2_500, 2_000, 6_000, 2_000),
            (1, 1, 7_999, 2_000), (9_999, 7_999, 1, 2_000), (10_000, 8_000, 0, 2_000),
        ]
    )
    func shares(share: Int, canary: Int, baseline: Int, other: Int) {
        let before = ["v1": 10_000 - other, "v2": 0, "v0": other]
        let after = Self.plan.weights(share: share, in: before)
        #expect(after == ["v1": baseline, "v2": canary, "v0": other])
        #expect(after.values.reduce(0, +) == 10_000)
    }

    @Test(
        "What a plan can't mean is named by its key",
        arguments: [
            ("revision", "must name the revision to roll out"), ("baseline", "another revision"),
            ("steps", "must end with 100"), ("steps", "must rise"), ("steps", "1 to 100 entries"),
            ("steps", "percentages"), ("interval", "at least 1s"), ("p99Ratio", "from 1"),
            ("minRequestsP99", "at least minRequests"), ("failureLimit", "at least 1"),
            ("successFloor", "percentage"), ("successMargin", "points"), ("maxP99", "above 0"),
        ]
    )
    func problems(key: String, sentence: String) {
        var plan = Self.plan
        switch (key, sentence) {
        case ("revision", _): plan.revision = ""
        case ("baseline", _): plan.baseline = "v2"
        case ("steps", "must end with 100"): plan.steps = [100, 5_000]
        case ("steps", "must rise"): plan.steps = [500, 500, 10_000]
        case ("steps", "percentages"): plan.steps = [0, 10_000]
        case ("steps", _): plan.steps = []
        case ("interval", _): plan.interval = .milliseconds(999)
        case ("p99Ratio", _): plan.p99Ratio = 0.9
        case ("minRequestsP99", _): plan.minRequestsP99 = 299
        case ("failureLimit", _): plan.failureLimit = 0
        case ("successFloor", _): plan.successFloor = 10_001
        case ("successMargin", _): plan.successMargin = -1
        default: plan.maxP99 = .zero
        }
        #expect(plan.problem?.key == key)
        #expect(plan.problem?.sentence.contains(sentence) == true)
        #expect(Self.plan.problem == nil)
    }
}
