import SluiceBalancing
import SluiceCore
import SluiceGateway
import SluiceIO
import SluiceIngress
import SluiceSimulation
import SluiceTelemetry
import SluiceTestKit
import Testing

// What a caller sends, leaves out, or takes its time over must count against no backend: not for
// ejection, nor for a rollout, nor for learnt concurrency, nor in the retries' budget. What the backend
// does by itself must.
@Suite("Hostile callers")
struct HostileCallerTests {
    private static let rounds = 6

    // MARK: - HTTP/1.1

    /// A caller over HTTP/1.1: what it says when, and the status that it gets.
    struct Caller: Sendable, CustomTestStringConvertible {
        let name: String
        var fragments: [String]
        var pause = Duration.milliseconds(5)
        /// How long it doesn't read, behind its last piece.
        var deafness = Duration.zero
        /// When it leaves, behind its last piece.
        var progressTimeout = Duration.milliseconds(1_200)
        /// Nil where it doesn't hear any.
        var status: Int?
        /// A part of the sentence that it hears.
        var said = ""
        var testDescription: String { name }

        init(_ name: String, _ fragments: [String], status: Int?) {
            (self.name, self.fragments, self.status) = (name, fragments, status)
        }

        func with(_ change: (inout Caller) -> Void) -> Caller {
            var caller = self
            change(&caller)
            return caller
        }
    }

    private static let v1 = "/v1/models/m:predict"
    private static let v2 = "/v2/models/m/infer"
    private static let good1 = "{\"instances\":[[1]]}"
    private static let good2 =
        "{\"inputs\":[{\"name\":\"x\",\"shape\":[1],\"datatype\":\"FP32\",\"data\":[1]}]}"
    private static let misfit =
        "{\"inputs\":[{\"name\":\"x\",\"shape\":[2,2],\"datatype\":\"FP32\",\"data\":[1,2,3]}]}"

    private static func head(_ path: String, _ act: String, _ count: Int) -> String {
        "POST \(path) HTTP/1.1\r\nhost: a\r\nx-act: \(act)\r\ncontent-length: \(count)\r\n\r\n"
    }

    private static func post(_ path: String, _ act: String, _ body: String) -> String {
        head(path, act, body.utf8.count) + body
    }

    private static func get(_ path: String, _ act: String) -> String {
        "GET \(path) HTTP/1.1\r\nhost: a\r\nx-act: \(act)\r\n\r\n"
    }

    private static func bad(_ path: String, _ act: String, _ body: String, _ said: String) -> Caller
    {
        Caller("\(path) \(act) \(body.prefix(40))", [post(path, act, body)], status: 400)
            .with { $0.said = said }
    }

    static let malformedCallers: [Caller] = [
        bad(v1, "500", "{\"instances\": [1,", "at byte 17 (line 1, column 18)"),
        bad(v1, "500", "", "a value is missing at byte 0"),
        bad(v1, "500", "{\"instances\": 5}", "must be a list"),
        bad(v1, "503", "[", "not JSON"),
        bad(v1, "early-500", "{\"instances\"", "not JSON").with { $0.status = nil },
        bad(v2, "500", "{\"inputs\": [}", "at byte 12"),
        bad(v2, "500", misfit, "has 3 elements where shape [2, 2] takes 4"),
        bad(v2, "502", misfit, "inputs[0].data"),
        bad(v2, "reset", misfit, "has 3 elements"),
        bad(v2, "hang", misfit, "has 3 elements"),
        bad("/v2/models/m/generate", "500", "{\"text_input\":", "not JSON"),
        Caller("in pieces", [head(v2, "500", 12), "{\"inputs\"", ": ["], status: 400)
            .with { $0.said = "at byte 12" },
        Caller(
            "in chunks",
            [
                "POST \(v1) HTTP/1.1\r\nhost: a\r\nx-act: 500\r\ntransfer-encoding: chunked\r\n\r\n",
                "5\r\n{\"ins\r\n", "0\r\n\r\n",
            ],
            status: 400
        ),
        coded("identity", "{\"instances\": [1,", 400).with { $0.said = "at byte 17" },
        coded("Identity , ", "{\"instances\": [1,", 400),
        Caller("in a long body", [post(v1, "500", long)], status: 400).with {
            $0.said = "at byte 27015"
        },
    ]

    private static func coded(_ coding: String, _ body: String, _ status: Int) -> Caller {
        Caller(
            "coded as '\(coding)'",
            [
                "POST \(v1) HTTP/1.1\r\nhost: a\r\nx-act: 500\r\ncontent-encoding: \(coding)\r\ncontent-length: \(body.utf8.count)\r\n\r\n\(body)"
            ],
            status: status
        )
    }

    // Too long to lie beside its request's record.
    private static let long = "{\"instances\": [" + String(repeating: "1, ", count: 9_000) + "}"

    static let slowCallers: [Caller] = [
        Caller("an upload in time", upload(good2, "200"), status: 200).with {
            $0.pause = .milliseconds(150)
        },
        Caller("an upload too slow", upload(good2, "200"), status: 504).with {
            $0.pause = .milliseconds(300)
        },
        Caller("an upload that takes most of the time", upload(good2, "hang"), status: 504).with {
            $0.pause = .milliseconds(180)
        },
        Caller(
            "an upload that the backend waits no longer for",
            upload(good2, "early-408"),
            status: nil
        ),
        Caller("an upload that is never finished", [head(v2, "200", 50), "{"], status: nil).with {
            $0.progressTimeout = .milliseconds(300)
        },
        Caller("leaving at once", [post(v2, "hang", good2)], status: nil).with {
            $0.progressTimeout = .milliseconds(1)
        },
        Caller("leaving late", [post(v2, "hang", good2)], status: nil).with {
            $0.progressTimeout = .milliseconds(980)
        },
        Caller("reading late", [post(v2, "large", good2)], status: 200).with {
            $0.deafness = .milliseconds(800)
        },
        Caller("reading never", [post(v2, "large", good2)], status: 200).with {
            $0.deafness = .milliseconds(1_100)
        },
    ]

    private static func upload(_ body: String, _ act: String) -> [String] {
        let size = body.utf8.count / 4
        return [head(v2, act, body.utf8.count), String(body.prefix(size))]
            + [
                String(body.dropFirst(size).prefix(size)),
                String(body.dropFirst(2 * size).prefix(size)),
            ]
            + [String(body.dropFirst(3 * size))]
    }

    static let askingCallers: [Caller] = [
        Caller(
            "another version",
            [post("/v2/models/m/versions/9/infer", "404", good2)],
            status: 404
        ),
        Caller(
            "another version, V1",
            [post("/v1/models/m/versions/9:predict", "404", good1)],
            status: 404
        ),
        Caller("an explanation", [post("/v1/models/m:explain", "404", good1)], status: 404),
        Caller(
            "text",
            [post("/v2/models/m/generate", "501", "{\"text_input\":\"a\"}")],
            status: 501
        ),
        Caller("a configuration", [get("/v2/models/m/config", "404")], status: 404),
        Caller("statistics", [get("/v2/models/m/stats?verbose=%00", "404")], status: 404),
        Caller("too much", [post(v2, "413", good2)], status: 413),
        Caller("with too long a head", [post(v2, "431", good2)], status: 431),
    ]

    static let honestCallers: [Caller] = [
        Caller("500", [post(v2, "500", good2)], status: 500),
        Caller("500, V1", [post(v1, "500", good1)], status: 500),
        Caller("503", [post(v2, "503", good2)], status: 503),
        Caller("a reset", [post(v2, "reset", good2)], status: 502),
        Caller("silence", [post(v2, "hang", good2)], status: 504),
        Caller("an unknown model", [post(v2, "404", good2)], status: 404),
        // What is coded isn't looked at, in one that is read here or not.
        coded("gzip", "{\"instances\": [1,", 500),
        coded("identity, br", "{\"instances\": [1,", 500),
        // A server of its own kind may take these, and says that it can't serve, or nothing.
        Caller("503 to rows of another name", [post(v1, "503", "{\"rows\":[]}")], status: 503),
        Caller("a reset of a bare list", [post(v1, "reset", "[1]")], status: 502),
        Caller(
            "500 to what isn't JSON",
            [
                "POST \(v1) HTTP/1.1\r\nhost: a\r\nx-act: 500\r\ncontent-type: image/png\r\ncontent-length: 3\r\n\r\nPNG"
            ],
            status: 500
        ),
    ]

    @Test(
        "A request that isn't well-formed is told so, and counts against no backend",
        arguments: malformedCallers
    )
    func malformed(_ caller: Caller) throws { try expectNothing(of: caller) }

    @Test("A caller that takes its time counts against no backend", arguments: slowCallers)
    func slow(_ caller: Caller) throws { try expectNothing(of: caller) }

    @Test(
        "A caller that asks for what isn't there counts against no backend",
        arguments: askingCallers
    )
    func asking(_ caller: Caller) throws { try expectNothing(of: caller) }

    @Test("A backend's own failures are passed on and counted", arguments: honestCallers)
    func honest(_ caller: Caller) throws {
        let scene = try JudgedScene()
        for _ in 0..<Self.rounds { try play(caller, in: scene) }
        #expect(scene.answers.failures == UInt64(Self.rounds) && scene.answers.clientFaults == 0)
        try scene.end()
    }

    @Test("What a model has been seen to do counts as a failure when its canary can't")
    func served() throws {
        let scene = try JudgedScene()
        let path = "/v1/models/m:explain"
        try play(Caller("seen", [Self.post(path, "200", Self.good1)], status: 200), in: scene)
        try play(Caller("missing", [Self.post(path, "404", Self.good1)], status: 404), in: scene)
        #expect(scene.answers.failures == 1)
        try scene.end()
    }

    @Test("A connection that brought the answer to a malformed request is used again")
    func connections() throws {
        let scene = try JudgedScene()
        for _ in 0..<Self.rounds { try play(Self.malformedCallers[0], in: scene) }
        let opened = scene.backend.events.count {
            if case .openedHTTP1 = $0 { true } else { false }
        }
        #expect(scene.backend.requestCount == Self.rounds && opened == 1)
        try scene.end()
    }

    @Test(
        "A retried model's malformed request goes out once, whatever fails",
        arguments: ["500", "503", "reset"]
    )
    func retries(act: String) throws {
        let scene = try JudgedScene {
            $0.retry.isIdempotent = true
            $0.retry.tryTimeout = .milliseconds(300)
        }
        try play(Self.bad(Self.v2, act, Self.misfit, "has 3 elements"), in: scene)
        #expect(scene.charges.isEmpty, "\(scene.charges.joined(separator: "; "))")
        #expect(scene.backend.requestCount == 1)
        // The try's time runs while the backend has all of the request, and not before.
        try play(Self.slowCallers[0], in: scene)
        #expect(scene.charges.isEmpty, "\(scene.charges.joined(separator: "; "))")
        try scene.end()
    }

    private func expectNothing(of caller: Caller) throws {
        let scene = try JudgedScene()
        for _ in 0..<Self.rounds { try play(caller, in: scene) }
        #expect(scene.charges.isEmpty, "\(scene.charges.joined(separator: "; "))")
        #expect(scene.backend.requestCount > 0)
        try scene.end()
    }

    private func play(_ caller: Caller, in scene: JudgedScene) throws {
        let peer = try RawPeer(
            loop: scene.client,
            to: JudgedScene.address,
            saying: Array((caller.fragments.first ?? "").utf8)
        )
        for fragment in caller.fragments.dropFirst() {
            try scene.world.pass(caller.pause)
            peer.say(Array(fragment.utf8))
        }
        if caller.deafness > .zero {
            peer.setReading(false)
            try scene.world.pass(caller.deafness)
            peer.setReading(true)
        }
        try scene.world.pass(caller.progressTimeout)
        if let status = caller.status {
            #expect(peer.text.hasPrefix("HTTP/1.1 \(status) "), "\(peer.text.prefix(300))")
            #expect(peer.text.contains(caller.said), "\(peer.text.prefix(600))")
        }
        peer.close()
        try scene.world.pass(.milliseconds(5))
    }

    // MARK: - HTTP/2 and gRPC

    /// A caller over HTTP/2, and the gRPC status that it gets.
    struct GRPCCaller: Sendable, CustomTestStringConvertible {
        let act: String
        var method = "ModelInfer"
        var version = ""
        var rawBytes = 8
        var timeout: String?
        var leaves = false
        let status: Int?
        var testDescription: String { "\(method) \(act) \(rawBytes) \(timeout ?? "")" }

        var message: [UInt8] {
            let tensor: [UInt8] = [0x0A, 1, 0x78, 0x12, 4] + Array("FP32".utf8) + [0x1A, 1, 2]
            var message: [UInt8] = [0x0A, 1, 0x6D]
            if !version.isEmpty { message += [0x12, UInt8(version.utf8.count)] + version.utf8 }
            if method == "ModelInfer" {
                message += [0x2A, UInt8(tensor.count)] + tensor
                message += [0x3A, UInt8(rawBytes)] + [UInt8](repeating: 0, count: rawBytes)
            }
            return [0, 0, 0, 0, UInt8(message.count)] + message
        }
    }

    static let grpcCallers: [GRPCCaller] = [
        GRPCCaller(act: "grpc-13", rawBytes: 4, status: 3),
        GRPCCaller(act: "grpc-2", rawBytes: 12, status: 3),
        GRPCCaller(act: "grpc-14", rawBytes: 4, status: 3),
        GRPCCaller(act: "reset", rawBytes: 4, status: 3),
        GRPCCaller(act: "hang", rawBytes: 4, status: 3),
        GRPCCaller(act: "too-large", status: 8),
        GRPCCaller(act: "grpc-5", version: "9", status: 5),
        GRPCCaller(act: "grpc-12", method: "ModelConfig", status: 12),
        GRPCCaller(act: "hang", timeout: "100m", status: 4),
        GRPCCaller(act: "hang", timeout: "800m", status: 4),
        GRPCCaller(act: "grpc-4", timeout: "100m", status: 4),
        GRPCCaller(act: "hang", timeout: "1n", status: 4),
        GRPCCaller(act: "hang", leaves: true, status: nil),
    ]

    static let honestGRPCCallers: [GRPCCaller] = [
        GRPCCaller(act: "grpc-13", status: 13),
        GRPCCaller(act: "grpc-8", status: 8),
        GRPCCaller(act: "grpc-5", status: 5),
        GRPCCaller(act: "hang", status: 4),
        GRPCCaller(act: "hang", timeout: "5S", status: 4),
        GRPCCaller(act: "reset", status: 14),
    ]

    @Test("The same over gRPC: nothing that a caller asks for counts", arguments: grpcCallers)
    func grpc(_ caller: GRPCCaller) throws {
        let scene = try JudgedScene()
        for _ in 0..<Self.rounds { try play(caller, in: scene) }
        #expect(scene.charges.isEmpty, "\(scene.charges.joined(separator: "; "))")
        try scene.end()
    }

    @Test("A gRPC backend's own failures are passed on and counted", arguments: honestGRPCCallers)
    func honestGRPC(_ caller: GRPCCaller) throws {
        let scene = try JudgedScene()
        for _ in 0..<Self.rounds { try play(caller, in: scene) }
        #expect(scene.answers.failures == UInt64(Self.rounds) && scene.answers.clientFaults == 0)
        try scene.end()
    }

    private func play(_ caller: GRPCCaller, in scene: JudgedScene) throws {
        let peer = try NghttpCaller(loop: scene.client, to: JudgedScene.address)
        var fields = [
            (":method", "POST"), (":scheme", "http"), (":authority", "a"),
            (":path", "/inference.GRPCInferenceService/\(caller.method)"),
            ("content-type", "application/grpc"), ("te", "trailers"), ("x-act", caller.act),
        ]
        if let timeout = caller.timeout { fields.append(("grpc-timeout", timeout)) }
        let id = peer.ask(fields, body: caller.message)
        try scene.world.pass(.milliseconds(100))
        if caller.leaves { peer.reset(id) }
        try scene.world.pass(.milliseconds(1_100))
        if let status = caller.status {
            let message = try #require(peer.peer.messages[id])
            let found = (message.head + (message.trailers ?? [])).first { $0.name == "grpc-status" }
            #expect(found?.value == "\(status)", "\(message.head)")
        }
        peer.close()
        try scene.world.pass(.milliseconds(5))
    }

    @Test("A window that is never opened counts against no backend", arguments: [false, true])
    func closedWindow(isHTTP2: Bool) throws {
        let scene = try JudgedScene(isHTTP2: isHTTP2)
        for _ in 0..<Self.rounds {
            let peer = try NghttpCaller(loop: scene.client, to: JudgedScene.address, window: 0)
            let fields = [
                (":method", "POST"), (":scheme", "http"), (":authority", "a"), (":path", Self.v2),
                ("content-type", "application/json"), ("x-act", "large"),
            ]
            let id = peer.ask(fields, body: Array(Self.good2.utf8))
            try scene.world.pass(.milliseconds(1_100))
            let heard = peer.peer.messages[id]
            #expect(heard?.resetCode != nil, "\(String(describing: heard))")
            peer.close()
        }
        #expect(scene.charges.isEmpty, "\(scene.charges.joined(separator: "; "))")
        try scene.end()
    }
}
