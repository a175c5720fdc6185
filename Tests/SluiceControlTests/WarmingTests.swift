import SluiceConfiguration
import SluiceControl
import SluiceGateway
import SluiceInference
import SluiceRouting
import SluiceTelemetry
import Synchronization
import Testing

/// Runs that the test brings to their end.
private final class Stove: Warmer {
    private let made = Mutex<[WarmupRun]>([])
    private let inputs: Int

    init(inputs: Int = 1) { self.inputs = inputs }

    func warm(
        model: String,
        revision: String,
        then: @escaping @Sendable (WarmupRun.Progress) -> Void
    ) -> WarmupRun? {
        let request = TopRequest(form: .v2, path: [], contentType: [], body: [])
        let run = WarmupRun(
            model: model,
            revision: revision,
            rate: 1,
            Array(repeating: request, count: inputs),
            then: then
        )
        made.withLock { $0.append(run) }
        if inputs == 0 { run.stop(.done) }
        return run
    }

    var runs: [WarmupRun] { made.withLock { $0 } }
}

/// A desk whose first revision has all the traffic of a model that is warmed.
private final class Coordinator: Sendable {
    let coordinator: ChangeCoordinator
    let stove: Stove
    private let results = Mutex<[String]>([])

    init(_ stove: Stove = Stove(), warm: String = ", warm: {}") throws {
        let revisions = ["v1", "v2", "v3"].enumerated().map { index, name in
            "  - {name: \(name), traffic: \(index == 0 ? 100 : 0), backends: [{rest: \"http://127.0.0.1:1\"}]}"
        }
        let yaml = """
            listeners: [{address: "127.0.0.1:0"}]
            models:
            - name: iris
              cache: {ttl: 10m\(warm)}
              revisions:
            \(revisions.joined(separator: "\n"))
            """
        self.stove = stove
        coordinator = try ChangeCoordinator(
            configuration: try Configuration.parse(yaml: yaml, file: "f"),
            file: nil,
            store: MetricStore(),
            log: EventLog(isQuiet: true)
        ) { _, _ in }
        coordinator.use(stove)
    }

    deinit { coordinator.stop() }

    var weights: [Int] { coordinator.snapshot.models[0].split.weights }

    /// What shifts have come to, in the order of their ends: `made` or the refusal.
    var ends: [String] { results.withLock { $0 } }

    func submit(_ change: Change, by who: String = "ann") {
        coordinator.submit(change, by: who) { [self] result in
            let text: String
            switch result {
            case .success(let applied): text = "made: " + applied.notes.joined(separator: "; ")
            case .failure(let refusal): text = refusal.sentence
            }
            results.withLock { $0.append(text) }
        }
        settle()
    }

    func shift(_ weights: [String: Int], isDryRun: Bool = false, isWarmed: Bool = true) -> Change {
        .shift(
            TrafficShift(
                model: "iris",
                weights: weights,
                isDryRun: isDryRun,
                isWarmed: isWarmed
            )
        )
    }

    /// Until the desk's thread has done what it was told, and what followed from that.
    func settle() {
        for _ in 0..<3 {
            coordinator.perform(.shift(TrafficShift(model: "nobody", weights: [:])), by: "test")
        }
    }

    var messages: [String] {
        coordinator.events.events(after: 0).filter { $0.kind == .cache }.map(\.message)
    }
}

@Suite("Warm first, then shift")
struct WarmingTests {
    @Test("A revision's first weight waits until its run is over, and the desk doesn't")
    func waits() throws {
        let coordinator = try Coordinator()
        coordinator.submit(coordinator.shift(["v2": 10_000]))
        let run = try #require(coordinator.stove.runs.first)
        #expect(
            run.revision == "v2" && coordinator.weights == [10_000, 0, 0] && coordinator.ends == []
        )
        #expect(coordinator.coordinator.warmth(model: "iris", revision: "v2")?.end == nil)
        #expect(coordinator.coordinator.warmed.map(\.revision) == ["v2"])
        run.stop(.done)
        coordinator.settle()
        #expect(coordinator.weights == [0, 10_000, 0])
        #expect(coordinator.ends.first?.hasPrefix("made: revision 'v2' was warmed") == true)
        #expect(coordinator.messages.first == "warming iris v2: 1 inputs at 1/s")
        #expect(coordinator.messages.last == "warmed iris v2: 0 answered, 0 failed, 0 were known")
        #expect(coordinator.coordinator.warmed.isEmpty)
    }

    @Test("Two new revisions are both warmed before the weights move")
    func both() throws {
        let coordinator = try Coordinator()
        coordinator.submit(coordinator.shift(["v2": 5000, "v3": 5000]))
        #expect(coordinator.stove.runs.map(\.revision) == ["v2", "v3"])
        coordinator.stove.runs[1].stop(.done)
        coordinator.settle()
        #expect(coordinator.weights == [10_000, 0, 0])
        coordinator.stove.runs[0].stop(.done)
        coordinator.settle()
        #expect(coordinator.weights == [0, 5000, 5000])
    }

    @Test("Nothing is warmed for a dry run, on request, without `warm`, or for who has weight")
    func withoutWarming() throws {
        let plain = try Coordinator(warm: "")
        plain.submit(plain.shift(["v2": 10_000]))
        #expect(plain.weights == [0, 10_000, 0])
        let coordinator = try Coordinator()
        coordinator.submit(coordinator.shift(["v2": 10_000], isDryRun: true))
        coordinator.submit(coordinator.shift(["v1": 9000, "v2": 1000], isWarmed: false))
        coordinator.submit(coordinator.shift(["v1": 1000, "v2": 9000]))
        #expect(coordinator.weights == [1000, 9000, 0])
        #expect(plain.stove.runs.isEmpty && coordinator.stove.runs.isEmpty)
        // Back to the file's: v3 goes, v1 has weight.
        coordinator.submit(.unshift(model: "iris"))
        #expect(coordinator.weights == [10_000, 0, 0] && coordinator.stove.runs.isEmpty)
    }

    @Test("A second shift refuses the one that waits, unless it is refused itself")
    func superseded() throws {
        let coordinator = try Coordinator()
        coordinator.submit(coordinator.shift(["v2": 10_000]))
        coordinator.submit(coordinator.shift(["v2": 9000]), by: "bob")
        #expect(coordinator.ends.count == 1 && coordinator.ends[0].contains("must sum to 100"))
        #expect(coordinator.stove.runs[0].progress.end == nil)
        coordinator.submit(coordinator.shift(["v1": 5000, "v3": 5000]), by: "bob")
        #expect(coordinator.stove.runs[0].progress.end == .cancelled)
        #expect(
            coordinator.ends.count == 2
                && coordinator.ends[1].contains("superseded by a shift of bob")
        )
        coordinator.stove.runs[1].stop(.done)
        coordinator.settle()
        #expect(coordinator.weights == [5000, 0, 5000])
    }

    @Test("A revision that fails its warm-up takes nothing, and the other run is given up")
    func failing() throws {
        let coordinator = try Coordinator()
        coordinator.submit(coordinator.shift(["v2": 5000, "v3": 5000]))
        coordinator.stove.runs[0].stop(.failing("HTTP 503"))
        coordinator.settle()
        #expect(coordinator.weights == [10_000, 0, 0])
        #expect(coordinator.ends.first?.contains("v2 failed 10 warm-up requests in a row") == true)
        #expect(coordinator.stove.runs[1].progress.end == .cancelled)
    }

    @Test("Cancelled, it is refused; whose run ends late moves nothing")
    func cancelled() throws {
        let coordinator = try Coordinator()
        coordinator.submit(coordinator.shift(["v2": 10_000]))
        coordinator.coordinator.cancelWarmUp(of: "iris", by: "bob")
        coordinator.settle()
        #expect(coordinator.ends == ["bob cancelled the warm-up; the weights have not moved"])
        #expect(coordinator.weights == [10_000, 0, 0])
        // The next one warms anew and is not taken for the first.
        coordinator.submit(coordinator.shift(["v2": 10_000]))
        #expect(coordinator.weights == [10_000, 0, 0])
        coordinator.stove.runs[1].stop(.done)
        coordinator.settle()
        #expect(coordinator.weights == [0, 10_000, 0])
    }

    @Test("Where nothing was asked, the shift is made at once and says so")
    func nothingAsked() throws {
        let coordinator = try Coordinator(Stove(inputs: 0))
        coordinator.submit(coordinator.shift(["v2": 10_000]))
        #expect(coordinator.weights == [0, 10_000, 0] && coordinator.messages.isEmpty)
        #expect(coordinator.ends.first?.contains("begins cold") == true)
    }

    @Test("A warm-up without a shift, one at a time")
    func alone() throws {
        let coordinator = try Coordinator()
        let ends = Mutex<[String]>([])
        func warm(_ revision: String) {
            coordinator.coordinator.warm(model: "iris", revision: revision, by: "ann") { result in
                let text: String
                switch result {
                case .success(let progress): text = "\(progress.inputs) inputs"
                case .failure(let refusal): text = refusal.sentence
                }
                ends.withLock { $0.append(text) }
            }
            coordinator.settle()
        }
        warm("v2")
        warm("v2")
        warm("v9")
        #expect(
            ends.withLock { $0 } == [
                "'v2' is being warmed already", "no revision 'v9' of 'iris'",
            ]
        )
        coordinator.stove.runs[0].stop(.done)
        coordinator.settle()
        #expect(ends.withLock { $0.last } == "1 inputs" && coordinator.weights == [10_000, 0, 0])
    }
}
