import SluiceConfiguration
import SluiceControl
import SluiceCore
import SluiceGateway
import SluiceRouting
import SluiceWire
import Testing

/// A gateway that does what a rollout wants, or refuses, and keeps all it was told.
private final class Stage: RolloutHost {
    enum Deed: Equatable {
        case remembered(RolloutStatus, step: Int, isSettled: Bool)
        case shifted([String: Int])
    }

    var now = Instant.zero + .seconds(1_000)
    var wall: Int64 = 1_700_000_000_000_000_000
    var snapshot: Snapshot
    var plans: [String: RolloutPlan]
    var records: [String: JSONValue] = [:]
    var answered: [String: RolloutWindow] = [:]
    var deeds: [Deed] = []
    var notes: [String] = []
    var counts: [RolloutResult: Int] = [:]
    /// What shifts are refused with.
    var refusal: ChangeError?
    /// Whether shifts wait for ``finish()``.
    var isSlow = false
    var isWarming = false
    private var held: ((ChangeError?) -> Void)?
    var waiting: [() -> Void] = []

    init(weights: [Int] = [10_000, 0, 0], rollout: String = "") throws {
        let lines = zip(["v1", "v2", "v3"], weights).map { name, points in
            "  - {name: \(name), traffic: \(Configuration.percent(points)), backends: [{rest: \"http://127.0.0.1:1\"}]}"
        }
        let yaml = """
            listeners: [{address: "127.0.0.1:0"}]
            models:
            - name: iris
              cache: {ttl: 10m}
              \(rollout)
              revisions:
            \(lines.joined(separator: "\n"))
            """
        let configuration = try Configuration.parse(yaml: yaml, file: "f")
        var compiler = SnapshotCompiler()
        snapshot = try compiler.compile(configuration)
        plans = configuration.models.reduce(into: [:]) { $0[$1.name] = $1.rollout }
    }

    var weights: [Int] { snapshot.models.first?.split.weights ?? [] }

    func move(_ weights: [Int]) {
        snapshot.models[0].split = TrafficSplit(weights: weights)
        snapshot.generation += 1
    }

    func plan(of model: String) -> RolloutPlan? { plans[model] }
    func answers(model: String, revision: String) -> RolloutWindow {
        answered[revision] ?? RolloutWindow()
    }

    func remember(_ record: JSONValue, of model: String) {
        records[model] = record
        guard let read = RolloutRecord(json: record) else {
            Issue.record("a record reads back")
            return
        }
        deeds.append(.remembered(read.status, step: read.step, isSettled: read.isSettled))
    }

    func shift(
        _ shift: TrafficShift,
        then: @escaping (ChangeError?) -> Void
    ) {
        let act = { [self] in
            if let refusal {
                then(refusal)
                return
            }
            deeds.append(.shifted(shift.weights))
            move(snapshot.models[0].revisions.map { shift.weights[$0.name] ?? 0 })
            then(nil)
        }
        held = then
        if isSlow { waiting.append(act) } else { act() }
    }

    func finish() {
        let all = waiting
        waiting = []
        for act in all { act() }
    }

    /// A slow shift waits for a warm-up, and is refused when that is given up.
    func cancelWarmUp(of model: String, by who: String) {
        guard isWarming else { return }
        (isWarming, isSlow) = (false, false)
        waiting = []
        held?(ChangeError(.conflict, "cancelled"))
    }

    func note(_ message: String, model: String, by who: String) { notes.append(message) }
    func count(_ result: RolloutResult, model: String, revision: String) {
        counts[result, default: 0] += 1
    }

    /// Adds answers of 10 ms to each revision.
    func answer(_ good: Int, bad: Int = 0) {
        for (name, failures) in [("v1", 0), ("v2", bad)] {
            var window = answered[name] ?? RolloutWindow()
            if window.durations.isEmpty {
                window.durations = [UInt64](repeating: 0, count: DurationScale.count)
            }
            window.durations[DurationScale.bucket(nanoseconds: 10_000_000)] += UInt64(good)
            window.failures += UInt64(failures)
            answered[name] = window
        }
    }
}

@Suite("The rollout's driver")
struct RolloutDriverTests {
    private static let body = JSONValue.object([
        .init("revision", .string("v2")),
        .init("steps", .array([.number("10"), .number("50"), .number("100")])),
        .init("interval", .string("10s")),
    ])

    private static func started(
        _ stage: Stage,
        _ body: JSONValue? = body
    ) throws -> (RolloutDriver, RolloutStates) {
        let states = RolloutStates()
        let driver = RolloutDriver(host: stage, states: states)
        var answers = 0
        try driver.start("iris", body, by: "test") { _ in answers += 1 }
        #expect(answers == 1)
        return (driver, states)
    }

    private static func pass(_ stage: Stage, _ driver: RolloutDriver, bad: Int = 0) {
        stage.answer(5_000, bad: bad)
        stage.now = stage.now + .seconds(10)
        driver.tick()
    }

    @Test("Each transition is written down before it is made and after")
    func order() throws {
        let stage = try Stage()
        let (driver, states) = try Self.started(stage)
        Self.pass(stage, driver)
        Self.pass(stage, driver)
        #expect(
            stage.deeds == [
                .remembered(.progressing, step: 0, isSettled: false),
                .shifted(["v1": 9_000, "v2": 1_000, "v3": 0]),
                .remembered(.progressing, step: 0, isSettled: true),
                .remembered(.progressing, step: 1, isSettled: false),
                .shifted(["v1": 5_000, "v2": 5_000, "v3": 0]),
                .remembered(.progressing, step: 1, isSettled: true),
                .remembered(.promoted, step: 2, isSettled: false),
                .shifted(["v1": 0, "v2": 10_000, "v3": 0]),
                .remembered(.promoted, step: 2, isSettled: true),
            ]
        )
        #expect(states["iris"]?.record.status == .promoted && states["iris"]?.weight == 10_000)
        #expect(states["iris"]?.requests == 10_000 && stage.counts == [.pass: 2])
    }

    @Test("A process that was killed anywhere is followed by one that stands where it stood")
    func kill() throws {
        // The records that were on disk after each deed, and the weights that held then.
        let stage = try Stage()
        stage.isSlow = true
        let driver = RolloutDriver(host: stage, states: RolloutStates())
        try driver.start("iris", Self.body, by: "test") { _ in }
        for step in 0..<2 {
            // Killed after the record, before the shift; and after the shift, before the record.
            for hasShifted in [false, true] {
                let after = try Stage(weights: stage.weights)
                after.records = stage.records
                let share = [1_000, 5_000][step]
                if hasShifted { after.move([10_000 - share, share, 0]) }
                let states = RolloutStates()
                let next = RolloutDriver(host: after, states: states)
                next.tick()
                #expect(after.weights == [10_000 - share, share, 0])
                #expect(states["iris"]?.record.step == step)
                #expect(states["iris"]?.record.isSettled == true)
                #expect(after.notes.first?.contains("goes on after a restart") == true)
                // It has its own window: nothing passes on what the dead process had seen.
                after.now = after.now + .seconds(10)
                next.tick()
                #expect(states["iris"]?.record.step == step)
            }
            stage.finish()
            Self.pass(stage, driver)
        }
    }

    @Test("Whoever shifts by hand pauses the rollout; it goes on where they left it")
    func manual() throws {
        let stage = try Stage()
        let (driver, states) = try Self.started(stage)
        stage.move([7_000, 3_000, 0])
        driver.weightsMoved(model: "iris", by: "admin 127.0.0.1")
        #expect(states["iris"]?.record.status == .paused && states["iris"]?.weight == 3_000)
        #expect(states["iris"]?.record.reason == "admin 127.0.0.1 changed the weights")
        Self.pass(stage, driver)
        #expect(stage.weights == [7_000, 3_000, 0])
        try driver.grant(.resume, "iris", by: "test") { _ in }
        #expect(stage.weights == [5_000, 5_000, 0])
        // A reload may move them as well, and nobody says so.
        stage.move([10_000, 0, 0])
        driver.tick()
        #expect(states["iris"]?.record.status == .paused)
        #expect(states["iris"]?.record.reason == "somebody changed the weights")
    }

    @Test("A step that is refused waits for a person; a rollback is tried until it is made")
    func refused() throws {
        let stage = try Stage()
        let (driver, states) = try Self.started(stage)
        stage.refusal = ChangeError(.conflict, "somebody was faster")
        Self.pass(stage, driver)
        #expect(states["iris"]?.record.status == .paused && stage.weights == [9_000, 1_000, 0])
        #expect(states["iris"]?.record.reason.contains("somebody was faster") == true)
        stage.refusal = nil
        try driver.grant(.resume, "iris", by: "test") { _ in }
        stage.refusal = ChangeError(.busy, "too many")
        stage.answer(0, bad: 30)
        driver.tick()
        #expect(states["iris"]?.record.status == .rolledBack && stage.weights == [9_000, 1_000, 0])
        #expect(throws: ChangeError.self) {
            try driver.start("iris", Self.body, by: "b") { _ in }
        }
        stage.refusal = nil
        driver.tick()
        #expect(stage.weights == [10_000, 0, 0])
        #expect(stage.notes.last?.contains("30 of its 5030 answers were bad") == true)
        try driver.start("iris", Self.body, by: "test") { _ in }
    }

    @Test("A rollout that is aborted while its first step waits for a warm-up goes back at once")
    func warming() throws {
        let stage = try Stage()
        (stage.isSlow, stage.isWarming) = (true, true)
        let driver = RolloutDriver(host: stage, states: RolloutStates())
        var started: ChangeError?
        try driver.start("iris", .object([.init("revision", .string("v2"))]), by: "ann") {
            if case .failure(let refusal) = $0 { started = refusal }
        }
        #expect(stage.weights == [10_000, 0, 0])
        var status: RolloutStatus?
        try driver.grant(.abort, "iris", by: "ann") {
            if case .success(let view) = $0 { status = view.record.status }
        }
        #expect(status == .rolledBack && started == nil)
        #expect(stage.weights == [10_000, 0, 0])
        #expect(!stage.deeds.contains(.shifted(["v1": 9900, "v2": 100])))
    }

    @Test("Who changes their mind while weights are on their way gets the last word")
    func refetched() throws {
        let stage = try Stage()
        let (driver, states) = try Self.started(stage)
        stage.isSlow = true
        Self.pass(stage, driver)
        var answers = 0
        try driver.grant(.abort, "iris", by: "test") { _ in answers += 1 }
        #expect(answers == 0)
        stage.finish()
        stage.finish()
        #expect(answers == 1 && stage.weights == [10_000, 0, 0])
        #expect(states["iris"]?.record.status == .rolledBack)
    }

    @Test("A rollout whose revision is gone is given up")
    func gone() throws {
        let stage = try Stage()
        let (driver, states) = try Self.started(stage)
        stage.snapshot.models[0].revisions.remove(at: 1)
        stage.move([10_000, 0])
        driver.tick()
        #expect(states["iris"]?.record.status == .rolledBack)
        #expect(stage.notes.last?.contains("was given up") == true)
    }

    @Test(
        "A rollout goes with its model, and one of that name starts anew",
        arguments: [false, true]
    )
    func goneModel(isOver: Bool) throws {
        let stage = try Stage()
        let (driver, states) = try Self.started(stage)
        if isOver { try driver.grant(.abort, "iris", by: "test") { _ in } }
        let model = stage.snapshot.models.removeFirst()
        stage.snapshot.generation += 1
        driver.tick()
        #expect(states["iris"] == nil && driver.view(of: "iris") == nil)
        stage.snapshot.models = [model]
        stage.move([10_000, 0, 0])
        driver.tick()
        #expect(stage.weights == [10_000, 0, 0])
        try driver.start("iris", Self.body, by: "test") { _ in }
        #expect(stage.weights == [9_000, 1_000, 0])
    }

    @Test("What the configuration wants started is started, once for each revision")
    func autoStart() throws {
        let stage = try Stage(rollout: "rollout: {revision: v2, autoStart: true}")
        let states = RolloutStates()
        let driver = RolloutDriver(host: stage, states: states)
        driver.tick()
        #expect(stage.weights == [9_900, 100, 0])
        #expect(states["iris"]?.record.plan.baseline == "v1")
        // Half of ten minutes' time to live.
        #expect(states["iris"]?.record.plan.interval == .seconds(300))
        try driver.grant(.abort, "iris", by: "test") { _ in }
        stage.move([10_000, 0, 0])
        driver.tick()
        #expect(stage.weights == [10_000, 0, 0], "it has had its turn")
        stage.plans["iris"]?.revision = "v3"
        stage.move([10_000, 0, 0])
        driver.tick()
        #expect(stage.weights == [9_900, 0, 100])
    }

    @Test("Others keep their traffic, and the baseline is who has most")
    func three() throws {
        let stage = try Stage(weights: [2_000, 0, 8_000])
        let (driver, states) = try Self.started(stage)
        #expect(states["iris"]?.record.plan.baseline == "v3")
        #expect(stage.weights == [2_000, 800, 7_200])
        try driver.grant(.promote, "iris", by: "test") { _ in }
        #expect(stage.weights == [2_000, 8_000, 0])
    }

    @Test(
        "A plan that can't be followed is refused, and says why",
        arguments: [
            ("{}", "say which revision"), ("{\"revision\":\"v9\"}", "has no revision 'v9'"),
            ("{\"revision\":\"v2\",\"baseline\":\"v3\"}", "neither 'v2' nor 'v3' has any traffic"),
            ("{\"revision\":\"v2\",\"steps\":[1]}", "must end with 100"),
            ("{\"revision\":\"v2\",\"p99Ratio\":\"x\"}", "must be a number"),
            ("{\"revision\":\"v2\",\"speed\":1}", "unknown key `speed`; known: revision, baseline"),
            ("[]", "a plan is an object"),
        ]
    )
    func plans(body: String, sentence: String) throws {
        let stage = try Stage()
        let driver = RolloutDriver(host: stage, states: RolloutStates())
        let json = try JSONParser.parse(Array(body.utf8))
        do throws(ChangeError) {
            try driver.start("iris", json, by: "test") { _ in }
            Issue.record("it was taken")
        } catch {
            #expect(error.kind == .invalid && error.sentence.contains(sentence), "\(error)")
        }
        #expect(stage.deeds.isEmpty)
    }

    // MARK: - Records

    @Test("A record reads back as it was, whatever another version has put beside")
    func record() throws {
        var plan = RolloutPlan(revision: "v2", baseline: "v1")
        plan.steps = [50, 2_500, 10_000]
        plan.interval = .seconds(90)
        plan.maxP99 = .milliseconds(250)
        plan.p95Ratio = 1.5
        plan.autoStart = true
        for status in RolloutStatus.allCases {
            var record = RolloutRecord(
                plan: plan,
                step: 1,
                share: 2_500,
                reason: "\"x\"",
                started: 7
            )
            record.status = status
            record.isSettled = true
            (record.failed, record.inconclusive, record.since) = (1, 2, 9)
            (record.earlierRequests, record.earlierFailures) = (1_000, 3)
            let bytes = record.json.serialized
            #expect(RolloutRecord(json: try JSONParser.parse(bytes)) == record)
            guard case .object(var members) = record.json else { return }
            members.insert(.init("mood", .string("calm")), at: 3)
            #expect(RolloutRecord(json: .object(members)) == record)
        }
    }

    @Test(
        "A record that makes no sense is left out, and said so",
        arguments: [
            "{}", "7",
            "{\"plan\":{\"revision\":\"v2\"},\"status\":\"progressing\",\"step\":0,\"share\":1}",
            "{\"plan\":{\"revision\":\"v2\",\"baseline\":\"v1\"},\"status\":\"lost\",\"step\":0,\"share\":1}",
            "{\"plan\":{\"revision\":\"v2\",\"baseline\":\"v1\"},\"status\":\"paused\",\"step\":6,\"share\":1}",
        ]
    )
    func nonsense(text: String) throws {
        let stage = try Stage()
        stage.records["iris"] = try JSONParser.parse(Array(text.utf8))
        let states = RolloutStates()
        let driver = RolloutDriver(host: stage, states: states)
        driver.tick()
        #expect(states["iris"] == nil && stage.notes.first?.contains("makes no sense") == true)
    }
}
