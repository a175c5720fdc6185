import SluiceBalancing
import SluiceCore
import SluiceEgress
import SluiceGateway
import SluiceIO
import SluiceSimulation
import Testing

/// A model server that answers the first request on each connection and ends it in the second.
private final class FickleBackend {
    /// When it ends a connection that it has kept.
    struct Fault: Sendable {
        /// Bytes of the second request that it takes first.
        var taken = 0
        /// Bytes of its answer that it sends first.
        var said = 0
        var isReset = false
    }

    static let answer = Array("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}".utf8)
    private let fault: Fault
    private(set) var brokenCount = 0
    private(set) var answeredCount = 0
    private var server: RawServer?

    init(loop: EventLoop, on address: SocketAddress, fault: Fault) throws {
        self.fault = fault
        server = try RawServer(loop: loop, on: address) { [unowned self] in received($0) }
    }

    private func received(_ connection: RawServer.Connection) {
        if connection.answerCount == 1, connection.input.count >= fault.taken {
            brokenCount += 1
            connection.say(FickleBackend.answer.prefix(fault.said)) { [unowned self, connection] in
                end(connection)
            }
            return
        }
        let text = String(decoding: connection.input, as: UTF8.self)
        let isPost = text.hasPrefix("P")
        guard text.hasSuffix(isPost ? "}" : "\r\n\r\n") else { return }
        connection.input = []
        connection.answerCount += 1
        answeredCount += 1
        connection.say(FickleBackend.answer.dropLast(text.hasPrefix("H") ? 2 : 0))
    }

    private func end(_ connection: RawServer.Connection) {
        if fault.isReset { connection.reset() } else { connection.finish() }
    }

    /// Ends all connections at once, behind their answers.
    func endAll() {
        for connection in server?.connections ?? [] where !connection.isClosed { end(connection) }
    }

    var connectionCount: Int { server?.connections.count ?? 0 }
    var openCount: Int { server?.connections.count { !$0.isClosed } ?? 0 }

    func close() { server?.close() }
}

@Suite("Kept connections to backends")
struct StaleConnectionTests {
    private static let post =
        "POST /v1/models/m:predict HTTP/1.1\r\nhost: a\r\ncontent-length: 9\r\n\r\n{\"a\":[1]}"

    private final class Scene {
        private let single: SingleBackendScene
        let backend: FickleBackend
        let peer: RawPeer

        init(
            _ fault: FickleBackend.Fault,
            isIdempotent: Bool,
            idleTimeout: Duration = .seconds(4),
            delay: ClosedRange<Int64>? = nil
        ) throws {
            let world = World(seed: 1)
            if let delay {
                var plan = FaultPlan()
                plan.delay = delay
                for address in [SingleBackendScene.address, SingleBackendScene.model] {
                    world.network.use(plan, for: address)
                }
            }
            var resilience = ResiliencePlan()
            resilience.retry.isIdempotent = isIdempotent
            // Going to the same backend again is no retry by the model's count.
            resilience.retry.attempts = 0
            single = try SingleBackendScene(
                .http1,
                world: world,
                timeout: .seconds(2),
                resilience: resilience
            ) { $0.idleTimeout = idleTimeout }
            backend = try FickleBackend(
                loop: single.backend,
                on: SingleBackendScene.model,
                fault: fault
            )
            peer = try RawPeer(
                loop: single.client,
                to: SingleBackendScene.address,
                saying: Array(StaleConnectionTests.post.utf8)
            )
            try world.pass(.milliseconds(50))
        }

        var world: World { single.world }

        /// The status lines that the client has got.
        var statuses: [String] {
            peer.text.split(separator: "HTTP/1.1 ").map { String($0.prefix(3)) }
        }

        func ask(_ request: String = StaleConnectionTests.post, for time: Duration? = nil) throws {
            peer.say(Array(request.utf8))
            try world.pass(time ?? .milliseconds(500))
        }

        func retries(_ reason: String) -> Int {
            single.ledger.sum("sluice_retries_total") {
                $0.contains("reason=\"\(reason)\"")
            }
        }

        func end() throws {
            try single.end {
                peer.close()
                backend.close()
            }
        }
    }

    @Test(
        "What an idempotent model's kept connection swallowed goes again, once, on a new one",
        arguments: [false, true]
    )
    func everyCut(isReset: Bool) throws {
        for taken in stride(from: 1, through: 197, by: 7) {
            let fault = FickleBackend.Fault(taken: taken, isReset: isReset)
            let scene = try Scene(fault, isIdempotent: true)
            try scene.ask()
            #expect(scene.statuses == ["200", "200"], "after \(taken) bytes")
            #expect(scene.backend.brokenCount == 1 && scene.backend.answeredCount == 2)
            #expect(scene.retries("stale_connection") == 1 && scene.retries("reset") == 0)
            try scene.end()
        }
    }

    @Test("What may have reached a model that isn't idempotent is never sent twice")
    func notIdempotent() throws {
        for taken in stride(from: 1, through: 197, by: 49) {
            let scene = try Scene(.init(taken: taken), isIdempotent: false)
            try scene.ask()
            #expect(scene.statuses == ["200", "502"], "after \(taken) bytes")
            #expect(scene.backend.brokenCount == 1 && scene.backend.answeredCount == 1)
            #expect(scene.backend.connectionCount == 1)
            try scene.end()
        }
    }

    @Test("A connection that its backend has ended is never used", arguments: [false, true])
    func ended(isReset: Bool) throws {
        // Both the FIN and the next request come to the loop at once, and the client's comes first. The
        // rest before it is of any length.
        for rest in [Duration.milliseconds(1), .milliseconds(19), .milliseconds(30)] {
            let scene = try Scene(
                .init(taken: .max, isReset: isReset),
                isIdempotent: false,
                delay: 100_000...100_000
            )
            try scene.ask(for: .microseconds(900) + rest)
            #expect(scene.statuses == ["200", "200"] && scene.backend.connectionCount == 1)
            scene.world.tickAll()
            scene.backend.endAll()
            try scene.ask()
            #expect(scene.statuses == ["200", "200", "200"], "after \(rest)")
            #expect(scene.backend.answeredCount == 3 && scene.backend.connectionCount == 2)
            try scene.end()
        }
    }

    @Test(
        "What is idempotent by its method goes again, whatever its model",
        arguments: ["GET", "HEAD"]
    )
    func byMethod(method: String) throws {
        for isReset in [false, true] {
            let scene = try Scene(.init(taken: 1, isReset: isReset), isIdempotent: false)
            try scene.ask("\(method) /v1/models/m/metadata HTTP/1.1\r\nhost: a\r\n\r\n")
            #expect(scene.statuses == ["200", "200"])
            #expect(scene.backend.brokenCount == 1 && scene.backend.answeredCount == 2)
            #expect(scene.retries("stale_connection") == 1)
            try scene.end()
        }
    }

    @Test("A probe whose kept connection turned out dead asks again, and its backend stays up")
    func probe() throws {
        let world = World(seed: 1)
        let address = SocketAddress.loopback(port: 9_001)
        let backend = try FickleBackend(
            loop: world.makeLoop(name: "backend").loop,
            on: address,
            fault: .init(taken: 1)
        )
        let board = BackendLoads()
        let load = board.add()
        let note = HealthNote()
        let probe = HealthProbe(
            loop: world.makeLoop(name: "probe").loop,
            readiness: GatewayReadiness()
        )
        let target = BackendTarget(
            key: "b",
            endpoint: Endpoint(address: address, httpVersion: .http1, tls: nil, serverName: "b"),
            authority: "b"
        )
        let plan = BackendPlan(
            label: "b",
            rest: target,
            grpc: nil,
            load: load,
            note: note,
            probePath: "/",
            probeInterval: .seconds(1),
            probeTimeout: .milliseconds(500)
        )
        probe.watch(.single(plan))
        for _ in 0..<20 {
            try world.pass(.milliseconds(500))
            #expect(load.health != .down && note.reason == nil)
        }
        #expect(load.health == .up && backend.brokenCount > 2 && backend.answeredCount > 4)
        probe.close()
        backend.close()
        world.tickAll()
        try world.pass(.seconds(2))
        #expect(world.network.violations.isEmpty)
    }

    @Test("Behind a byte of the answer the connection wasn't dead, and the failure stands")
    func answerBegan() throws {
        for said in 1..<FickleBackend.answer.count {
            let scene = try Scene(.init(taken: 1, said: said), isIdempotent: true)
            try scene.ask()
            #expect(scene.retries("stale_connection") == 0, "after \(said) bytes")
            #expect(scene.backend.answeredCount == 1)
            try scene.end()
        }
    }

    @Test("The gateway closes what rests before its backend does")
    func idleTimeout() throws {
        let scene = try Scene(.init(taken: .max), isIdempotent: false)
        #expect(scene.backend.openCount == 1)
        try scene.world.pass(.milliseconds(3_900))
        #expect(scene.backend.openCount == 1)
        try scene.world.pass(.milliseconds(100))
        #expect(scene.backend.openCount == 0)
        try scene.ask()
        #expect(scene.statuses == ["200", "200"] && scene.backend.connectionCount == 2)
        try scene.end()
    }

    @Test("In steady use a connection outlives its idle timeout")
    func steadyUse() throws {
        let fault = FickleBackend.Fault(taken: .max)
        let scene = try Scene(fault, isIdempotent: false, idleTimeout: .milliseconds(700))
        for _ in 0..<10 { try scene.ask() }
        #expect(scene.statuses == Array(repeating: "200", count: 11))
        #expect(scene.backend.connectionCount == 1)
        try scene.world.pass(.milliseconds(800))
        #expect(scene.backend.openCount == 0)
        try scene.end()
    }
}
