import SluiceConfiguration
import Testing

@Suite("CORS in the configuration")
struct CrossOriginConfigurationTests {
    static func text(_ keys: String) -> String {
        """
        listeners:
          - address: "127.0.0.1:0"
            \(keys)
        models:
          - name: a
            revisions: [{name: v1, backends: [{rest: "http://127.0.0.1:1"}]}]
        """
    }

    @Test(
        "A policy is read, and written back",
        arguments: [
            "cors: {origins: [\"https://app.example\"]}",
            "cors: {origins: [\"*\"], headers: [], maxAge: 0s}",
            "cors: {origins: [\"http://localhost:3000\", \"https://[2001:db8::1]:8443\"], headers: [Authorization, x-team], maxAge: 1h}",
        ]
    )
    func read(keys: String) throws {
        let read = try Configuration.parse(yaml: Self.text(keys), file: "f")
        #expect(read.listeners[0].cors != nil)
        #expect(try Configuration.parse(yaml: read.yamlText, file: "f") == read)
    }

    @Test("Field names are folded, and the time is ten minutes unless it is said")
    func values() throws {
        let keys = "cors: {origins: [\"https://app.example\"], headers: [Authorization]}"
        let cors = try Configuration.parse(yaml: Self.text(keys), file: "f").listeners[0].cors
        #expect(cors?.origins == ["https://app.example"])
        #expect(cors?.headers == ["authorization"])
        #expect(cors?.maxAge == .seconds(600))
        #expect(try Configuration.parse(yaml: Self.text(""), file: "f").listeners[0].cors == nil)
    }

    static let broken: [(keys: String, column: Int, message: String)] = [
        ("cors: yes", 11, "must be a mapping"),
        ("cors: {}", 11, "needs the key `origins`"),
        ("cors: {origins: []}", 21, "must not be empty"),
        ("cors: {origins: [app.example]}", 22, "must be an origin as browsers write it"),
        ("cors: {origins: [\"https://app.example/\"]}", 22, "no path"),
        ("cors: {origins: [\"https://App.example\"]}", 22, "lower case"),
        ("cors: {origins: [\"https://app.example:443\"]}", 22, "no default port"),
        ("cors: {origins: [\"http://app.example:0\"]}", 22, "must be an origin"),
        ("cors: {origins: [\"https://*.example\"]}", 22, "must be an origin"),
        ("cors: {origins: [\"*\", \"https://a.example\"]}", 22, "list it alone"),
        ("cors: {origins: [\"*\"], headers: [\"a b\"]}", 38, "header field's name"),
        ("cors: {origins: [\"*\"], headers: [\"a\\r\\nb\"]}", 38, "header field's name"),
        ("cors: {origins: [\"*\"], maxAge: ten}", 36, "must be a time such as"),
        ("cors: {origins: [\"*\"], maxAge: 48h}", 36, "at most 24h"),
        ("cors: {origin: [\"*\"]}", 12, "did you mean `origins`?"),
    ]

    @Test("A broken policy is told its place and what to write instead", arguments: broken.indices)
    func diagnostics(row: Int) {
        let row = Self.broken[row]
        let found = DiagnosticTests.failures(Self.text(row.keys))
        #expect(
            found.contains {
                $0.line == 3 && $0.column == row.column && $0.message.contains(row.message)
            },
            "\(row.message): \(found)"
        )
    }
}
