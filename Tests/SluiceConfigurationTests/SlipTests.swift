import SluiceConfiguration
import SluiceCore
import Testing

/// What people and templates write in YAML, and what must not be told of it.
@Suite("Slips in YAML")
struct SlipTests {
    static let base = """
        listeners: [{address: "127.0.0.1:8080"}]
        models: [{name: m, revisions: [{name: v1, backends: [{rest: "http://127.0.0.1:1"}]}]}]

        """

    @Test(
        "What means nothing, an alias and a merge are read",
        arguments: [
            String(repeating: "# " + String(repeating: "*", count: 90) + "\n", count: 20) + base,
            base + "cache: null\n", base + "limits: ~\nadmin: {tokenFile: null}\n",
            base + "limits:\n", base.replacing("{name: m,", with: "{name: m, rollout: null,"),
            base + "accessLog: ./none\n", base + "accessLog: logs/access\n",
            base + "admin: {address: \"127.0.0.1:0\"}\nlimits: &l {maxConnections: 5}\n",
            base.replacing(
                "revisions:",
                with: "cache: &c {ttl: 5s}, revisions:"
            ).replacing(
                "}]}]}]",
                with:
                    "}]}]}, {name: n, cache: {<<: *c, rows: true}, revisions: [{name: v1, backends: [{rest: \"http://127.0.0.1:1\"}]}]}]"
            ),
        ]
    )
    func good(yaml: String) {
        #expect(DiagnosticTests.failures(yaml).isEmpty)
    }

    @Test(
        "A slip is told with its place and what would be right",
        arguments: [
            (base + "accessLog: no\n", 3, "off"), (base + "accessLog: none\n", 3, "./none"),
            (base + "admin: {address: \"127.0.0.1:8080\"}\n", 3, "listeners[0].address"),
            (base + "admin: {address: \"localhost:8080\"}\n", 3, "listeners[0].address"),
            (base + "admin: {address: \"0.0.0.0:8080\"}\n", 3, "listeners[0].address"),
            (
                base.replacing("8080\"}]", with: "8080\"}, {address: \"127.0.0.1:8080\"}]"), 1,
                "listeners[0].address"
            ),
            (base + "drainTimeout: 900000h\n", 3, "at most 8760h"),
            (base + "limits: {maxRequestBytes: 99999999GiB}\n", 3, "at most"),
            (base + "drainTimeout: nan\n", 3, "such as 250ms"),
            (base + "workers: -1\n", 3, "from 0 to 1024"),
            (base + "limits:\n\tmaxConnections: 5\n", 4, "tab"),
            ("listeners: [{address: \"127.0.0.1:1\"}]\nmodels: null\n", 2, "no value"),
            (base + "workers: 1\nworkers: 2\n", 3, "stands twice"),
            (
                base.replacing("1\"}]}]", with: "1\"}, {rest: \"http://127.0.0.1:1\"}]}]"), 2,
                "twice"
            ),
            (base + "drainTimout: 5s\n", 3, "drainTimeout"),
        ] as [(String, Int, String)]
    )
    func bad(yaml: String, line: Int, sentence: String) {
        let found = DiagnosticTests.failures(yaml)
        #expect(found.contains { $0.line == line && $0.message.contains(sentence) }, "\(found)")
    }

    @Test("Aliases within aliases end before they are followed for ever", .timeLimit(.minutes(1)))
    func bomb() {
        var yaml = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n"
        for level in 1...12 {
            let one = "*a\(level - 1)"
            yaml +=
                "a\(level): &a\(level) [\(Array(repeating: one, count: 9).joined(separator: ", "))]\n"
        }
        #expect(
            DiagnosticTests.failures(yaml + Self.base).map(\.message).contains {
                $0.contains("aliases")
            }
        )
    }

    @Test(
        "No diagnostic has a password",
        arguments: [
            "cache: {redis: {url: \"redis://:hunter2@redis:637900\"}}",
            "cache: {redis: {url: \"redis://u:hun/ter2 hunter2@redis:1\"}}",
            "cache: {redis: {url: \"redis://:hunter2\"}}",
            "cache: {redis: {url: \":hunter2@redis:1\"}}",
            "cache: {redis: {url: \"http://redis/?password=hunter2\"}}",
            "cache: {redis: {password: hunter2, url: \"redis://redis\"}}",
            "workers: \"http://u:hunter2@h\"", "accessLog: \"x:hunter2@y\"",
            "drainTimeout: \"redis://:hunter2@h\"", "cache: {redis: {url: \"redis://:hunter2@r",
        ]
    )
    func secrets(line: String) {
        let found = DiagnosticTests.failures(Self.base + line + "\n")
        #expect(!found.isEmpty)
        #expect(!found.contains { $0.description.contains("ter2") }, "\(found)")
        let asBackend = Self.base.replacing(
            "http://127.0.0.1:1",
            with: "http://u:hunter2@h/p?k=hunter2"
        )
        #expect(!"\(DiagnosticTests.failures(asBackend))".contains("hunter2"))
    }

    @Test("Arguments that aren't understood are told without their password")
    func arguments() {
        let urls = ["redis://:hunter2@h:637900", "m=http://u:hunter2@h", "http://u:hunter2@h"]
        for text in urls {
            do throws(QuickFailure) {
                _ = try Configuration.quick(
                    models: text.hasPrefix("redis") ? ["m=http://h"] : [text],
                    listen: "127.0.0.1:1",
                    admin: "127.0.0.1:2",
                    cache: "1s",
                    redis: text
                )
                Issue.record("\(text) was taken")
            } catch {
                #expect(!error.sentence.contains("hunter2"))
            }
        }
    }

    @Test("A text keeps everything but who we are to a server")
    func redaction() {
        #expect(
            Redaction.text("at 'redis://u:p@h:1/0' and http://h/p?key=1 ok")
                == "at 'redis://…@h:1/0' and http://h/p?… ok"
        )
        #expect(Redaction.text("unix:///run/r.sock?db=2") == "unix:///run/r.sock?db=2")
        #expect(Redaction.value("redis://u:a@b/c@h") == "redis://…@h")
        #expect(Redaction.value("a name@home") == "a name@home")
    }
}
