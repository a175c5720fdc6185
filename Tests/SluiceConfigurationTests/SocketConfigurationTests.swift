import SluiceConfiguration
import SluiceCore
import Testing

@Suite("Configuration of Unix sockets")
struct SocketConfigurationTests {
    private static func yaml(
        listener: String = "unix:///run/data.sock",
        admin: String = "unix:///run/admin.sock",
        backend: String = "rest: 'unix:///run/model.sock'"
    ) -> String {
        """
        listeners: [{address: '\(listener)'}]
        admin: {address: '\(admin)'}
        models:
          - name: iris
            revisions: [{name: v1, backends: [{\(backend)}]}]
        """
    }

    private static func backend(_ text: String) throws -> Configuration.Backend {
        let read = try Configuration.parse(yaml: yaml(backend: text), file: "conf/f")
        return read.models[0].revisions[0].backends[0]
    }

    @Test("Listeners and the admin API take a socket, a relative one in the file's folder")
    func addresses() throws {
        let read = try Configuration.parse(
            yaml: Self.yaml(admin: "unix:admin.sock"),
            file: "conf/f"
        )
        let listener = read.listeners[0].address
        #expect(listener.isSocketFile && listener.host == "/run/data.sock" && listener.port == 0)
        #expect(listener.text == "unix:///run/data.sock")
        #expect(read.admin.address.host == "conf/admin.sock")
    }

    @Test(
        "A backend takes one for each protocol, and asks as localhost",
        arguments: [
            ("unix:///run/m.sock", .http, "unix:///run/m.sock"),
            ("http+unix:///run/m.sock", .http, "unix:///run/m.sock"),
            ("h2c+unix:///run/m.sock", .h2c, "h2c+unix:///run/m.sock"),
            ("https+unix:///run/m.sock", .https, "https+unix:///run/m.sock"),
            ("unix:m.sock", .http, "unix:conf/m.sock"),
        ] as [(String, Configuration.BackendURL.Scheme, String)]
    )
    func backends(text: String, scheme: Configuration.BackendURL.Scheme, written: String) throws {
        for key in ["rest", "grpc"] {
            let backend = try Self.backend("\(key): '\(text)'")
            let url = try #require(key == "rest" ? backend.rest : backend.grpc)
            #expect(url.scheme == scheme && url.text == written)
            #expect(url.authority == "localhost" && url.serverName == "localhost")
            #expect(url.name.isSocketFile && url.name.isNumeric)
        }
    }

    @Test("What is written reads back as the same value")
    func roundTrip() throws {
        let text = Self.yaml(
            backend: "rest: 'h2c+unix:///run/a b.sock', grpc: 'unix:///run/g.sock'"
        )
        let read = try Configuration.parse(yaml: text, file: "f")
        #expect(try Configuration.parse(yaml: read.yamlText, file: "f") == read)
        let quick = try Configuration.quick(
            models: ["iris=unix:///run/a,h2c+unix:///run/b,grpc+unix:///run/c"],
            listen: "unix:///run/data.sock"
        )
        let backends = quick.models[0].revisions[0].backends
        #expect(backends.map { $0.rest?.scheme } == [.http, .h2c, nil])
        #expect(backends.map { $0.grpc?.scheme } == [nil, .h2c, .h2c])
        #expect(try Configuration.parse(yaml: quick.yamlText, file: "f") == quick)
    }

    @Test("What is wrong with a socket is told at its place")
    func diagnostics() {
        let long = "unix:///" + String(repeating: "a", count: 107)
        let all = DiagnosticTests.failures(
            Self.yaml(listener: long, admin: "unix:@x", backend: "grpc: 'unix://run/x'")
        )
        #expect(all.map(\.line) == [1, 2, 5])
        #expect(all.first?.message.contains("at most 107 bytes, and this one has 108") == true)
        #expect(all.dropFirst().first?.message.contains("abstract") == true)
        #expect(all.last?.message.contains("a slash of its own") == true)
        let redis = DiagnosticTests.failures("\(Self.yaml())\ncache: {redis: {url: '\(long)'}}")
        #expect(redis.map(\.line) == [6])
        #expect(redis.first?.message.contains("at most 107 bytes, and this one has 108") == true)
        let dns = DiagnosticTests.failures(
            Self.yaml(backend: "dns: 'unix:///run/x', protocol: rest")
        )
        #expect(dns.first?.message.contains("must be HOST:PORT") == true)
    }

    @Test("A socket is named once")
    func taken() throws {
        let all = DiagnosticTests.failures(Self.yaml(admin: "unix:/run/data.sock"))
        #expect(all.map(\.line) == [2])
        #expect(all.first?.message.contains("it takes a socket of its own") == true)
        var read = try Configuration.parse(yaml: Self.yaml(), file: "f")
        #expect(throws: QuickFailure.self) { try read.give(admin: "unix:///run/data.sock") }
        #expect(throws: QuickFailure.self) { try read.give(admin: "unix-abstract:x") }
        try read.give(admin: "127.0.0.1:0")
        #expect(read.admin.isAddressGiven && read.admin.address.port == 0)
    }

    @Test("The command line's admin address may be no listener's")
    func givenPort() throws {
        var read = try Configuration.parse(yaml: DiagnosticTests.good, file: "f")
        #expect(throws: QuickFailure.self) { try read.give(admin: "localhost:8080") }
        #expect(throws: QuickFailure.self) { try read.give(admin: "0.0.0.0:8080") }
        try read.give(admin: "127.0.0.1:8081")
        #expect(read.admin.address.text == "127.0.0.1:8081")
    }
}
