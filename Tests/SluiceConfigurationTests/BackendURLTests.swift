import Foundation
import SluiceConfiguration
import Testing

@Suite("Paths and fields towards backends in the configuration")
struct BackendURLTests {
    private static func text(_ backend: String) -> String {
        """
        listeners: [{address: "127.0.0.1:0"}]
        models:
          - name: a
            revisions:
              - name: v1
                backends:
                  - {\(backend)}
        """
    }

    private static func backend(_ keys: String) throws -> Configuration.Backend {
        let read = try Configuration.parse(yaml: text(keys), file: "f")
        return try #require(read.models[0].revisions[0].backends.first)
    }

    /// A file with that text, removed by the caller.
    private static func file(_ text: String) throws -> String {
        let path = FileManager.default.temporaryDirectory
            .appendingPathComponent("sluice-header-\(UUID().uuidString)").path
        try text.write(toFile: path, atomically: true, encoding: .utf8)
        return path
    }

    @Test(
        "A path stands before ours, without the slash at its end",
        arguments: [
            ("rest: \"http://h:1\"", ""), ("rest: \"http://h:1/\"", ""),
            ("rest: \"http://h:1/base\"", "/base"), ("rest: \"https://h/a/b.c/\"", "/a/b.c"),
            ("rest: \"h2c://[::1]:1/a%20b;v=1\"", "/a%20b;v=1"),
            ("dns: \"h:1/base/x\", protocol: rest", "/base/x"),
        ]
    )
    func path(keys: String, path: String) throws {
        let backend = try Self.backend(keys)
        #expect(backend.rest?.path == path && backend.rest?.host.contains("/") == false)
        let again = try Configuration.parse(
            yaml: Configuration.parse(yaml: Self.text(keys), file: "f").yamlText,
            file: "f"
        )
        #expect(again.models[0].revisions[0].backends[0] == backend)
    }

    @Test("Fields are folded, and a file's first line is a value; a token alone is a bearer's")
    func headers() throws {
        let token = try Self.file("abc.def\nsecond line\n")
        let whole = try Self.file("  Basic dXNlcjpwdw==  \r\n")
        defer { for path in [token, whole] { try? FileManager.default.removeItem(atPath: path) } }
        func headers(_ text: String) throws -> [Configuration.BackendHeader] {
            try Self.backend("rest: \"http://h:1\", headers: {\(text)}").headers
        }
        let read = try headers(
            "Authorization: {file: \(token)}, X-Key: {file: \(token)}, x-b: \"a b\""
        )
        #expect(read.map(\.name) == ["authorization", "x-key", "x-b"])
        #expect(read.map(\.value) == ["Bearer abc.def", "abc.def", "a b"])
        #expect(try headers("authorization: {file: \(whole)}")[0].value == "Basic dXNlcjpwdw==")
        #expect(try headers("trace-bin: AAEC")[0].value == "AAEC")
    }

    @Test("No text of a configuration has a value")
    func secret() throws {
        let file = try Self.file("hidden-key")
        defer { try? FileManager.default.removeItem(atPath: file) }
        let keys =
            "rest: \"http://h:1\", headers: {authorization: {file: \(file)}, x-key: hidden-key}"
        let read = try Configuration.parse(yaml: Self.text(keys), file: "f")
        var dumped = ""
        dump(read, to: &dumped)
        for text in [read.yamlText, "\(read)", String(reflecting: read), dumped] {
            #expect(!text.contains("hidden-key"))
        }
        #expect(read.yamlText.contains(file) && read.headerFiles == [file])
        let broken = DiagnosticTests.failures(
            Self.text("rest: \"http://h:1\", headers: {x-key: \"hidden-key\\u0001\"}")
        )
        #expect(broken.count == 1 && !broken.map(\.description).joined().contains("hidden-key"))
    }

    private static let broken: [(keys: String, column: Int, message: String)] = [
        ("rest: \"http://h:1/a//b\"", 20, "must be http://HOST:PORT"),
        ("rest: \"http://h:1/a/../b\"", 20, "must be http://HOST:PORT"),
        ("rest: \"http://h:1/%2e%2E/b\"", 20, "must be http://HOST:PORT"),
        ("rest: \"http://h:1/a?b=c\"", 20, "must be http://HOST:PORT"),
        ("rest: \"http://h:1/a#b\"", 20, "must be http://HOST:PORT"),
        ("rest: \"http://h:1/a b\"", 20, "must be http://HOST:PORT"),
        ("rest: \"http://h:1/a%2\"", 20, "must be http://HOST:PORT"),
        ("grpc: \"http://h:1/base\"", 20, "gRPC has paths of its own"),
        ("dns: \"h:1/base\", protocol: [rest, grpc]", 19, "gRPC has paths of its own"),
        ("rest: \"http://h:1\", headers: [a]", 43, "must be a mapping"),
        ("rest: \"http://h:1\", headers: {x: {}}", 47, "needs the key `file`"),
        ("rest: \"http://h:1\", headers: {x: {file: /no/such}}", 54, "no readable file"),
        ("rest: \"http://h:1\", headers: {x: \"\"}", 47, "printable ASCII"),
        ("rest: \"http://h:1\", headers: {x: \"ä\"}", 47, "printable ASCII"),
        ("rest: \"http://h:1\", headers: {\"a b\": c}", 44, "no name of a field"),
        ("rest: \"http://h:1\", headers: {\":path\": c}", 44, "HTTP/2's request line"),
        ("rest: \"http://h:1\", headers: {Connection: c}", 44, "belongs to a connection"),
        ("rest: \"http://h:1\", headers: {TE: c}", 44, "belongs to a connection"),
        ("rest: \"http://h:1\", headers: {host: c}", 44, "says what the message is"),
        ("rest: \"http://h:1\", headers: {content-length: 1}", 44, "says what the message is"),
        ("rest: \"http://h:1\", headers: {grpc-timeout: 1S}", 44, "says what the message is"),
        ("rest: \"http://h:1\", headers: {x-sluice-revision: a}", 44, "written by Sluice itself"),
        ("rest: \"http://h:1\", headers: {X-A: b, x-a: c}", 52, "stands twice"),
        ("rest: \"http://h:1\", headers: {a-bin: \"?\"}", 51, "must be base64"),
    ]

    @Test("What can't be is told its place and why", arguments: broken.indices)
    func diagnostics(row: Int) {
        let (keys, column, message) = Self.broken[row]
        let found = DiagnosticTests.failures(Self.text(keys))
        #expect(found.count == 1 && found.first?.line == 7, "\(found)")
        #expect(
            found.first?.column == column && found.first?.message.contains(message) == true,
            "\(found)"
        )
    }
}
