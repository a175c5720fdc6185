import Foundation
import SluiceConfiguration
import SluiceControl
import SluiceCore
import SluiceGateway
import SluiceRouting
import SluiceTelemetry
import SluiceWire
import Testing

/// A desk over a file that loses models, revisions and backends, and gets them back.
private final class Edited: Sendable {
    let coordinator: ChangeCoordinator
    let folder: URL

    /// The whole file: iris with v1 and v2, and rose.
    static let whole = yaml(["v1": 100, "v2": 0])

    static func yaml(
        _ weights: KeyValuePairs<String, Int>,
        backends: [Int] = [1, 2],
        rose: Bool = true
    ) -> String {
        let list = backends.map { "{rest: \"http://127.0.0.1:\($0)\"}" }.joined(separator: ", ")
        let revisions = weights.map {
            "      - {name: \($0), traffic: \($1), backends: [\(list)]}\n"
        }
        return """
            listeners: [{address: "127.0.0.1:0"}]
            admin: {address: "127.0.0.1:0", stateFile: state.json}
            watch: false
            models:
              - name: iris
                revisions:
            \(revisions.joined())
            """
                + (rose
                    ? "  - {name: rose, revisions: [{name: v1, backends: [{rest: \"http://127.0.0.1:4\"}]}]}\n"
                    : "")
    }

    init(_ yaml: String = Edited.whole, in folder: URL? = nil) throws {
        self.folder =
            folder
            ?? FileManager.default.temporaryDirectory
            .appendingPathComponent("sluice-adjustments-\(UUID().uuidString)")
        try FileManager.default.createDirectory(
            at: self.folder,
            withIntermediateDirectories: true
        )
        let file = self.folder.appendingPathComponent("sluice.yaml").path
        try yaml.write(toFile: file, atomically: true, encoding: .utf8)
        coordinator = try ChangeCoordinator(
            configuration: try Configuration.load(path: file),
            file: file,
            store: MetricStore(),
            log: EventLog(isQuiet: true)
        ) { _, _ in }
    }

    deinit { coordinator.stop() }

    func remove() { try? FileManager.default.removeItem(at: folder) }

    var weights: [String: Int] {
        guard let model = coordinator.snapshot.models.first(where: { $0.name == "iris" }) else {
            return [:]
        }
        return Dictionary(
            uniqueKeysWithValues: zip(model.revisions.map(\.name), model.split.weights)
        )
    }

    /// The state of each backend of v1 of iris, and of rose.
    var states: [BackendState] {
        coordinator.snapshot.models.flatMap { $0.revisions[0].backends.map(\.state) }
    }

    func reload(_ yaml: String) throws -> [String] {
        let file = folder.appendingPathComponent("sluice.yaml").path
        try yaml.write(toFile: file, atomically: true, encoding: .utf8)
        return try coordinator.perform(.reload, by: "test").get().notes
    }

    func shift(_ weights: [String: Int]) throws {
        let shift = TrafficShift(model: "iris", weights: weights)
        _ = try coordinator.perform(.shift(shift), by: "test").get()
    }

    func drain(_ model: String, _ address: String) throws {
        _ = try coordinator.perform(
            .backend(model: model, revision: "v1", address: address, state: .drain),
            by: "test"
        ).get()
    }

    /// Drafts of the state file.
    func drafts() throws -> [String] {
        try FileManager.default.contentsOfDirectory(atPath: folder.path)
            .filter { $0.contains(".new-") }
    }

    func remember(_ record: RolloutRecord, of model: String = "iris") throws {
        _ = try coordinator.perform(.rollout(model: model, record: record.json), by: "rollout")
            .get()
    }

    var record: RolloutRecord? {
        coordinator.adjustments.models["iris"]?.rollout.flatMap { RolloutRecord(json: $0) }
    }

    static var running: RolloutRecord {
        var plan = RolloutPlan(revision: "v2")
        plan.baseline = "v1"
        return RolloutRecord(plan: plan, step: 0, share: plan.steps[0], reason: "", started: 1)
    }
}

@Suite("What was set at run time of what is gone")
struct AdjustmentsTests {
    @Test("A revision that comes back has the file's weights, after a restart as well")
    func revision() throws {
        let edited = try Edited()
        defer { edited.remove() }
        try edited.shift(["v1": 9000, "v2": 1000])
        let notes = try edited.reload(Edited.yaml(["v1": 100, "v3": 0]))
        #expect(notes.contains { $0.contains("'v2', which isn't configured") })
        #expect(edited.weights == ["v1": 10_000, "v3": 0])
        #expect(try edited.reload(Edited.whole).isEmpty)
        #expect(edited.weights == ["v1": 10_000, "v2": 0])
        let again = try Edited(in: edited.folder)
        #expect(again.weights == ["v1": 10_000, "v2": 0])
    }

    @Test("A model that comes back finds no weights, drained backends or rollout of the first")
    func model() throws {
        let edited = try Edited()
        defer { edited.remove() }
        try edited.drain("rose", "127.0.0.1:4")
        try edited.remember(Edited.running, of: "rose")
        _ = try edited.reload(Edited.yaml(["v1": 100, "v2": 0], rose: false))
        // The rollout's last word comes late.
        try edited.remember(Edited.running, of: "rose")
        #expect(edited.coordinator.adjustments == Adjustments())
        _ = try edited.reload(Edited.whole)
        #expect(edited.states == [.ready, .ready, .ready])
        let again = try Edited(in: edited.folder)
        #expect(again.states == [.ready, .ready, .ready])
    }

    @Test("What the file lost while no gateway ran is forgotten in the state file, too")
    func betweenProcesses() throws {
        let edited = try Edited()
        defer { edited.remove() }
        try edited.shift(["v1": 9000, "v2": 1000])
        try edited.drain("rose", "127.0.0.1:4")
        _ = try Edited(Edited.yaml(["v1": 100, "v3": 0], rose: false), in: edited.folder)
        let back = try Edited(in: edited.folder)
        #expect(back.weights == ["v1": 10_000, "v2": 0])
        #expect(back.states == [.ready, .ready, .ready])
    }

    @Test("A drained backend that the file loses is ready when it comes back; others stay drained")
    func backend() throws {
        let edited = try Edited()
        defer { edited.remove() }
        try edited.drain("iris", "127.0.0.1:1")
        try edited.drain("iris", "127.0.0.1:2")
        _ = try edited.reload(Edited.yaml(["v1": 100, "v2": 0], backends: [1]))
        _ = try edited.reload(Edited.whole)
        #expect(edited.states == [.drain, .ready, .ready])
    }

    @Test("Weights that the file has caught up with are the file's from then on")
    func caughtUp() throws {
        let edited = try Edited()
        defer { edited.remove() }
        try edited.shift(["v1": 0, "v2": 10_000])
        _ = try edited.reload(Edited.yaml(["v1": 0, "v2": 100]))
        #expect(edited.coordinator.adjustments == Adjustments())
        _ = try edited.reload(Edited.yaml(["v1": 50, "v2": 50]))
        #expect(edited.weights == ["v1": 5000, "v2": 5000])
    }

    @Test("Weights and drained backends of what stays survive an edit of something else")
    func kept() throws {
        let edited = try Edited()
        defer { edited.remove() }
        try edited.shift(["v1": 9000, "v2": 1000])
        try edited.drain("iris", "127.0.0.1:2")
        try edited.remember(Edited.running)
        _ = try edited.reload(Edited.yaml(["v1": 100, "v2": 0, "v3": 0], rose: false))
        #expect(edited.weights == ["v1": 9000, "v2": 1000, "v3": 0])
        #expect(edited.states == [.ready, .drain])
        #expect(edited.record?.status == .progressing)
    }
}

@Suite("Drafts of the state file")
struct StateDraftTests {
    @Test("Those that a killed process left go; one that may be in use stays")
    func left() throws {
        let edited = try Edited()
        defer { edited.remove() }
        try edited.shift(["v1": 2500, "v2": 7500])
        #expect(try edited.drafts().isEmpty)
        for (name, age) in [("1", 0), ("2af", 3600), ("old", 86_400)] {
            let path = edited.folder.appendingPathComponent("state.json.new-\(name)").path
            try Data("{".utf8).write(to: URL(fileURLWithPath: path))
            try FileManager.default.setAttributes(
                [.modificationDate: Date(timeIntervalSinceNow: -Double(age))],
                ofItemAtPath: path
            )
        }
        let again = try Edited(in: edited.folder)
        #expect(again.weights == ["v1": 2500, "v2": 7500])
        #expect(try again.drafts() == ["state.json.new-1"])
    }

    @Test("Two gateways that write one state file at once leave it whole")
    func shared() async throws {
        let edited = try Edited()
        defer { edited.remove() }
        let other = try Edited(in: edited.folder)
        await withTaskGroup { group in
            for coordinator in [edited.coordinator, other.coordinator] {
                group.addTask {
                    for share in 1...50 {
                        let shift = TrafficShift(
                            model: "iris",
                            weights: ["v1": share * 100, "v2": 10_000 - share * 100]
                        )
                        let notes = try? coordinator.perform(.shift(shift), by: "test").get().notes
                        #expect(notes == [])
                    }
                }
            }
        }
        #expect(try edited.drafts().isEmpty)
        #expect(try Edited(in: edited.folder).weights == ["v1": 5000, "v2": 5000])
    }
}
