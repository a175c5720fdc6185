import Foundation
import SluiceConfiguration
import SluiceControl
import SluiceCore
import SluiceGateway
import SluiceIO
import SluiceRouting
import SluiceTelemetry
import SluiceWire
import Synchronization
import Testing

/// A desk without a data plane: what it publishes is kept.
private final class Coordinator: Sendable {
    let coordinator: ChangeCoordinator
    let folder: URL
    let file: String
    /// Whether another desk goes on with its files.
    let keepsFolder = Mutex(false)

    static let yaml = """
        admin: {address: "127.0.0.1:0", stateFile: state.json}
        watch: false
        models:
          - name: iris
            revisions:
              - {name: v1, traffic: 90, backends: [{rest: "http://127.0.0.1:1"}, {rest: "http://127.0.0.1:2"}]}
              - {name: v2, traffic: 10, backends: [{rest: "http://127.0.0.1:3"}]}
          - name: rose
            revisions: [{name: v1, backends: [{rest: "http://127.0.0.1:4"}]}]

        """

    init(yaml: String = Coordinator.yaml, in folder: URL? = nil) throws {
        let made =
            folder
            ?? FileManager.default.temporaryDirectory
            .appendingPathComponent("sluice-desk-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: made, withIntermediateDirectories: true)
        self.folder = made
        file = made.appendingPathComponent("sluice.yaml").path
        let text = "listeners: [{address: \"127.0.0.1:0\"}]\n" + yaml
        try text.write(toFile: file, atomically: true, encoding: .utf8)
        let kept = Kept()
        coordinator = try ChangeCoordinator(
            configuration: try Configuration.load(path: file),
            file: file,
            store: MetricStore(),
            log: EventLog(isQuiet: true)
        ) { snapshot, _ in kept.add(snapshot) }
        self.kept = kept
    }

    private let kept: Kept

    var snapshots: [Snapshot] { kept.all }

    func write(_ yaml: String) throws {
        let text = "listeners: [{address: \"127.0.0.1:0\"}]\n" + yaml
        try text.write(toFile: file, atomically: true, encoding: .utf8)
    }

    /// A look-up finds the one name that the configuration has.
    func find(_ addresses: [SocketAddress]) {
        coordinator.found(HostName(host: "nowhere.invalid", port: 9000), addresses)
        _ = coordinator.perform(.names, by: "dns")
    }

    func weights(_ model: String = "iris") -> [Int]? {
        coordinator.snapshot.models.first { $0.name == model }?.split.weights
    }

    func shift(
        _ weights: [String: Int],
        model: String = "iris",
        seen: Int? = nil,
        isDryRun: Bool = false
    ) -> Result<Applied, ChangeError> {
        coordinator.perform(
            .shift(
                TrafficShift(
                    model: model,
                    weights: weights,
                    seenGeneration: seen,
                    isDryRun: isDryRun
                )
            ),
            by: "test"
        )
    }

    deinit {
        coordinator.stop()
        if keepsFolder.withLock({ $0 }) { return }
        try? FileManager.default.removeItem(at: folder)
    }
}

private final class Kept: Sendable {
    private let snapshots = Mutex<[Snapshot]>([])
    func add(_ snapshot: Snapshot) { snapshots.withLock { $0.append(snapshot) } }
    var all: [Snapshot] { snapshots.withLock { $0 } }
}

extension Result where Success == Applied, Failure == ChangeError {
    fileprivate var refusal: ChangeError? {
        if case .failure(let refusal) = self { refusal } else { nil }
    }
    fileprivate var applied: Applied? {
        if case .success(let applied) = self { applied } else { nil }
    }
}

@Suite("Change desk")
struct ChangeCoordinatorTests {
    @Test("A shift is published before it is answered, and told")
    func shift() throws {
        let coordinator = try Coordinator()
        let applied = try #require(coordinator.shift(["v1": 7500, "v2": 2500]).applied)
        #expect(applied.snapshot.generation == 2)
        #expect(coordinator.snapshots.map(\.generation) == [2])
        #expect(coordinator.snapshots.first?.models[0].split.weights == [7500, 2500])
        let event = try #require(coordinator.coordinator.events.events(after: 1).first)
        #expect(event.kind == .traffic && event.who == "test" && event.model == "iris")
        #expect(event.from == "v1=90 v2=10" && event.to == "v1=75 v2=25")
        #expect(coordinator.coordinator.configuredWeights(of: "iris") == [9000, 1000])
    }

    @Test("A revision that isn't named gets nothing")
    func unnamed() throws {
        let coordinator = try Coordinator()
        #expect(coordinator.shift(["v2": 10_000]).applied != nil)
        #expect(coordinator.weights() == [0, 10_000])
    }

    @Test(
        "What can't be done is refused with a reason and changes nothing",
        arguments: [
            ("iris", ["v1": 9000, "v2": 999], ChangeError.Kind.invalid, "sum to 100, not 99.99"),
            ("iris", ["v1": 9000, "v3": 1000], .invalid, "no revision 'v3'; it has v1, v2"),
            ("tulip", ["v1": 10_000], .unknown, "unknown model 'tulip'"),
        ]
    )
    func refusals(
        model: String,
        weights: [String: Int],
        kind: ChangeError.Kind,
        words: String
    ) throws {
        let coordinator = try Coordinator()
        let refusal = try #require(coordinator.shift(weights, model: model).refusal)
        #expect(refusal.kind == kind && refusal.sentence.contains(words))
        #expect(
            coordinator.snapshots.isEmpty && coordinator.coordinator.events.events(after: 1).isEmpty
        )
    }

    @Test("Who has seen an older state of the model is refused, of another model not")
    func conflict() throws {
        let coordinator = try Coordinator()
        #expect(coordinator.shift(["v1": 5000, "v2": 5000], seen: 1).applied != nil)
        let refusal = try #require(coordinator.shift(["v1": 4000, "v2": 6000], seen: 1).refusal)
        #expect(refusal.kind == .conflict)
        #expect(coordinator.shift(["v1": 10_000], model: "rose", seen: 1).applied != nil)
        #expect(coordinator.shift(["v1": 4000, "v2": 6000], seen: 2).applied != nil)
        #expect(coordinator.shift(["v1": 3000, "v2": 7000], seen: 99).refusal?.kind == .conflict)
    }

    @Test("A dry run and a repetition change nothing")
    func dryRun() throws {
        let coordinator = try Coordinator()
        let dry = try #require(coordinator.shift(["v2": 10_000], isDryRun: true).applied)
        #expect(dry.snapshot.models[0].split.weights == [0, 10_000])
        #expect(coordinator.shift(["v1": 9000, "v2": 1000]).applied != nil)
        #expect(coordinator.weights() == [9000, 1000] && coordinator.snapshots.isEmpty)
    }

    @Test("Shifts and drains survive a restart, and going back forgets them")
    func stateFile() throws {
        let coordinator = try Coordinator()
        _ = coordinator.shift(["v1": 2500, "v2": 7500])
        _ = coordinator.coordinator.perform(
            .backend(model: "iris", revision: "v1", address: "127.0.0.1:2", state: .drain),
            by: "test"
        )
        let again = try Coordinator(in: coordinator.folder)
        #expect(again.weights() == [2500, 7500])
        #expect(
            again.coordinator.snapshot.models[0].revisions[0].backends.map(\.state) == [
                .ready, .drain,
            ]
        )
        _ = again.coordinator.perform(.unshift(model: "iris"), by: "test")
        #expect(again.weights() == [9000, 1000])
        #expect(again.coordinator.adjustments.models["iris"]?.traffic == nil)
        #expect(again.coordinator.adjustments.models["iris"]?.backends.isEmpty == false)
    }

    @Test("A state file that can't be written doesn't stop a shift, and the caller hears of it")
    func unwritable() throws {
        let coordinator = try Coordinator()
        try FileManager.default.createDirectory(
            at: coordinator.folder.appendingPathComponent("state.json/full"),
            withIntermediateDirectories: true
        )
        let applied = try #require(coordinator.shift(["v2": 10_000]).applied)
        #expect(applied.notes.contains { $0.contains("can't write the state file") })
        #expect(coordinator.weights() == [0, 10_000])
        let entries = try FileManager.default.contentsOfDirectory(atPath: coordinator.folder.path)
        #expect(!entries.contains { $0.contains(".new-") })
    }

    @Test("A damaged state file is kept aside and the file's weights hold")
    func damaged() throws {
        let coordinator = try Coordinator()
        let path = coordinator.folder.appendingPathComponent("state.json").path
        try "{\"version\":1,\"models\":{\"iris\":{\"traffic\":{\"v1\":9".write(
            toFile: path,
            atomically: true,
            encoding: .utf8
        )
        let again = try Coordinator(in: coordinator.folder)
        #expect(again.weights() == [9000, 1000])
        #expect(FileManager.default.fileExists(atPath: path + ".damaged"))
    }

    @Test("A reload keeps what was shifted and says so; a broken file changes nothing")
    func reload() throws {
        let coordinator = try Coordinator()
        _ = coordinator.shift(["v1": 5000, "v2": 5000])
        try coordinator.write(
            Coordinator.yaml.replacingOccurrences(of: "name: rose", with: "name: tulip")
        )
        let applied = try #require(coordinator.coordinator.perform(.reload, by: "signal").applied)
        #expect(applied.notes.contains { $0.contains("keeps the weights it was given") })
        #expect(coordinator.weights() == [5000, 5000] && coordinator.weights("tulip") == [10_000])
        let generation = coordinator.coordinator.snapshot.generation
        try coordinator.write(
            Coordinator.yaml.replacingOccurrences(of: "traffic: 90", with: "traffic: 91")
        )
        let refusal = try #require(coordinator.coordinator.perform(.reload, by: "signal").refusal)
        #expect(refusal.diagnostics.first?.line == 7)
        #expect(refusal.sentence.contains("sums to 101, not 100"))
        #expect(coordinator.coordinator.snapshot.generation == generation)
        let last = try #require(coordinator.coordinator.events.events(after: 0).last)
        #expect(last.kind == .reload && last.message.contains("refused"))
    }

    @Test("Weights for a revision that a reload removed give way to the file's")
    func removedRevision() throws {
        let coordinator = try Coordinator()
        _ = coordinator.shift(["v1": 5000, "v2": 5000])
        try coordinator.write(
            """
            models: [{name: iris, revisions: [{name: v1, backends: [{rest: "http://127.0.0.1:1"}]}]}]
            """
        )
        let applied = try #require(coordinator.coordinator.perform(.reload, by: "file").applied)
        #expect(coordinator.weights() == [10_000])
        #expect(applied.notes.contains { $0.contains("'v2', which isn't configured") })
    }

    @Test(
        "What was said of something that is gone doesn't come back with its name",
        arguments: [false, true]
    )
    func noGhosts(restarts: Bool) throws {
        var coordinator = try Coordinator()
        _ = coordinator.shift(["v1": 5000, "v2": 5000])
        _ = coordinator.coordinator.perform(
            .backend(model: "rose", revision: "v1", address: "127.0.0.1:4", state: .maint),
            by: "test"
        )
        #expect(!coordinator.coordinator.adjustments.models.isEmpty)
        func become(_ yaml: String) throws {
            if restarts {
                // The folder stays: its state file is what the next process finds.
                coordinator.keepsFolder.withLock { $0 = true }
                coordinator = try Coordinator(yaml: yaml, in: coordinator.folder)
            } else {
                try coordinator.write(yaml)
                #expect(coordinator.coordinator.perform(.reload, by: "file").applied != nil)
            }
        }
        let other = Coordinator.yaml.replacingOccurrences(of: "name: v2", with: "name: v3")
            .replacingOccurrences(of: "name: rose", with: "name: tulip")
        try become(other)
        #expect(
            coordinator.weights() == [9000, 1000]
                && coordinator.coordinator.adjustments == Adjustments()
        )
        try become(Coordinator.yaml)
        #expect(coordinator.weights() == [9000, 1000])
        #expect(coordinator.coordinator.snapshot.models[1].revisions[0].backends[0].state == .ready)
    }

    @Test("A revision without traffic that goes takes no shift with it")
    func idleRevisionGoes() throws {
        let three = """
            admin: {address: "127.0.0.1:0", stateFile: state.json}
            watch: false
            models:
              - name: iris
                revisions:
                  - {name: v1, traffic: 100, backends: [{rest: "http://127.0.0.1:1"}]}
                  - {name: v2, traffic: 0, backends: [{rest: "http://127.0.0.1:2"}]}

            """
        let idle = "      - {name: v3, traffic: 0, backends: [{rest: \"http://127.0.0.1:3\"}]}\n"
        let coordinator = try Coordinator(yaml: three + idle)
        _ = coordinator.shift(["v1": 7000, "v2": 3000, "v3": 0])
        try coordinator.write(three)
        _ = coordinator.coordinator.perform(.reload, by: "file")
        #expect(coordinator.weights() == [7000, 3000])
        try coordinator.write(three + idle)
        _ = coordinator.coordinator.perform(.reload, by: "file")
        #expect(coordinator.weights() == [7000, 3000, 0])
    }

    @Test("A backend keeps its line on the board over changes")
    func backendKept() throws {
        let coordinator = try Coordinator()
        let before = coordinator.coordinator.snapshot.models[0].revisions[0].backends[0].load
        _ = coordinator.coordinator.perform(.reload, by: "signal")
        _ = coordinator.shift(["v2": 10_000])
        #expect(coordinator.coordinator.snapshot.models[0].revisions[0].backends[0].load == before)
    }

    @Test("Addresses of a name come and go as backends, and their order means nothing")
    func addresses() throws {
        let coordinator = try Coordinator(
            yaml: """
                watch: false
                models:
                  - name: iris
                    revisions:
                      - {name: v1, backends: [{dns: "nowhere.invalid:9000", protocol: [rest, grpc]}]}

                """
        )
        func labels() -> [String] {
            coordinator.coordinator.snapshot.models[0].revisions[0].backends.map(\.label)
        }
        // Without an address it is shown, and never asked.
        let before = coordinator.coordinator.snapshot.models[0].revisions[0].backends[0]
        #expect(labels() == ["nowhere.invalid:9000"] && before.rest == nil)
        #expect(
            before.grpc == nil && coordinator.coordinator.nameFailure(of: before.names[0]) != nil
        )
        let (one, two, three) = (
            SocketAddress.loopback(port: 1), SocketAddress.loopback(port: 2),
            SocketAddress.loopback(port: 3)
        )
        coordinator.find([two, one])
        #expect(labels() == ["127.0.0.1:1", "127.0.0.1:2"])
        let load = coordinator.coordinator.snapshot.models[0].revisions[0].backends[0].load
        let generation = coordinator.coordinator.snapshot.generation
        coordinator.find([one, two])
        #expect(coordinator.coordinator.snapshot.generation == generation)
        coordinator.find([three, one])
        #expect(labels() == ["127.0.0.1:1", "127.0.0.1:3"])
        #expect(coordinator.coordinator.snapshot.models[0].revisions[0].backends[0].load == load)
        let backend = coordinator.coordinator.snapshot.models[0].revisions[0].backends[0]
        #expect(backend.rest != nil && backend.grpc != nil)
        // A reload in which the name still stands keeps what is known of it.
        _ = coordinator.coordinator.perform(.reload, by: "signal")
        #expect(labels() == ["127.0.0.1:1", "127.0.0.1:3"])
    }

    @Test("A file of backends adds to the list, and what is wrong in it is told with its place")
    func backendsFile() throws {
        let coordinator = try Coordinator()
        let list = coordinator.folder.appendingPathComponent("backends.yaml").path
        try "- {rest: \"http://127.0.0.1:7\"}\n- {rest: \"http://127.0.0.1:8\"}\n"
            .write(toFile: list, atomically: true, encoding: .utf8)
        try coordinator.write(
            """
            models: [{name: iris, revisions: [{name: v1, backendsFile: backends.yaml}]}]
            """
        )
        #expect(coordinator.coordinator.perform(.reload, by: "file").applied != nil)
        func labels() -> [String] {
            coordinator.coordinator.snapshot.models[0].revisions[0].backends.map(\.label)
        }
        #expect(labels() == ["127.0.0.1:7", "127.0.0.1:8"])
        try "- {rest: \"http://127.0.0.1:7\"}\n- {rset: \"http://127.0.0.1:8\"}\n"
            .write(toFile: list, atomically: true, encoding: .utf8)
        let refusal = try #require(coordinator.coordinator.perform(.reload, by: "file").refusal)
        #expect(refusal.diagnostics.contains { $0.file == list && $0.line == 2 })
        #expect(labels() == ["127.0.0.1:7", "127.0.0.1:8"])
        try "[]".write(toFile: list, atomically: true, encoding: .utf8)
        #expect(
            coordinator.coordinator.perform(.reload, by: "file").applied != nil && labels().isEmpty
        )
    }

    @Test("The history forgets the oldest and keeps counting")
    func history() {
        let history = EventHistory()
        for number in 0..<(EventHistory.maximum + 10) {
            history.add(
                ChangeEvent(
                    time: WallTime(nanoseconds: Int64(number)),
                    who: "test",
                    kind: .cache,
                    message: "\(number)"
                )
            )
        }
        let events = history.events(after: 0)
        #expect(events.count == EventHistory.maximum && events.first?.id == 11)
        #expect(history.events(after: EventHistory.maximum + 9).map(\.message) == ["509"])
    }

    @Test(
        "Only the token opens the door",
        arguments: [
            ("sesame\n", "Bearer sesame", true), ("sesame\n", "bearer sesame", true),
            ("sesame", "Bearer sesam", false), ("sesame", "Bearer sesame1", false),
            ("sesame", "Basic sesame", false), ("sesame", nil, false), ("", "Bearer ", false),
            (nil, nil, true),
        ] as [(String?, String?, Bool)]
    )
    func access(token: String?, field: String?, isAllowed: Bool) {
        #expect(AdminAccess(token: token).allows(field) == isAllowed)
    }
}
