import SluiceEgress
import SluiceGateway
import SluiceSimulation
import SluiceTestKit
import Testing

// A trailer says nothing that its head mayn't: what the gateway strips from heads, or says itself, goes from
// trailers as well, over both versions of HTTP and both ways.
@Suite("Trailers under names of the gateway's")
struct TrailerTests {
    private static let stripped = [
        "x-forwarded-client-cert", "client-cert", "client-cert-chain", "x-forwarded-for",
        "x-forwarded-proto", "x-forwarded-host", "forwarded", "via", "x-sluice-mirror",
        "x-sluice-revision", "x-sluice-backend", "x-request-id", "traceparent", "authorization",
        "host", "cookie", "content-length", "grpc-timeout", "proxy-authorization",
    ]
    private static let body = #"{"instances":[1]}"#

    private struct Scene {
        let single: SingleBackendScene
        let backend: NghttpBackend

        init(fields: BackendFields? = nil) throws {
            single = try SingleBackendScene(.http2, grpc: true, fields: fields)
            backend = try NghttpBackend(loop: single.backend, on: SingleBackendScene.model)
        }

        /// The trailers of the request that the backend got, if it is whole.
        func received() throws -> [String] {
            let message = try #require(backend.connections.first?.peer.messages[1])
            #expect(message.isComplete)
            return (message.trailers ?? []).map(\.name)
        }

        /// Answers that request.
        func answer(_ head: [HeaderField], body: [UInt8], trailers: [HeaderField]) throws {
            let connection = try #require(backend.connections.first)
            connection.peer.respond(1, head, body: body, trailers: trailers)
            connection.say()
            try single.world.pass(.milliseconds(20))
        }
    }

    private static func chunked(_ trailers: [String]) -> String {
        "POST /v1/models/m:predict HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n"
            + "\(String(body.utf8.count, radix: 16))\r\n\(body)\r\n0\r\n"
            + trailers.map { "\($0): 1\r\n" }.joined() + "\r\n"
    }

    @Test("A caller's over HTTP/1.1 reach no backend, and others do", arguments: [[], ["x-sum"]])
    func http1(others: [String]) throws {
        let scene = try Scene()
        let peer = try RawPeer(
            loop: scene.single.client,
            to: SingleBackendScene.address,
            saying: Array(Self.chunked(Self.stripped + others).utf8)
        )
        try scene.single.world.pass(.milliseconds(20))
        #expect(try scene.received() == others)
        let names = ["x-sluice-backend", "x-request-id", "x-sluice-revision", "x-late"]
        try scene.answer(
            [HeaderField(":status", "200")],
            body: Array("{}".utf8),
            trailers: names.map { HeaderField($0, "spoofed") }
        )
        #expect(peer.text.hasSuffix("0\r\nx-late: spoofed\r\n\r\n"), "\(peer.text)")
        try scene.single.end {
            peer.close()
            scene.backend.close()
        }
    }

    @Test("What the configuration says to the backend no trailer says", arguments: [[], ["x-sum"]])
    func configured(others: [String]) throws {
        let scene = try Scene(fields: BackendFields([("x-tenant", "prod")]))
        let peer = try RawPeer(
            loop: scene.single.client,
            to: SingleBackendScene.address,
            saying: Array(Self.chunked(["x-tenant"] + others).utf8)
        )
        try scene.single.world.pass(.milliseconds(20))
        #expect(try scene.received() == others)
        let head = try #require(scene.backend.connections.first?.peer.messages[1]?.head)
        #expect(head.filter { $0.name == "x-tenant" }.map(\.value) == ["prod"])
        try scene.answer([HeaderField(":status", "200")], body: Array("{}".utf8), trailers: [])
        try scene.single.end {
            peer.close()
            scene.backend.close()
        }
    }

    @Test("A caller's over HTTP/2 reach no backend, and others do", arguments: [[], ["x-sum"]])
    func http2(others: [String]) throws {
        let scene = try Scene()
        let caller = try NghttpCaller(loop: scene.single.client, to: SingleBackendScene.address)
        let id = caller.ask(
            [
                (":method", "POST"), (":scheme", "http"), (":authority", "a"),
                (":path", "/v1/models/m:predict"), ("content-type", "application/json"),
            ],
            body: Array(Self.body.utf8),
            // nghttp2 sends no malformed `content-length`, and no `host` behind a body.
            trailers: (Self.stripped.filter { !["content-length", "host"].contains($0) } + others)
                .map { HeaderField($0, "1") }
        )
        try scene.single.world.pass(.milliseconds(20))
        #expect(try scene.received() == others)
        let interim = [":status": "103", "link": "</a>", "x-sluice-revision": "v9"]
            .map { HeaderField($0.key, $0.value) }
            .sorted { $0.name < $1.name }
        scene.backend.connections.first?.peer.interim(1, interim)
        try scene.answer(
            [HeaderField(":status", "200")],
            body: Array("{}".utf8),
            trailers: [HeaderField("x-sluice-backend", "spoofed")]
        )
        let message = try #require(caller.peer.messages[id])
        // Heads before the answer's are no other.
        #expect(message.interims.map { $0.map(\.name) } == [[":status", "link"]])
        #expect(message.isComplete && (message.trailers ?? []).isEmpty)
        try scene.single.end {
            caller.close()
            scene.backend.close()
        }
    }

    @Test("A gRPC backend's trailing metadata goes on, but for what is the gateway's")
    func grpc() throws {
        let scene = try Scene()
        let caller = try NghttpCaller(loop: scene.single.client, to: SingleBackendScene.address)
        let id = caller.ask(
            [
                (":method", "POST"), (":scheme", "http"), (":authority", "a"),
                (":path", "/inference.GRPCInferenceService/ModelInfer"),
                ("content-type", "application/grpc"), ("te", "trailers"),
            ],
            body: [0, 0, 0, 0, 3, 0x0A, 1, 0x6D]
        )
        try scene.single.world.pass(.milliseconds(20))
        #expect(try scene.received() == [])
        try scene.answer(
            [HeaderField(":status", "200"), HeaderField("content-type", "application/grpc")],
            body: [0, 0, 0, 0, 0],
            trailers: ["x-request-id", "x-sluice-revision", "grpc-status", "x-cost", "retry-after"]
                .map { HeaderField($0, "0") }
        )
        let message = try #require(caller.peer.messages[id])
        let names = (message.trailers ?? []).map(\.name)
        #expect(names == ["grpc-status", "x-cost", "retry-after"])
        try scene.single.end {
            caller.close()
            scene.backend.close()
        }
    }
}
