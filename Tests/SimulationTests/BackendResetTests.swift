import SluiceBalancing
import SluiceEgress
import SluiceGateway
import SluiceSimulation
import SluiceTestKit
import Testing

// How an HTTP/2 backend ends a call or its connection, and what becomes of the request: what it can't have
// begun goes again, what it may have begun doesn't, and who broke off is told by text, log and metric.
@Suite("Calls that an HTTP/2 backend ends")
struct BackendResetTests {
    private final class Scene {
        private let single: SingleBackendScene
        let backend: NghttpBackend
        private let caller: NghttpCaller

        init(isIdempotent: Bool = false, attempts: Int = 1, maxHeaderBytes: Int = 64 << 10) throws {
            var resilience = ResiliencePlan()
            resilience.retry.isIdempotent = isIdempotent
            resilience.retry.attempts = attempts
            single = try SingleBackendScene(
                .http2,
                rest: false,
                grpc: true,
                resilience: resilience
            ) { $0.maxHeaderBytes = maxHeaderBytes }
            backend = try NghttpBackend(loop: single.backend, on: SingleBackendScene.model)
            caller = try NghttpCaller(loop: single.client, to: SingleBackendScene.address)
        }

        var world: World { single.world }

        func ask() throws -> Int32 {
            let message: [UInt8] = [0, 0, 0, 0, 3, 0x0A, 1, 0x6D]
            let id = caller.ask(
                [
                    (":method", "POST"), (":scheme", "http"), (":authority", "a"),
                    (":path", "/inference.GRPCInferenceService/ModelInfer"),
                    ("content-type", "application/grpc"), ("te", "trailers"),
                ],
                body: message
            )
            try world.pass(.milliseconds(20))
            return id
        }

        func connection(_ place: Int) throws -> NghttpBackend.Connection {
            try #require(
                backend.connections.indices.contains(place) ? backend.connections[place] : nil
            )
        }

        /// Answers the request that came last over a connection.
        func answer(_ place: Int) throws {
            let connection = try connection(place)
            let id = try #require(connection.peer.order.last)
            connection.answer(
                id,
                [(":status", "200"), ("content-type", "application/grpc"), ("grpc-status", "0")]
                    .map { HeaderField($0.0, $0.1) }
            )
            try world.pass(.milliseconds(20))
        }

        /// Lets the backend do something, and time pass.
        func act(_ place: Int, _ body: (NghttpPeer, Int32) -> Void) throws {
            let connection = try connection(place)
            body(connection.peer, try #require(connection.peer.order.last))
            connection.say()
            try world.pass(.milliseconds(20))
        }

        /// The status and message of a call, if it has ended.
        func ended(_ id: Int32) -> (status: String, message: String)? {
            guard let message = caller.peer.messages[id], message.isComplete else { return nil }
            let fields = message.head + (message.trailers ?? [])
            func value(_ name: String) -> String { fields.first { $0.name == name }?.value ?? "" }
            return (value("grpc-status"), value("grpc-message"))
        }

        func reason() throws -> String? { try single.reason() }

        func resets(_ side: String, _ reason: String) -> Int {
            single.ledger.sum("sluice_backend_resets_total") {
                $0.contains("by=\"\(side)\"") && $0.contains("reason=\"\(reason)\"")
            }
        }

        func end() throws {
            try single.end {
                caller.close()
                backend.close()
            }
        }
    }

    @Test("What a GOAWAY says was not begun goes again on a new connection, whatever the model")
    func goAwayBefore() throws {
        let scene = try Scene()
        let first = try scene.ask()
        try scene.answer(0)
        #expect(scene.ended(first)?.status == "0")
        let second = try scene.ask()
        try scene.act(0) { peer, _ in peer.goAway(last: 1) }
        #expect(scene.backend.connections.count == 2)
        try scene.answer(1)
        #expect(scene.ended(second)?.status == "0")
        try scene.end()
    }

    @Test("What a GOAWAY says may have begun waits for its answer there")
    func goAwayBehind() throws {
        let scene = try Scene()
        _ = try scene.ask()
        try scene.answer(0)
        let second = try scene.ask()
        try scene.act(0) { peer, id in peer.goAway(last: id) }
        #expect(scene.backend.connections.count == 1 && scene.ended(second) == nil)
        try scene.answer(0)
        #expect(scene.ended(second)?.status == "0")
        try scene.end()
    }

    @Test(
        "A kept connection that dies takes what may have begun with it, unless that is idempotent"
    )
    func lost() throws {
        for isIdempotent in [false, true] {
            let scene = try Scene(isIdempotent: isIdempotent, attempts: 0)
            _ = try scene.ask()
            try scene.answer(0)
            let second = try scene.ask()
            try scene.connection(0).close()
            try scene.world.pass(.milliseconds(20))
            #expect(scene.backend.connections.count == (isIdempotent ? 2 : 1))
            if isIdempotent { try scene.answer(1) }
            #expect(scene.ended(second)?.status == (isIdempotent ? "0" : "14"))
            #expect(scene.resets("backend", "connection_lost") == 1)
            try scene.end()
        }
    }

    @Test("A stream that was refused untouched goes again")
    func refusedStream() throws {
        let scene = try Scene()
        let id = try scene.ask()
        try scene.act(0) { peer, id in peer.reset(id, code: 7) }
        try scene.answer(0)
        #expect(scene.ended(id)?.status == "0" && scene.resets("backend", "refused_stream") == 1)
        try scene.end()
    }

    @Test("A reset of the backend's is told as the backend's")
    func resetByBackend() throws {
        let scene = try Scene()
        let id = try scene.ask()
        try scene.act(0) { peer, id in peer.reset(id, code: 2) }
        let ended = try #require(scene.ended(id))
        #expect(ended.status == "14" && ended.message.contains("the backend reset the request"))
        #expect(try scene.reason() == "backend_reset")
        #expect(scene.resets("backend", "internal_error") == 1)
        try scene.end()
    }

    @Test("A reset of ours is told as ours, with its reason")
    func resetByUs() throws {
        let scene = try Scene()
        let id = try scene.ask()
        try scene.act(0) { peer, id in
            // No status is text.
            peer.respond(id, [HeaderField(":status", "fine")])
        }
        let ended = try #require(scene.ended(id))
        #expect(ended.message.contains("the gateway reset its request to the backend"))
        #expect(ended.message.contains("it sent a malformed head"))
        #expect(try scene.reason() == "local_reset")
        #expect(scene.resets("gateway", "protocol_error") == 1)
        #expect(try scene.connection(0).peer.messages.values.contains { $0.resetCode == 1 })
        try scene.end()
    }

    @Test("A head that is too large is told as why we reset")
    func largeHead() throws {
        let scene = try Scene(maxHeaderBytes: 1_000)
        let id = try scene.ask()
        try scene.act(0) { peer, id in
            let long = HeaderField("x-long", String(repeating: "a", count: 2_000))
            peer.respond(id, [HeaderField(":status", "200"), long])
        }
        let ended = try #require(scene.ended(id))
        #expect(ended.status == "13")
        #expect(ended.message.contains("the gateway reset its request to the backend"))
        #expect(ended.message.contains("limits.maxHeaderBytes"))
        #expect(try scene.reason() == "local_reset")
        try scene.end()
    }

    @Test("Giving up at the deadline is counted as ours")
    func deadline() throws {
        let scene = try Scene()
        let id = try scene.ask()
        try scene.world.pass(.milliseconds(1_100))
        #expect(scene.ended(id)?.status == "4")
        #expect(try scene.reason() == "timeout")
        #expect(scene.resets("gateway", "timeout") == 1)
        #expect(try scene.connection(0).peer.messages.values.contains { $0.resetCode == 8 })
        try scene.end()
    }
}
