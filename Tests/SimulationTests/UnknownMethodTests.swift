import SluiceCore
import SluiceIO
import SluiceSimulation
import SluiceTestKit
import Testing

@Suite("gRPC paths that aren't ours")
struct UnknownMethodTests {
    /// A path, a content type, and what it is answered: a gRPC status, or an HTTP status.
    struct Call: Sendable {
        let path: String
        let type: String?
        let grpc: String?
        let http: String
    }

    private static let paths = [
        "/acme.Billing/Charge", "/grpc.health.v1.Health/Charge", "/grpc.acme.Health/Check",
        "/inference.GRPCInferenceService/Charge", "/inference.Other/ModelInfer", "/Charge",
        "/v2/models/nothing/here/at/all",
    ]
    private static let types = [
        "application/grpc", "application/grpc+proto", "application/grpc+json",
        "application/grpc;charset=utf-8", "application/grpc; charset=utf-8",
    ]

    static let calls: [Call] =
        paths.flatMap { path in
            types.map { Call(path: path, type: $0, grpc: "12", http: "200") }
        }
        + ["application/json", "application/grpcx", "application/grp", "text/plain", nil].map {
            Call(path: "/acme.Billing/Charge", type: $0, grpc: nil, http: "404")
        }

    @Test("A gRPC caller hears UNIMPLEMENTED and the path, any other 404", arguments: calls)
    func unknown(_ call: Call) throws {
        let scene = try JudgedScene()
        let caller = try NghttpCaller(loop: scene.client, to: JudgedScene.address)
        var fields = [
            (":method", "POST"), (":scheme", "http"), (":authority", "a"), (":path", call.path),
        ]
        if let type = call.type { fields.append(("content-type", type)) }
        let id = caller.ask(fields, body: [0, 0, 0, 0, 0])
        try scene.world.pass(.milliseconds(50))
        let message = try #require(caller.peer.messages[id])
        func value(_ name: String) -> String? { message.head.first { $0.name == name }?.value }
        #expect(message.isComplete && value(":status") == call.http)
        #expect(value("grpc-status") == call.grpc)
        if call.grpc != nil {
            #expect(value("content-type")?.hasPrefix("application/grpc") == true)
            #expect(value("grpc-message")?.contains(call.path) == true)
        }
        caller.close()
        try scene.end()
    }
}
