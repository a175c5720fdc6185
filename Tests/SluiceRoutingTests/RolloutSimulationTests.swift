import Glibc
import SluiceCore
import SluiceRouting
import Testing

// How often the gates are wrong, with the buckets that are really used
// ---------------------------------------------------------------------
// Durations are lognormal (median 20 ms, sigma 0.5), the baseline has nine times the canary's
// answers, and 0.5 % of all are bad. Found here: equal revisions fail p99 in 15 % of checks at 100
// answers, 8 % at 300, 0.4 % at 1000; p95 in 4 %, 0.3 % and none; success in 3.7 %, 3.5 % and 1.6 %. A
// canary 1.5 times as slow is caught by p95 in every check at 300, one with 3 % errors in 95 %.

@Suite("How often a rollout is wrong")
struct RolloutSimulationTests {
    /// Buckets of lognormal durations, each as likely as the next.
    static func pool(scaled factor: Double) -> [Int] {
        var random = RandomSource(seed: 4)
        return (0..<65_536).map { _ in
            let first = Double(random.next() >> 11 | 1) / 0x1p53
            let second = Double(random.next() >> 11) / 0x1p53
            let normal = (-2 * log(first)).squareRoot() * cos(2 * .pi * second)
            return DurationScale.bucket(nanoseconds: Int64(20e6 * factor * exp(0.5 * normal)))
        }
    }

    static let equal = pool(scaled: 1)
    static let slower = pool(scaled: 1.5)

    static func window(
        _ count: Int,
        errors: Int,
        from pool: [Int],
        _ random: inout RandomSource
    ) -> RolloutWindow {
        var durations = [UInt64](repeating: 0, count: DurationScale.count)
        var failures: UInt64 = 0
        for _ in 0..<count {
            let draw = random.next()
            // `errors` per 10,000, by the low bits; the duration by the high ones.
            if (Int(draw & 0xFFFF_FFFF) * 10_000) >> 32 < errors {
                failures += 1
            } else {
                durations[pool[Int(draw >> 48)]] += 1
            }
        }
        return RolloutWindow(durations: durations, failures: failures)
    }

    /// The share of checks in which each gate fails.
    static func failures(
        _ count: Int,
        rounds: Int,
        canaryErrors: Int,
        canary pool: [Int]
    ) -> [RolloutGate: Double] {
        var plan = RolloutPlan(revision: "v2", baseline: "v1")
        // Below their minimum the gates say nothing; here we want to know why.
        (plan.minRequests, plan.minRequestsP99) = (1, 1)
        var random = RandomSource(seed: UInt64(count))
        var failed: [RolloutGate: Int] = [:]
        for _ in 0..<rounds {
            let check = plan.check(
                canary: window(count, errors: canaryErrors, from: pool, &random),
                baseline: window(9 * count, errors: 50, from: equal, &random)
            )
            for verdict in check.verdicts where verdict.result == .fail {
                failed[verdict.gate, default: 0] += 1
            }
        }
        return failed.mapValues { Double($0) / Double(rounds) }
    }

    @Test(
        "False alarms between equal revisions",
        .tags(.simulation),
        arguments: [
            // answers, rounds, and between which shares of checks success, p95 and p99 fail
            (100, 1_500, 0.002...0.10, 0.03...0.09, 0.07...0.17),
            (300, 1_000, 0.010...0.06, 0.00...0.012, 0.02...0.11),
            (1_000, 500, 0.000...0.03, 0.00...0.002, 0.00...0.015),
        ]
    )
    func falseAlarms(
        count: Int,
        rounds: Int,
        success: ClosedRange<Double>,
        p95: ClosedRange<Double>,
        p99: ClosedRange<Double>
    ) {
        let share = Self.failures(count, rounds: rounds, canaryErrors: 50, canary: Self.equal)
        #expect(success.contains(share[.success, default: 0]), "\(share)")
        #expect(p95.contains(share[.p95, default: 0]), "\(share)")
        #expect(p99.contains(share[.p99, default: 0]), "\(share)")
    }

    @Test("A canary half as slow again, or with 3 % errors, is caught by one check at 300 answers")
    func detection() {
        let slow = Self.failures(300, rounds: 500, canaryErrors: 50, canary: Self.slower)
        #expect(slow[.p95, default: 0] >= 0.99, "\(slow)")
        let bad = Self.failures(300, rounds: 500, canaryErrors: 300, canary: Self.equal)
        #expect(bad[.success, default: 0] >= 0.92, "\(bad)")
    }

    @Test("Of equal revisions nearly every one is promoted, of bad ones none", .tags(.simulation))
    func wholeRollouts() {
        func promoted(_ errors: Int, _ pool: [Int], seed: UInt64) -> Int {
            var random = RandomSource(seed: seed)
            var promoted = 0
            for _ in 0..<40 {
                var plan = RolloutPlan(revision: "v2", baseline: "v1")
                plan.interval = .seconds(60)
                var now = Instant.zero
                var machine = RolloutMachine(starting: plan, share: 0, by: "", at: now, wall: 0)
                // 500 requests a second: enough for p99 from the second step on.
                while !machine.record.status.isOver {
                    machine.settled(at: now, wall: 0)
                    var (canary, baseline) = (RolloutWindow(), RolloutWindow())
                    let share = machine.record.share
                    var action = RolloutAction.wait
                    while machine.record.isSettled {
                        now = now + .seconds(60)
                        let count = 30_000 * share / 10_000
                        canary = Self.sum(
                            canary,
                            Self.window(count, errors: errors, from: pool, &random)
                        )
                        baseline = Self.sum(
                            baseline,
                            Self.window(
                                min(30_000 - count, 9_000),
                                errors: 50,
                                from: Self.equal,
                                &random
                            )
                        )
                        action = machine.tick(
                            canary: canary,
                            baseline: baseline,
                            recent: RolloutWindow(),
                            at: now
                        )
                    }
                    if action == .promote { promoted += 1 }
                }
            }
            return promoted
        }
        let even = promoted(50, Self.equal, seed: 1)
        #expect(even >= 38)
        #expect(promoted(300, Self.equal, seed: 2) == 0)
        #expect(promoted(50, Self.slower, seed: 3) == 0)
    }

    static func sum(_ first: RolloutWindow, _ second: RolloutWindow) -> RolloutWindow {
        if first.durations.isEmpty { return second }
        var result = first
        for index in result.durations.indices { result.durations[index] += second.durations[index] }
        result.failures += second.failures
        return result
    }
}

extension Tag {
    /// Seeded chance, many rounds.
    @Tag static var simulation: Self
}
