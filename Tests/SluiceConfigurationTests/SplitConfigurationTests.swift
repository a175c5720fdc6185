import SluiceConfiguration
import SluiceRouting
import Testing

@Suite("What decides before the weights")
struct SplitConfigurationTests {
    static let good = """
        listeners: [{address: "127.0.0.1:8080"}]
        models:
          - name: iris
            allowRevisionHeader: true
            sticky: {cookie: Uid, salt: autumn}
            routes:
              - match: {header: X-Canary, value: always}
                revision: v2
              - match: {header: user-agent, prefix: "load test/"}
                revision: v1
              - match: {cookie: beta}
                revision: v2
            revisions:
              - {name: v1, traffic: 100, backends: [{rest: "http://127.0.0.1:1"}]}
              - {name: v2, traffic: 0, backends: [{rest: "http://127.0.0.1:2"}]}
        """

    static func split(_ yaml: String) throws -> Configuration.Split {
        try #require(try Configuration.parse(yaml: yaml, file: "f").models.first).split
    }

    @Test("Rules become the values they spell; names of fields are in lower case")
    func values() throws {
        let split = try Self.split(Self.good)
        #expect(split.allowRevisionHeader)
        #expect(split.sticky?.source == .cookie("Uid") && split.sticky?.salt == "autumn")
        #expect(split.routes.map(\.revision) == ["v2", "v1", "v2"])
        #expect(
            split.routes.map(\.match) == [
                FieldMatch(source: .header("x-canary"), test: .equals(Array("always".utf8))),
                FieldMatch(source: .header("user-agent"), test: .prefix(Array("load test/".utf8))),
                FieldMatch(source: .cookie("beta"), test: .present),
            ]
        )
        let plain = try Self.split(
            Self.good.replacing(
                "sticky: {cookie: Uid, salt: autumn}",
                with: "sticky: {header: X-U}"
            )
        )
        #expect(plain.sticky?.source == .header("x-u") && plain.sticky?.salt == "")
    }

    @Test("A model without rules has none, and writes none")
    func nothing() throws {
        let read = try Configuration.parse(yaml: DiagnosticTests.good, file: "f")
        #expect(read.models[0].split == Configuration.Split())
        for key in ["sticky", "routes", "allowRevisionHeader"] {
            #expect(!read.yamlText.contains(key))
        }
    }

    @Test("What is written reads back as the same value")
    func roundTrip() throws {
        let read = try Configuration.parse(yaml: Self.good, file: "f")
        #expect(try Configuration.parse(yaml: read.yamlText, file: "f") == read)
        let odd = Self.good.replacing("value: always", with: #"value: "a\"b\\c: {d}""#)
        let quoted = try Configuration.parse(yaml: odd, file: "f")
        #expect(quoted.models[0].split.routes[0].match.test == .equals(Array(#"a"b\c: {d}"#.utf8)))
        #expect(try Configuration.parse(yaml: quoted.yamlText, file: "f") == quoted)
    }

    static let sticky = "{cookie: Uid, salt: autumn}"
    static let first = "{header: X-Canary, value: always}"
    static let broken = [
        DiagnosticTests.Broken(
            "allowRevisionHeader: true",
            "allowRevisionHeader: 7",
            4,
            "true or false"
        ),
        .init(sticky, "{}", 5, "needs `header: NAME` or `cookie: NAME`"),
        .init(sticky, "{header: a, cookie: b}", 5, "has both `header` and `cookie`; keep one"),
        .init(sticky, "{header: \"x user\"}", 5, "must be a name of letters, digits"),
        .init(sticky, "{header: \":path\"}", 5, "must be a name of letters, digits"),
        .init(sticky, "{cookie: \"a=b\"}", 5, "must be a name of letters, digits"),
        .init(sticky, "{header: \"\"}", 5, "must be text"),
        .init(sticky, "{header: a, sallt: b}", 5, "did you mean `salt`?"),
        .init(sticky, "x-user-id", 5, "must be a mapping"),
        .init(first, "{value: always}", 7, "needs `header: NAME` or `cookie: NAME`"),
        .init(first, "{header: a, cookie: b}", 7, "has both `header` and `cookie`; keep one"),
        .init(
            first,
            "{header: a, value: b, prefix: c}",
            7,
            "has both `value` and `prefix`; keep one"
        ),
        .init(first, "{header: a, value: \" b\"}", 7, "can't be a header's value"),
        .init(first, "{header: a, value: \"b\\nc\"}", 7, "can't be a header's value"),
        .init(first, "{header: a, prefix: \" b\"}", 7, "can't be a header's value"),
        .init(first, "{header: a, value: \"\"}", 7, "must be text"),
        .init(first, "{header: a, valeu: b}", 7, "did you mean `value`?"),
        .init(first, "always", 7, "must be a mapping"),
        .init("- match: \(first)\n", "- match:\n", 7, "has no value, and it must have one"),
        .init("\n        revision: v2", "", 7, "needs the key `revision`"),
        .init("revision: v2", "revision: v3", 8, "has no revision 'v3'; known: v1, v2"),
        .init("{cookie: beta}", "{header: x-canary, value: always}", 11, "is never reached"),
        .init("{cookie: beta}", "{header: User-Agent, value: load test/2}", 11, "is never reached"),
    ]

    @Test("A broken rule is told its line and what to write instead", arguments: broken)
    func diagnostics(row: DiagnosticTests.Broken) {
        let yaml = Self.good.replacing(row.change.0, with: row.change.1, maxReplacements: 1)
        #expect(yaml != Self.good)
        let found = DiagnosticTests.failures(yaml)
        #expect(
            found.contains { $0.line == row.line && $0.message.contains(row.message) },
            "found: \(found)"
        )
    }

    @Test("A list of routes is neither empty nor longer than what each request may try")
    func bounds() {
        func failures(_ count: Int) -> [Diagnostic] {
            let routes = (0..<count).map { "{match: {header: x-\($0)}, revision: v1}" }
            let (start, end) = (
                Self.good.firstRange(of: "    routes:")?.lowerBound ?? Self.good.startIndex,
                Self.good.firstRange(of: "    revisions:")?.lowerBound ?? Self.good.endIndex
            )
            var yaml = Self.good
            yaml.replaceSubrange(
                start..<end,
                with: "    routes: [\(routes.joined(separator: ", "))]\n"
            )
            return DiagnosticTests.failures(yaml)
        }
        #expect(failures(64).isEmpty)
        #expect(failures(65).first?.message.contains("has 65 routes; 64 are the most") == true)
        #expect(failures(0).first?.message.contains("must not be empty") == true)
    }
}
