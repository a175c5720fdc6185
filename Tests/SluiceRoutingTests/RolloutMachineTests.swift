import SluiceCore
import SluiceRouting
import Testing

@Suite("A rollout's machine")
struct RolloutMachineTests {
    static let minute = Duration.seconds(60)
    static let start = Instant.zero + .seconds(1_000)

    static var plan: RolloutPlan {
        var plan = RolloutPlan(revision: "v2", baseline: "v1")
        plan.interval = minute
        return plan
    }

    /// `count` good answers of some milliseconds and a number of bad ones.
    static func window(_ count: Int, bad: Int = 0, milliseconds: Int = 10) -> RolloutWindow {
        var durations = [UInt64](repeating: 0, count: DurationScale.count)
        durations[DurationScale.bucket(nanoseconds: Int64(milliseconds) * 1_000_000)] = UInt64(
            count
        )
        return RolloutWindow(durations: durations, failures: UInt64(bad))
    }

    static func begun(_ plan: RolloutPlan = plan, share: Int = 0) -> RolloutMachine {
        var machine = RolloutMachine(starting: plan, share: share, by: "test", at: start, wall: 5)
        machine.settled(at: start, wall: 5)
        return machine
    }

    static let baseline = window(9_000)

    static func tick(
        _ machine: inout RolloutMachine,
        _ canary: RolloutWindow,
        recent: RolloutWindow = RolloutWindow(),
        after: Duration = minute
    ) -> RolloutAction {
        machine.tick(canary: canary, baseline: baseline, recent: recent, at: start + after)
    }

    // MARK: - Ways through

    @Test("A good canary goes through every step and is promoted")
    func promotion() {
        var machine = RolloutMachine(
            starting: Self.plan,
            share: 0,
            by: "test",
            at: Self.start,
            wall: 0
        )
        #expect(machine.unsettled == .shift(share: 100))
        var now = Self.start
        var shares: [Int] = []
        while !machine.record.status.isOver {
            shares.append(machine.record.share)
            machine.settled(at: now, wall: 0)
            #expect(machine.unsettled == nil)
            now = now + .seconds(59)
            let early = machine.tick(
                canary: Self.window(5_000),
                baseline: Self.baseline,
                recent: RolloutWindow(),
                at: now
            )
            #expect(early == .wait, "the gates are looked at when the interval is over")
            now = now + .seconds(1)
            let action = machine.tick(
                canary: Self.window(5_000),
                baseline: Self.baseline,
                recent: RolloutWindow(),
                at: now
            )
            #expect(action == machine.unsettled)
        }
        #expect(shares == [100, 500, 1_000, 2_500, 5_000])
        #expect(machine.record.status == .promoted && machine.record.share == 10_000)
        #expect(machine.unsettled == .promote)
        #expect(machine.record.earlierRequests == 25_000 && machine.record.earlierFailures == 0)
    }

    @Test("The second failed check in a row rolls back, with what was measured as the reason")
    func failure() {
        var machine = Self.begun()
        let canary = Self.window(950, bad: 50)
        guard case .hold(let reason) = Self.tick(&machine, canary) else {
            Issue.record("one failed check doesn't roll back")
            return
        }
        #expect(reason.hasPrefix("failed check 1 of 2: success 95.0 % is below 99.0 %"))
        #expect(Self.tick(&machine, canary, after: .seconds(61)) == .wait)
        guard case .rollBack = Self.tick(&machine, canary, after: .seconds(120)) else {
            Issue.record("two failed checks roll back")
            return
        }
        #expect(machine.record.status == .rolledBack && machine.record.share == 0)
        #expect(machine.record.earlierFailures == 50)
    }

    @Test("A canary that recovers within its step goes on")
    func recovery() {
        var machine = Self.begun()
        _ = Self.tick(&machine, Self.window(400, bad: 20))
        #expect(
            Self.tick(&machine, Self.window(9_000, bad: 20), after: .seconds(120))
                == .shift(share: 500)
        )
        machine.settled(at: Self.start, wall: 0)
        #expect(machine.record.failed == 0)
    }

    @Test(
        "No traffic is neither success nor failure: it holds, says so, and stalls after ten checks"
    )
    func silence() {
        var machine = Self.begun()
        for number in 1...25 {
            let action = Self.tick(
                &machine,
                RolloutWindow(),
                after: .seconds(Int64(60 * number))
            )
            #expect(action == .hold("no backend of v2 has answered since the step began"))
            #expect(machine.isStalled == (number >= 10))
            #expect(machine.record.step == 0 && machine.record.status == .progressing)
        }
    }

    @Test(
        "Twenty answers, more than half of them bad, roll back at once",
        arguments: [true, false]
    )
    func emergency(isPaused: Bool) throws {
        for (good, bad, rollsBack) in [
            (9, 10, false), (10, 10, false), (9, 11, true), (0, 20, true),
        ] {
            for isRecent in [true, false] {
                var machine = Self.begun()
                if isPaused { try machine.pause(by: "test") }
                let bad = Self.window(good, bad: bad)
                let action =
                    isRecent
                    ? Self.tick(&machine, Self.window(50_000), recent: bad, after: .seconds(1))
                    : Self.tick(&machine, bad, after: .seconds(1))
                if case .rollBack(let reason) = action {
                    #expect(rollsBack && reason.hasPrefix("emergency: "))
                } else {
                    #expect(!rollsBack && action == .wait)
                }
            }
        }
    }

    @Test("A paused rollout stays, however good the canary is")
    func pause() throws {
        var machine = Self.begun()
        try machine.pause(by: "admin")
        #expect(Self.tick(&machine, Self.window(9_000), after: .seconds(9_000)) == .wait)
        #expect(machine.record.reason == "paused by admin" && machine.record.step == 0)
        let action = try machine.resume(share: 100, canary: RolloutWindow(), by: "admin")
        #expect(action == .shift(share: 100))
    }

    @Test(
        "Resuming after weights were shifted by hand takes the step they have reached",
        arguments: [
            (0, 1, 500), (1, 0, 100), (500, 1, 500), (501, 2, 1_000), (6_000, 5, 10_000),
            (10_000, 5, 10_000),
        ]
    )
    func resume(share: Int, step: Int, next: Int) throws {
        var machine = Self.begun(share: 300)
        #expect(machine.record.step == 1)
        machine.weightsChanged(share: share, by: "admin 127.0.0.1")
        #expect(machine.record.status == .paused && machine.record.share == share)
        #expect(machine.record.reason == "admin 127.0.0.1 changed the weights")
        let action = try machine.resume(share: share, canary: RolloutWindow(), by: "admin")
        #expect(machine.record.step == step && machine.record.share == next)
        #expect(action == (next == 10_000 ? .promote : .shift(share: next)))
    }

    @Test(
        "A canary that has traffic begins at the step it has reached",
        arguments: [
            (0, 100), (100, 100), (101, 500), (1_000, 1_000), (5_001, 10_000), (10_000, 10_000),
        ]
    )
    func begin(share: Int, first: Int) {
        let machine = RolloutMachine(
            starting: Self.plan,
            share: share,
            by: "test",
            at: Self.start,
            wall: 0
        )
        #expect(machine.record.share == first)
        #expect((machine.record.status == .promoted) == (first == 10_000))
    }

    @Test("A record brings the machine back to the same step, acting again if it hadn't finished")
    func restart() {
        for isSettled in [true, false] {
            var record = RolloutRecord(
                plan: Self.plan,
                step: 3,
                share: 2_500,
                reason: "all gates passed",
                started: 7
            )
            record.isSettled = isSettled
            var machine = RolloutMachine(resuming: record, at: Self.start)
            #expect(machine.unsettled == (isSettled ? nil : .shift(share: 2_500)))
            #expect(machine.nextCheck == Self.start + Self.minute)
            machine.settled(at: Self.start, wall: 0)
            #expect(Self.tick(&machine, Self.window(5_000)) == .shift(share: 5_000))
        }
    }

    // MARK: - Every state, every event

    enum Event: CaseIterable, Sendable {
        case early, pass, inconclusive, fail, emergency
        case pause, resume, promote, abort, shift, refused, abandon
    }

    enum Condition: CaseIterable, Sendable {
        case acting, progressing, failedOnce, paused, promoted, rolledBack

        func machine() throws -> RolloutMachine {
            var machine = RolloutMachine(
                starting: plan,
                share: 0,
                by: "test",
                at: start,
                wall: 0
            )
            guard self != .acting else { return machine }
            machine.settled(at: start, wall: 0)
            switch self {
            case .failedOnce:
                _ = RolloutMachineTests.tick(&machine, window(900, bad: 100), after: .seconds(60))
            case .paused: try machine.pause(by: "test")
            case .promoted:
                _ = try machine.promote(canary: RolloutWindow(), by: "test")
                machine.settled(at: start, wall: 0)
            case .rolledBack:
                _ = try machine.abort(canary: RolloutWindow(), by: "test")
                machine.settled(at: start, wall: 0)
            default: break
            }
            return machine
        }
    }

    /// What becomes of each condition: a status and what is done, `-` for nothing, `!` for refused.
    static let table: [Event: [Condition: String]] = [
        .early: [
            .acting: "progressing -", .progressing: "progressing -", .failedOnce: "progressing -",
            .paused: "paused -",
        ],
        .pass: [
            .acting: "progressing -", .progressing: "progressing 500",
            .failedOnce: "progressing 500", .paused: "paused -",
        ],
        .inconclusive: [
            .acting: "progressing -", .progressing: "progressing hold",
            .failedOnce: "progressing hold", .paused: "paused -",
        ],
        .fail: [
            .acting: "progressing -", .progressing: "progressing hold",
            .failedOnce: "rolledBack 0", .paused: "paused -",
        ],
        .emergency: [
            .acting: "progressing -", .progressing: "rolledBack 0", .failedOnce: "rolledBack 0",
            .paused: "rolledBack 0",
        ],
        .pause: [
            .acting: "paused -", .progressing: "paused -", .failedOnce: "paused -",
            .paused: "paused !",
        ],
        .resume: [
            .acting: "progressing !", .progressing: "progressing !", .failedOnce: "progressing !",
            .paused: "progressing 100",
        ],
        .promote: [
            .acting: "promoted all", .progressing: "promoted all", .failedOnce: "promoted all",
            .paused: "promoted all",
        ],
        .abort: [
            .acting: "rolledBack 0", .progressing: "rolledBack 0", .failedOnce: "rolledBack 0",
            .paused: "rolledBack 0",
        ],
        .shift: [
            .acting: "paused -", .progressing: "paused -", .failedOnce: "paused -",
            .paused: "paused -",
        ],
        .refused: [
            .acting: "paused -", .progressing: "paused -", .failedOnce: "paused -",
            .paused: "paused -",
        ],
        .abandon: [
            .acting: "rolledBack -", .progressing: "rolledBack -", .failedOnce: "rolledBack -",
            .paused: "rolledBack -",
        ],
    ]

    @Test("Every event in every state does what the table says", arguments: Event.allCases)
    func transitions(event: Event) throws {
        for condition in Condition.allCases {
            var machine = try condition.machine()
            let before = machine.record
            var done = "-"
            do throws(RolloutError) {
                done = Self.name(try Self.apply(event, to: &machine))
            } catch {
                done = "!"
            }
            // What is over stays over, whatever happens.
            let isCommand = [.pause, .resume, .promote, .abort].contains(event)
            let over = "\(before.status) \(isCommand ? "!" : "-")"
            let expected = Self.table[event]?[condition] ?? over
            #expect("\(machine.record.status) \(done)" == expected, "\(condition), \(event)")
            if before.status.isOver { #expect(machine.record == before) }
            if done == "!" { #expect(machine.record == before, "a refused wish changes nothing") }
        }
    }

    static func apply(
        _ event: Event,
        to machine: inout RolloutMachine
    ) throws(RolloutError) -> RolloutAction {
        let due = Duration.seconds(120)
        let none = RolloutWindow()
        switch event {
        case .early: return tick(&machine, window(5_000), after: .seconds(1))
        case .pass: return tick(&machine, window(5_000), after: due)
        case .inconclusive: return tick(&machine, window(299), after: due)
        case .fail: return tick(&machine, window(900, bad: 100), after: due)
        case .emergency: return tick(&machine, window(10, bad: 11), after: .seconds(1))
        case .pause: try machine.pause(by: "test")
        case .resume: return try machine.resume(share: 100, canary: none, by: "test")
        case .promote: return try machine.promote(canary: none, by: "test")
        case .abort: return try machine.abort(canary: none, by: "test")
        case .shift: machine.weightsChanged(share: 2_000, by: "test")
        case .refused: machine.refused("no", share: 0)
        case .abandon: machine.abandon("gone", wall: 0)
        }
        return .wait
    }

    static func name(_ action: RolloutAction) -> String {
        switch action {
        case .wait: "-"
        case .hold: "hold"
        case .shift(let share): "\(share)"
        case .promote: "all"
        case .rollBack: "0"
        }
    }
}
