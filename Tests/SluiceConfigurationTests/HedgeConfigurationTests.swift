import SluiceBalancing
import SluiceConfiguration
import Testing

@Suite("Hedging in the configuration")
struct HedgeConfigurationTests {
    static func text(_ keys: String) -> String {
        """
        listeners: [{address: "127.0.0.1:0"}]
        models:
          - name: a
            timeout: 2s
            \(keys)
            revisions: [{name: v1, backends: [{rest: "http://127.0.0.1:1"}]}]
        """
    }

    static let good: [(keys: String, policy: HedgePolicy?)] = [
        ("idempotent: true", nil),
        (
            "idempotent: true\n    hedge: {delay: 50ms}",
            HedgePolicy(delay: .milliseconds(50))
        ),
        (
            "hedge: {delay: 1500ms, maxAttempts: 5}\n    idempotent: true",
            HedgePolicy(delay: .milliseconds(1500), maxAttempts: 5)
        ),
    ]

    @Test("A hedge is read, and written back; without the key there is none", arguments: 0..<3)
    func read(row: Int) throws {
        let read = try Configuration.parse(yaml: Self.text(Self.good[row].keys), file: "f")
        #expect(read.models[0].resilience.hedge == Self.good[row].policy)
        #expect(try Configuration.parse(yaml: read.yamlText, file: "f") == read)
    }

    static let broken: [(keys: String, column: Int, message: String)] = [
        ("hedge: {delay: 50ms}", 12, "it needs `idempotent: true`"),
        ("hedge: {maxAttempts: 2}", 12, "needs the key `delay`"),
        ("hedge: {delay: 0s}", 20, "must be at least 1ms"),
        ("hedge: {delay: p95}", 20, "must be a time such as"),
        ("hedge: {delay: 2s}", 20, "must be shorter than `models[0].timeout` (2s)"),
        ("hedge: {delay: 50ms, maxAttempts: 1}", 39, "must be from 2 to 5"),
        ("hedge: {delay: 50ms, maxAttempts: 6}", 39, "must be from 2 to 5"),
        ("hedge: {delay: 50ms, attempts: 2}", 26, "maxAttempts"),
        ("hedge: 50ms", 12, "must be a mapping"),
    ]

    @Test("A broken hedge is told its place and what to write instead", arguments: broken.indices)
    func diagnostics(row: Int) {
        let row = Self.broken[row]
        let found = DiagnosticTests.failures(Self.text(row.keys))
        #expect(
            found.contains {
                $0.line == 5 && $0.column == row.column && $0.message.contains(row.message)
            },
            "\(row.message): \(found)"
        )
    }
}
