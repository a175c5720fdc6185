import SluiceConfiguration
import SluiceRouting
import Testing

@Suite("A model's rollout in the configuration")
struct RolloutConfigurationTests {
    static func yaml(_ rollout: String) -> String {
        """
        listeners: [{address: "127.0.0.1:8080"}]
        models:
          - name: iris
            rollout: \(rollout)
            revisions:
              - {name: v1, traffic: 100, backends: [{rest: "http://127.0.0.1:8001"}]}
              - {name: v2, traffic: 0, backends: [{rest: "http://127.0.0.1:8002"}]}
        """
    }

    @Test("A plan becomes the value it spells, and reads back as the same")
    func plan() throws {
        let text = """
            {revision: v2, baseline: v1, steps: [0.5, 5, 100], interval: 10s, successMargin: 0.5, \
            successFloor: 98.5, p95Ratio: 1.5, p99Ratio: 2, maxP99: 250ms, minRequests: 50, \
            minRequestsP99: 200, failureLimit: 3, stalledAfter: 4, autoStart: true}
            """
        let read = try Configuration.parse(yaml: Self.yaml(text), file: "f")
        let plan = try #require(read.models[0].rollout)
        #expect(plan.revision == "v2" && plan.baseline == "v1" && plan.steps == [50, 500, 10_000])
        #expect(plan.interval == .seconds(10) && plan.maxP99 == .milliseconds(250))
        #expect(plan.successMargin == 50 && plan.successFloor == 9_850)
        #expect(plan.p95Ratio == 1.5 && plan.p99Ratio == 2)
        #expect(plan.minRequests == 50 && plan.minRequestsP99 == 200)
        #expect(plan.failureLimit == 3 && plan.stalledAfter == 4 && plan.autoStart)
        #expect(try Configuration.parse(yaml: read.yamlText, file: "f") == read)
    }

    @Test("Only the revision must be said")
    func defaults() throws {
        let read = try Configuration.parse(yaml: Self.yaml("{revision: v2}"), file: "f")
        #expect(read.models[0].rollout == RolloutPlan(revision: "v2"))
        #expect(try Configuration.parse(yaml: read.yamlText, file: "f") == read)
    }

    @Test(
        "What can't be meant is named with its place and the cure",
        arguments: [
            ("{steps: [1, 100]}", "needs the key `revision`"),
            ("{revision: v3}", "model 'iris' has no revision 'v3'; it has v1, v2"),
            (
                "{revision: v2, baseline: v2}",
                "`models[0].rollout.baseline` must be another revision"
            ),
            ("{revision: v2, steps: [1, 50]}", "`models[0].rollout.steps` must end with 100"),
            ("{revision: v2, steps: [5, 5, 100]}", "`models[0].rollout.steps` must rise"),
            ("{revision: v2, steps: [many, 100]}", "must be percentages above 0"),
            ("{revision: v2, steps: 10}", "must be a list of percentages, such as [1, 5, 25, 100]"),
            ("{revision: v2, interval: 100ms}", "must be at least 1s"),
            ("{revision: v2, p99Ratio: 0.5}", "must be a number from 1 to 1000, such as 1.2"),
            ("{revision: v2, successFloor: 101}", "must be a percentage from 0 to 100"),
            ("{revision: v2, minRequestsP99: 5}", "must be at least minRequests, 300"),
            ("{revision: v2, pace: fast}", "unknown key `models[0].rollout.pace`"),
        ]
    )
    func broken(rollout: String, message: String) {
        let found = DiagnosticTests.failures(Self.yaml(rollout))
        #expect(found.contains { $0.message.contains(message) && $0.line == 4 }, "\(found)")
        #expect(found.allSatisfy { $0.column > 5 })
    }
}
