import SluiceConfiguration
import Testing

@Suite("Configuration of mirroring")
struct MirrorConfigurationTests {
    private static func file(_ mirror: String, shares: (Int, Int) = (100, 0)) -> String {
        """
        listeners: [{address: 127.0.0.1:8080}]
        models:
          - name: iris
            mirror: \(mirror)
            revisions:
              - {name: v1, traffic: \(shares.0), backends: [{rest: "http://127.0.0.1:8001"}]}
              - {name: v2, traffic: \(shares.1), backends: [{rest: "http://127.0.0.1:8002"}]}
        """
    }

    @Test("A mirror has defaults for all but its revision and share")
    func defaults() throws {
        let read = try Configuration.parse(yaml: Self.file("{revision: v2, percent: 5}"), file: "f")
        let mirror = try #require(read.models.first?.mirror)
        #expect(mirror.revision == "v2" && mirror.share == 500)
        #expect(mirror.maxInFlight == 32 && mirror.maxBytes == 1 << 20)
        #expect(mirror.compare && mirror.tolerance == 1e-6)
    }

    @Test(
        "What is written reads back as the same value",
        arguments: [
            "{revision: v2, percent: 0.01}",
            "{revision: v2, percent: 99.5, maxInFlight: 1, maxBytes: 64KiB}",
            "{revision: v2, percent: 100, compare: false, tolerance: 0}",
            "{revision: v2, percent: 0, tolerance: 2.5e-3}",
        ]
    )
    func roundTrip(mirror: String) throws {
        let read = try Configuration.parse(yaml: Self.file(mirror), file: "f")
        #expect(read.models.first?.mirror != nil)
        #expect(try Configuration.parse(yaml: read.yamlText, file: "f") == read)
    }

    static let broken: [(String, String)] = [
        ("{percent: 5}", "needs the key `revision`"),
        ("{revision: v2}", "needs the key `percent`"),
        ("{revision: v3, percent: 5}", "no revision 'v3' to mirror to; it has v1, v2"),
        ("{revision: v1, percent: 5}", "takes all traffic of model 'iris'"),
        ("{revision: v2, percent: 101}", "a percentage from 0 to 100"),
        ("{revision: v2, percent: 5.001}", "up to two decimals"),
        ("{revision: v2, percent: 5, maxInFlight: 0}", "must be from 1 to 100000"),
        ("{revision: v2, percent: 5, maxBytes: big}", "must be a size"),
        ("{revision: v2, percent: 5, tolerance: -1}", "must be a number from 0 up"),
        ("{revision: v2, percent: 5, tolerance: nan}", "must be a number from 0 up"),
        ("{revision: v2, percent: 5, compare: maybe}", "must be true or false"),
        ("{revision: v2, percnt: 5}", "did you mean `percent`?"),
        ("v2", "must be a mapping"),
    ]

    @Test("A broken mirror is told its line and what to write instead", arguments: broken)
    func diagnostics(mirror: String, message: String) {
        do throws(ConfigurationFailure) {
            _ = try Configuration.parse(yaml: Self.file(mirror), file: "f")
            Issue.record("nothing was found")
        } catch {
            #expect(
                error.diagnostics.contains { $0.line == 4 && $0.message.contains(message) },
                "found: \(error.diagnostics)"
            )
        }
    }

    @Test("A shadow may take traffic of its own")
    func sharing() throws {
        let yaml = Self.file("{revision: v2, percent: 5}", shares: (90, 10))
        #expect(try Configuration.parse(yaml: yaml, file: "f").models.first?.mirror != nil)
    }
}
