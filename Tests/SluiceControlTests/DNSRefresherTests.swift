import Foundation
import SluiceConfiguration
import SluiceControl
import SluiceCore
import SluiceEgress
import SluiceGateway
import SluiceIO
import SluiceTelemetry
import Synchronization
import Testing

/// A name server that says what it is told to, or nothing until it is told to.
private final class NameServer: Sendable {
    private struct State {
        var answers: [String: Result<[SocketAddress], KernelFailure>] = [:]
        var silent: Set<String> = []
        var asked: [String: Int] = [:]
    }
    private let state = Mutex(State())

    var resolve: DNSRefresher.Resolve {
        { [self] name in
            state.withLock { $0.asked[name.host, default: 0] += 1 }
            while state.withLock({ $0.silent.contains(name.host) }) {
                Thread.sleep(forTimeInterval: 0.001)
            }
            return state.withLock { $0.answers[name.host] }
                ?? .failure(KernelFailure(call: "getaddrinfo", code: 0, text: "no such name"))
        }
    }

    func answer(_ host: String, _ ports: UInt16...) {
        state.withLock {
            $0.answers[host] = .success(ports.map { .loopback(port: $0) })
            $0.silent.remove(host)
        }
    }

    func fail(_ host: String, _ text: String) {
        state.withLock {
            $0.answers[host] = .failure(KernelFailure(call: "getaddrinfo", code: 0, text: text))
            $0.silent.remove(host)
        }
    }

    func hush(_ hosts: String...) { state.withLock { $0.silent.formUnion(hosts) } }

    func asked(_ host: String) -> Int { state.withLock { $0.asked[host] ?? 0 } }
}

/// What a watch has told, in order.
private final class Told: Sendable {
    private let kept = Mutex<[(HostName, [SocketAddress])]>([])

    func add(_ name: HostName, _ addresses: [SocketAddress]) {
        kept.withLock { $0.append((name, addresses)) }
    }

    func last(_ name: HostName) -> [SocketAddress]? {
        kept.withLock { $0.last { $0.0 == name }?.1 }
    }
}

@Suite("Looking names up", .timeLimit(.minutes(1)))
struct DNSRefresherTests {
    private let server = NameServer()
    private let told = Told()
    private let live = HostName(host: "live.test", port: 80)
    private let dead = HostName(host: "dead.test", port: 80)

    private func watch() throws -> DNSRefresher {
        try DNSRefresher(
            store: MetricStore(),
            log: EventLog(isQuiet: true),
            resolve: server.resolve
        )
    }

    /// Waits for what must come.
    private func await(_ condition: () -> Bool) async throws {
        while !condition() { try await Task.sleep(for: .milliseconds(2)) }
    }

    @Test(
        "A name server that says nothing of one name holds up no other, and is waited for no longer"
    )
    func silent() async throws {
        let watch = try watch()
        defer { watch.stop() }
        server.answer("live.test", 1)
        server.hush("dead.test")
        // Were it waited for, this would never end.
        let found = watch.look(for: [dead, live], timeout: .milliseconds(200))
        #expect(found[dead] == nil && watch.failure(of: dead)?.contains("hasn't answered") == true)
        watch.begin(every: .milliseconds(20), names: { [live, dead] in [live, dead] }) {
            [told] in told.add($0, $1)
        }
        try await self.await { told.last(live) != nil && server.asked("live.test") > 3 }
        // Not asked again while it is being asked.
        #expect(server.asked("dead.test") == 1)
        server.answer("dead.test", 7)
        try await self.await { told.last(dead) == [.loopback(port: 7)] }
        #expect(watch.failure(of: dead) == nil)
    }

    @Test("Many names of a silent server hold up none of another's")
    func manySilent() async throws {
        let watch = try watch()
        defer { watch.stop() }
        let silent = (1...40).map { HostName(host: "silent\($0).test", port: 80) }
        for name in silent { server.hush(name.host) }
        server.answer("live.test", 1)
        // The last in the line, behind ten times as many as are asked for at a time.
        let names = silent + [live]
        #expect(watch.look(for: names, timeout: .seconds(3))[live]?.count == 1)
        watch.begin(every: .milliseconds(10), names: { names }) { [told] in told.add($0, $1) }
        server.answer("live.test", 2)
        try await self.await { told.last(live) == [.loopback(port: 2)] }
        for name in silent { server.answer(name.host, 9) }
        try await self.await { silent.allSatisfy { told.last($0) != nil } }
    }

    @Test("What isn't found any more keeps its addresses, with why, until it is found again")
    func failing() async throws {
        let watch = try watch()
        defer { watch.stop() }
        server.answer("live.test", 1, 2)
        let found = watch.look(for: [live], timeout: .seconds(30))
        #expect(found[live]?.count == 2 && watch.failure(of: live) == nil)
        watch.begin(every: .milliseconds(10), names: { [live] in [live] }) {
            [told] in told.add($0, $1)
        }
        server.fail("live.test", "temporary failure")
        try await self.await { watch.failure(of: live) == "temporary failure" }
        #expect(told.last(live)?.count == 2)
        server.answer("live.test", 3)
        try await self.await { told.last(live) == [.loopback(port: 3)] }
        #expect(watch.failure(of: live) == nil)
    }

    @Test("More names than are looked up at a time are all found")
    func many() throws {
        let watch = try watch()
        defer { watch.stop() }
        let names = (1...200).map { HostName(host: "n\($0).test", port: 80) }
        for (number, name) in names.enumerated() { server.answer(name.host, UInt16(number + 1)) }
        let found = watch.look(for: names, timeout: .seconds(30))
        #expect(found.count == 200)
    }

    @Test(
        "A numeric address isn't looked up, and anything else is",
        arguments: [
            ("127.0.0.1", true), ("::1", true), ("localhost", false), ("10.0.0.256", false),
            ("1.2.3", false), ("3com.example", false), ("1.2.3.4.example", false),
            ("1..2.3", false),
        ]
    )
    func numeric(host: String, isNumeric: Bool) {
        #expect(HostName(host: host, port: 1).isNumeric == isNumeric)
    }
}

/// Where names of a configuration lead, by a desk whose name server is told what to say.
@Suite("Backends by name", .timeLimit(.minutes(1)))
struct NamedBackendTests {
    private let server = NameServer()

    private func coordinator(_ backend: String) throws -> ChangeCoordinator {
        let configuration = try Configuration.parse(
            yaml: """
                listeners: [{address: "127.0.0.1:0"}]
                models: [{name: m, revisions: [{name: v1, backends: [\(backend)]}]}]
                """,
            file: "test.yaml"
        )
        return try ChangeCoordinator(
            configuration: configuration,
            file: nil,
            store: MetricStore(),
            log: EventLog(isQuiet: true),
            resolve: server.resolve
        ) { _, _ in }
    }

    private func backends(_ coordinator: ChangeCoordinator) -> [BackendPlan] {
        coordinator.snapshot.models[0].revisions[0].backends
    }

    private func addresses(_ hosts: String...) throws -> [SocketAddress] {
        try hosts.flatMap { try SocketAddress.resolve(host: $0, port: 80) }
    }

    @Test("A URL's name is as many backends as it has addresses, and follows it")
    func url() throws {
        server.answer("m.test", 1, 2)
        let coordinator = try coordinator("{rest: \"http://m.test:80\"}")
        defer { coordinator.stop() }
        #expect(backends(coordinator).map(\.label) == ["127.0.0.1:1", "127.0.0.1:2"])
        let kept = backends(coordinator)[1].rest?.key
        let name = HostName(host: "m.test", port: 80)
        coordinator.found(name, [.loopback(port: 2), .loopback(port: 3)])
        _ = coordinator.perform(.names, by: "test")
        #expect(backends(coordinator).map(\.label) == ["127.0.0.1:2", "127.0.0.1:3"])
        // By its key a worker keeps the connections.
        #expect(backends(coordinator)[0].rest?.key == kept)
        #expect(
            backends(coordinator).allSatisfy {
                $0.names == [name] && $0.rest?.authority == "m.test:80"
            }
        )
    }

    @Test("REST and gRPC of one name are one replica at each address, of one family")
    func pairs() throws {
        let coordinator = try coordinator(
            "{rest: \"http://m.test:80\", grpc: \"http://m.test:81\"}"
        )
        defer { coordinator.stop() }
        #expect(backends(coordinator).map(\.label) == ["m.test:80"])
        let found = try addresses("10.0.0.2", "fd00::2", "10.0.0.1", "fd00::1")
        coordinator.found(HostName(host: "m.test", port: 80), found)
        _ = coordinator.perform(.names, by: "test")
        #expect(backends(coordinator).allSatisfy { $0.rest != nil && $0.grpc == nil })
        coordinator.found(
            HostName(host: "m.test", port: 81),
            found.reversed().map { $0.with(port: 81) }
        )
        _ = coordinator.perform(.names, by: "test")
        #expect(backends(coordinator).map(\.label) == ["10.0.0.1:80", "10.0.0.2:80"])
        for backend in backends(coordinator) {
            #expect(backend.rest?.endpoint.address.host == backend.grpc?.endpoint.address.host)
        }
    }

    @Test("Hundreds of addresses are hundreds of backends, in one change")
    func many() throws {
        let coordinator = try coordinator("{dns: \"m.test:80\", protocol: [rest, grpc]}")
        defer { coordinator.stop() }
        let generation = coordinator.snapshot.generation
        let hosts = (0..<200).map { "10.1.\($0 / 100).\($0 % 100)" }
        let found = try hosts.flatMap { try SocketAddress.resolve(host: $0, port: 80) }
        coordinator.found(HostName(host: "m.test", port: 80), found)
        _ = coordinator.perform(.names, by: "test")
        #expect(Set(backends(coordinator).map(\.label)) == Set(hosts.map { "\($0):80" }))
        #expect(coordinator.snapshot.generation == generation + 1)
    }
}
