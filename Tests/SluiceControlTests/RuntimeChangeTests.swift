import Foundation
import SluiceConfiguration
import SluiceControl
import SluiceGateway
import SluiceInference
import SluiceTelemetry
import Testing

@Suite("Runtimes that are found")
struct RuntimeChangeTests {
    private static let yaml = """
        listeners: [{address: "127.0.0.1:0"}]
        admin: {address: "127.0.0.1:0"}
        watch: false
        models:
          - name: iris
            tensors: {inputs: [{name: x, datatype: FP32}]}
            revisions:
              - {name: v1, traffic: 90, backends: [{rest: "http://127.0.0.1:1"}]}
              - {name: v2, traffic: 10, dialect: generic, backends: [{rest: "http://127.0.0.1:3"}]}

        """

    @Test("What backends were found to be is in force with the next snapshot, unless configured")
    func runtimes() throws {
        let file = FileManager.default.temporaryDirectory
            .appendingPathComponent("sluice-runtimes-\(UUID().uuidString).yaml").path
        defer { try? FileManager.default.removeItem(atPath: file) }
        try Self.yaml.write(toFile: file, atomically: true, encoding: .utf8)
        let coordinator = try ChangeCoordinator(
            configuration: try Configuration.load(path: file),
            file: file,
            store: MetricStore(),
            log: EventLog(isQuiet: true)
        ) { _, _ in }
        defer { coordinator.stop() }
        func runtimes() -> [Runtime]? {
            coordinator.snapshot.models.first?.revisions.map(\.runtime)
        }
        let plans = coordinator.snapshot.models[0].revisions.map { $0.backends[0].metadata }
        #expect(runtimes() == [Runtime(.generic), Runtime(.generic)])
        // One that is configured isn't asked.
        #expect(plans[0]?.runtimes != nil && plans[1] != nil && plans[1]?.runtimes == nil)
        #expect(plans[0]?.slot.signature?.inputs.first?.name == "x")
        #expect(plans[0]?.runtimes?.note(Runtime(.mlserver), of: "127.0.0.1:1") == true)
        _ = try coordinator.perform(.runtimes, by: "probe").get()
        #expect(runtimes() == [Runtime(.mlserver), Runtime(.generic)])
        #expect(coordinator.snapshot.generation == 2)
        // It holds over reloads, until the file says otherwise.
        _ = try coordinator.perform(.reload, by: "test").get()
        #expect(runtimes() == [Runtime(.mlserver), Runtime(.generic)])
        let told = Self.yaml.replacingOccurrences(
            of: "name: v1,",
            with: "name: v1, dialect: triton,"
        )
        try told.write(toFile: file, atomically: true, encoding: .utf8)
        _ = try coordinator.perform(.reload, by: "test").get()
        #expect(runtimes() == [Runtime(.triton), Runtime(.generic)])
    }
}
