import SluiceBalancing
import SluiceGateway
import SluiceTestKit
import Testing

/// A path before ours and fields of our own belong to one backend: a copy for another has nothing of them.
@Suite("Paths and fields of one backend", .timeLimit(.minutes(2)))
struct BackendFieldsTests {
    /// The first and the last of three backends have a path and a key, the one between has neither.
    private static func scene(_ call: EchoCall, delay: Duration) throws -> HedgeScene {
        try HedgeScene(
            [.silent, .silent, .silent],
            calls: [call],
            delay: delay,
            maxAttempts: 3,
            { $0.retry.attempts = 2 },
            adjustBackends: { plans in
                for (number, key) in [(0, "first"), (2, "third")] {
                    plans[number].rest?.basePath = "/\(key)/base"
                    plans[number].fields = BackendFields([
                        ("authorization", "Bearer \(key)"), ("x-\(key)", "yes"),
                    ])
                }
            }
        )
    }

    private static func call(_ kind: EchoCall.Kind) -> EchoCall {
        EchoCall(id: "a", kind: kind, payload: [1, 2, 3, 4], messageCount: 1)
    }

    private static func check(_ scene: HedgeScene, path: String, isGRPC: Bool) {
        let heads = scene.silent.map { $0.connections.first?.peer.messages[1]?.head ?? [] }
        func values(_ name: String) -> [[String]] {
            heads.map { head in head.filter { $0.name == name }.map(\.value) }
        }
        #expect(values("authorization") == [["Bearer first"], [], ["Bearer third"]])
        #expect(values("x-first") == [["yes"], [], []] && values("x-third") == [[], [], ["yes"]])
        let paths =
            isGRPC ? [path, path, path] : ["/first/base" + path, path, "/third/base" + path]
        #expect(values(":path") == paths.map { [$0] })
        let bodies = scene.silent.map { $0.connections.first?.peer.messages[1]?.body }
        #expect(bodies[0]?.isEmpty == false && Set(bodies).count == 1)
    }

    private static let kinds: [(EchoCall.Kind, String)] = [
        (.v1, "/v1/models/echo:predict"), (.v2, "/v2/models/echo/infer"),
        (.grpc, "/inference.GRPCInferenceService/ModelInfer"),
    ]

    @Test("Copies of a request have those of their own backend", arguments: kinds.indices)
    func hedged(row: Int) throws {
        let (kind, path) = Self.kinds[row]
        let scene = try Self.scene(Self.call(kind), delay: .milliseconds(50))
        try scene.run()
        Self.check(scene, path: path, isGRPC: kind.isGRPC)
        #expect(try scene.close() == [])
    }
}
