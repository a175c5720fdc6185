import SluiceBalancing
import SluiceCache
import SluiceEgress
import SluiceSimulation
import SluiceTestKit
import Testing

// A backend over HTTP/2 says what a request's head may count for (RFC 9113 §6.5.2); one that is larger is told so
// before it is sent.
@Suite("Heads larger than a backend takes")
struct HeadListTests {
    private final class Scene {
        let single: SingleBackendScene
        let backend: NghttpBackend
        let caller: NghttpCaller

        init(maximum: UInt32?, maxInFlight: Int = 0, cache: CachePolicy? = nil) throws {
            single = try SingleBackendScene(
                .http2,
                grpc: true,
                maxInFlight: maxInFlight,
                cache: cache
            )
            backend = try NghttpBackend(
                loop: single.backend,
                on: SingleBackendScene.model,
                settings: maximum.map { [(UInt32(6), $0)] } ?? []
            )
            caller = try NghttpCaller(loop: single.client, to: SingleBackendScene.address)
        }

        func ask(isGRPC: Bool, note: Int, row: Int = 0) throws -> Int32 {
            let id = caller.ask(
                [
                    (":method", "POST"), (":scheme", "http"), (":authority", "a"),
                    (
                        ":path",
                        isGRPC
                            ? "/inference.GRPCInferenceService/ModelInfer" : "/v1/models/m:predict"
                    ), ("content-type", isGRPC ? "application/grpc" : "application/json"),
                    ("te", "trailers"), ("x-note", String(repeating: "a", count: note)),
                ],
                body: isGRPC
                    ? [0, 0, 0, 0, 3, 0x0A, 1, 0x6D] : Array("{\"instances\":[\(row)]}".utf8)
            )
            try single.world.pass(.milliseconds(20))
            return id
        }

        /// Answers what came last, if that wasn't answered.
        func answer(_ isGRPC: Bool) throws {
            let connection = try #require(backend.connections.first)
            let id = try #require(connection.peer.order.last)
            var fields = [HeaderField(":status", "200")]
            if isGRPC {
                fields.append(HeaderField("content-type", "application/grpc"))
                fields.append(HeaderField("grpc-status", "0"))
            }
            connection.answer(id, fields)
            try single.world.pass(.milliseconds(20))
        }

        func heard(_ id: Int32, _ name: String) -> String? {
            caller.peer.messages[id]?.head.first { $0.name == name }?.value
        }

        /// What the head counted for with which the backend was asked last.
        func size() throws -> Int {
            let peer = try #require(backend.connections.first?.peer)
            let head = try #require(peer.order.last.flatMap { peer.messages[$0]?.head })
            return head.reduce(0) { $0 + $1.name.utf8.count + $1.value.utf8.count + 32 }
        }

        var asked: Int { backend.connections.reduce(0) { $0 + $1.peer.order.count } }

        func end() throws {
            try single.end {
                caller.close()
                backend.close()
            }
        }
    }

    @Test(
        "It is told before it is sent, to the byte, and counts against no backend",
        arguments: [false, true]
    )
    func refused(isGRPC: Bool) throws {
        let maximum = 2_000
        let scene = try Scene(maximum: UInt32(maximum))
        _ = try scene.ask(isGRPC: isGRPC, note: 0)
        try scene.answer(isGRPC)
        let room = maximum - (try scene.size())
        for _ in 0..<3 {
            let good = try scene.ask(isGRPC: isGRPC, note: room)
            #expect(try scene.size() == maximum)
            try scene.answer(isGRPC)
            #expect(scene.heard(good, ":status") == "200")
            let asked = scene.asked
            let bad = try scene.ask(isGRPC: isGRPC, note: room + 1)
            #expect(scene.asked == asked)
            let message = try #require(scene.caller.peer.messages[bad])
            let sentence =
                isGRPC
                ? scene.heard(bad, "grpc-message") ?? ""
                : String(decoding: message.body, as: UTF8.self)
            #expect(scene.heard(bad, isGRPC ? "grpc-status" : ":status") == (isGRPC ? "8" : "431"))
            #expect(sentence.contains("2001 bytes") && sentence.contains("takes 2000"))
        }
        #expect(scene.single.load.failures == .clean && scene.single.load.health == .up)
        #expect(try scene.single.reason() == "too_large")
        try scene.end()
    }

    @Test("It concerns its caller alone: one that waits for the same makes the call")
    func follower() throws {
        let scene = try Scene(
            maximum: 2_000,
            maxInFlight: 1,
            cache: CachePolicy(timeToLive: .seconds(60))
        )
        // The backend has one place, and somebody has it.
        let first = try scene.ask(isGRPC: false, note: 0, row: 1)
        let leader = try scene.ask(isGRPC: false, note: 5_000, row: 2)
        let follower = try scene.ask(isGRPC: false, note: 0, row: 2)
        #expect(scene.asked == 1)
        try scene.answer(false)
        #expect(scene.heard(first, ":status") == "200")
        #expect(scene.heard(leader, ":status") == "431")
        #expect(scene.asked == 2, "the follower's own")
        try scene.answer(false)
        #expect(scene.heard(follower, ":status") == "200")
        try scene.end()
    }

    @Test("Without the setting nothing is refused")
    func unlimited() throws {
        let scene = try Scene(maximum: nil)
        for note in [0, 20_000, 20_000] {
            let id = try scene.ask(isGRPC: true, note: note)
            try scene.answer(true)
            #expect(scene.heard(id, "grpc-status") == "0")
        }
        try scene.end()
    }
}
