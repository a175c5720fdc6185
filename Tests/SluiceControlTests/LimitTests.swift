import SluiceBalancing
import SluiceConfiguration
import SluiceControl
import SluiceGateway
import Testing

@Suite("Limits on their way to the workers")
struct LimitTests {
    static func configuration(_ rate: String, _ more: String = "") throws -> Configuration {
        try Configuration.parse(
            yaml: """
                listeners: [{address: "127.0.0.1:0"}]
                models:
                  - name: a
                    rateLimit: [{rate: \(rate), per: client}, {rate: 9/s}]
                    adaptiveConcurrency: {min: 2, max: 7}
                    \(more)
                    revisions: [{name: v1, backends: [{rest: "http://127.0.0.1:1"}]}]
                """,
            file: "f"
        )
    }

    @Test("A reload keeps the count of a limit that stays, and of no other")
    func reload() throws {
        var compiler = SnapshotCompiler()
        let first = try compiler.compile(Self.configuration("5/s")).models[0].resilience
        #expect(first.rateLimiters.count == 2 && first.concurrency?.maximum == 7)
        let same = try compiler.compile(Self.configuration("5/s", "timeout: 9s")).models[0]
        #expect(same.resilience.rateLimiters[0] === first.rateLimiters[0])
        #expect(same.resilience.rateLimiters[1] === first.rateLimiters[1])
        let changed = try compiler.compile(Self.configuration("6/s")).models[0].resilience
        #expect(changed.rateLimiters[0] !== first.rateLimiters[0])
        #expect(changed.rateLimiters[1] === first.rateLimiters[1])
        // What no configuration has any more is forgotten.
        let back = try compiler.compile(Self.configuration("5/s")).models[0].resilience
        #expect(back.rateLimiters[0] !== first.rateLimiters[0])
    }

    static let budgets: [(descriptors: Int, wanted: Int, connections: Int, ceiling: Int32)] = [
        (1 << 20, 10_000, 10_000, 1_048_480), (1_024, 10_000, 464, 928), (1_024, 100, 100, 928),
        (64, 10_000, 16, 32), (0, 10_000, 10_000, .max),
    ]

    @Test("Clients get no more than half of the descriptors, and some stay for ourselves")
    func descriptors() {
        for row in Self.budgets {
            let budget = DescriptorBudget(
                descriptors: row.descriptors,
                wanted: row.wanted,
                workers: 2
            )
            #expect(budget.connectionsMaximum == row.connections && budget.ceiling == row.ceiling)
        }
    }
}
