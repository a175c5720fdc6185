import SluiceBalancing
import SluiceCore
import SluiceEgress
import SluiceGateway
import SluiceIO
import SluiceInference
import SluiceSimulation
import Testing

@Suite("What a probe says of a backend")
struct ProbeReasonTests {
    /// A probe, what it asks, and what it tells.
    private final class Scene {
        static let address = SocketAddress.loopback(port: 9_000)
        let world = World(seed: 3)
        let board = BackendLoads()
        let note = HealthNote()
        let readiness = GatewayReadiness()
        let load: BackendLoad
        let probe: HealthProbe
        private let server: EventLoop
        private var answerer: Answerer?

        init(
            _ reply: Answerer.Reply?,
            delay: Duration? = nil,
            isGRPC: Bool = false,
            path: String = "/v2/health/ready",
            pathV1: String? = "/v1/models/m",
            metadata: MetadataPlan? = nil
        ) throws {
            load = board.add()
            let log = Log()
            server = world.makeLoop(name: "backend").loop
            probe = HealthProbe(
                loop: world.makeLoop(name: "probe").loop,
                readiness: readiness,
                complain: { log.lines.append($0.reason) },
                learned: { log.lessons += 1 }
            )
            self.log = log
            if let reply {
                answerer = try Answerer(loop: server, on: Scene.address, reply: reply, delay: delay)
            }
            let target = BackendTarget(
                key: "b",
                endpoint: Endpoint(
                    address: Scene.address,
                    httpVersion: isGRPC ? .http2 : .http1,
                    tls: nil,
                    serverName: "b"
                ),
                authority: "b"
            )
            let plan = BackendPlan(
                label: "b",
                rest: isGRPC ? nil : target,
                grpc: isGRPC ? target : nil,
                load: load,
                note: note,
                probePath: path,
                probePathV1: pathV1,
                probeInterval: .seconds(1),
                probeTimeout: .milliseconds(1_500),
                metadata: metadata
            )
            probe.watch(.single(plan))
        }

        private final class Log {
            var lines: [String?] = []
            var lessons = 0
        }
        private let log: Log

        var lines: [String?] { log.lines }
        /// How often it was told that backends are something else.
        var lessons: Int { log.lessons }
        var paths: [String] { answerer?.paths ?? [] }

        func use(_ reply: Answerer.Reply) { answerer?.reply = reply }

        func pass(_ duration: Duration = .seconds(10)) throws { try world.pass(duration) }

        func close() throws {
            probe.close()
            answerer?.close()
            world.tickAll()
            try world.pass(.seconds(3))
            #expect(world.network.violations.isEmpty)
        }
    }

    @Test("Nothing that is there says why, once, and says when it is well again")
    func told() throws {
        let scene = try Scene(.paths([:]))
        try scene.pass()
        let reason = "GET /v2/health/ready: 404; GET /v1/models/m: 404"
        #expect(scene.load.health == .down && scene.note.reason == reason)
        #expect(scene.lines == [reason])
        scene.use(.paths(["/v2/health/ready": ""]))
        try scene.pass()
        #expect(scene.load.health == .up && scene.note.reason == nil)
        #expect(scene.lines == [reason, nil])
        scene.use(.failure)
        try scene.pass()
        #expect(scene.note.reason == "GET /v2/health/ready: 500" && scene.lines.count == 3)
        try scene.close()
    }

    @Test("Connecting, waiting and gRPC have reasons of their own")
    func reasons() throws {
        let absent = try Scene(nil)
        try absent.pass()
        #expect(absent.note.reason?.hasPrefix("connect: ") == true)
        let late = try Scene(.hello, delay: .seconds(60))
        try late.pass()
        #expect(late.note.reason == "GET /v2/health/ready: timed out after 1500ms")
        let half = try Scene(.half)
        try half.pass()
        #expect(half.note.reason?.hasPrefix("GET /v2/health/ready: the connection") == true)
        let grpc = try Scene(.failure, isGRPC: true)
        try grpc.pass()
        #expect(grpc.note.reason == "ServerReady: INTERNAL")
        for scene in [absent, late, half, grpc] { try scene.close() }
    }

    @Test("A V1 server is asked in V1's way, and goes on being asked so")
    func v1() throws {
        let scene = try Scene(.paths(["/v1/models/m": #"{"name":"m","ready":true}"#]))
        try scene.pass()
        #expect(scene.load.health == .up && scene.note.reason == nil)
        #expect(scene.paths.count { $0 == "/v2/health/ready" } == 1)
        scene.use(.paths(["/v1/models/m": #"{"name":"m","ready":false}"#]))
        try scene.pass()
        #expect(scene.load.health == .down)
        #expect(scene.note.reason == "GET /v1/models/m: not ready")
        #expect(scene.lines == ["GET /v1/models/m: not ready"])
        // One that has learnt V2 meanwhile, as after an update, is asked for that again.
        scene.use(.paths(["/v2/health/ready": ""]))
        try scene.pass()
        #expect(scene.load.health == .up && scene.paths.last == "/v2/health/ready")
        try scene.close()
    }

    @Test(
        "TensorFlow Serving is ready when a version is available",
        arguments: [
            (#"[{"version":"1","state":"END"},{"version":"2","state":"AVAILABLE"}]"#, true),
            (#"[{"version":"1","state":"LOADING"}]"#, false),
        ]
    )
    func versions(states: String, isReady: Bool) throws {
        let scene = try Scene(.paths(["/v1/models/m": #"{"model_version_status":\#(states)}"#]))
        try scene.pass()
        #expect(scene.load.health == (isReady ? .up : .down))
        #expect((scene.note.reason == nil) == isReady)
        try scene.close()
    }

    @Test("A path that was asked for is the only one, and its query is told to nobody")
    func configured() throws {
        let scene = try Scene(.paths([:]), path: "/health?key=secret", pathV1: nil)
        try scene.pass()
        #expect(scene.note.reason == "GET /health: 404")
        #expect(Set(scene.paths) == ["/health?key=secret"])
        try scene.close()
    }

    @Test("A server that has nothing but a prediction in V1's way is ready when it says so by 405")
    func predictionOnly() throws {
        let scene = try Scene(.methods(["/v1/models/m:predict"]))
        try scene.pass()
        #expect(scene.load.health == .up && scene.note.reason == nil)
        // It goes on being asked so.
        #expect(scene.paths.count { $0 == "/v2/health/ready" } == 1)
        #expect(scene.paths.suffix(2) == ["/v1/models/m:predict", "/v1/models/m:predict"])
        try scene.close()
    }

    // MARK: - What a backend is

    private func metadata(
        _ runtimes: RuntimeSlot?,
        _ runtime: Runtime = Runtime(.generic)
    )
        -> MetadataPlan
    {
        MetadataPlan(
            modelName: "m",
            slot: SignatureSlot(),
            runtime: runtime,
            runtimes: runtimes
        )
    }

    @Test("A backend that comes up is asked once what it is, before the gateway is ready")
    func learnt() throws {
        let runtimes = RuntimeSlot()
        let plan = metadata(runtimes)
        let server = [
            "/v2/health/ready": "", "/v2": #"{"name":"mlserver","version":"1","extensions":[]}"#,
            "/v2/models/m": #"{"name":"m","inputs":[{"name":"x","datatype":"FP32","shape":[-1]}]}"#,
        ]
        let scene = try Scene(.paths(server), metadata: plan)
        try scene.pass()
        #expect(runtimes.runtime == Runtime(.mlserver) && scene.lessons == 1)
        #expect(plan.slot.signature?.inputs.first?.name == "x")
        #expect(scene.paths.count { $0 == "/v2" } == 1)
        #expect(scene.paths.count { $0 == "/v2/models/m" } == 1)
        // What was told has to be in force first.
        #expect(!scene.readiness.isProbed)
        scene.probe.takenOver()
        try scene.pass()
        #expect(scene.readiness.isProbed && scene.lessons == 1)
        // One that was away may be another by now.
        scene.use(.failure)
        try scene.pass()
        scene.use(
            .paths([
                "/v2/health/ready": "", "/v2": #"{"name":"triton","extensions":[]}"#,
                "/v2/models/m": "{}",
            ])
        )
        try scene.pass()
        #expect(runtimes.runtime == Runtime(.triton) && scene.lessons == 2)
        // Where there was no time for it, it is told again.
        scene.probe.takenOver(isToRetry: true)
        try scene.pass(.seconds(2))
        #expect(scene.lessons == 3)
        #expect(scene.paths.count { $0 == "/v2" } == 2)
        try scene.close()
    }

    @Test("What doesn't tell holds nothing up, and is asked again")
    func silent() throws {
        let runtimes = RuntimeSlot()
        let scene = try Scene(
            .paths(["/v2/health/ready": "", "/v2": "500"]),
            metadata: metadata(runtimes)
        )
        scene.use(.statuses(["/v2/health/ready": 200, "/v2": 500]))
        try scene.pass()
        #expect(scene.load.health == .up && scene.readiness.isProbed)
        #expect(runtimes.runtime == nil && scene.lessons == 0)
        let asked = scene.paths.count { $0 == "/v2" }
        #expect(asked == 3)
        // Less and less often: what it answers is in its log.
        try scene.pass(.seconds(100))
        #expect((asked + 3...asked + 4).contains(scene.paths.count { $0 == "/v2" }))
        try scene.close()
    }

    @Test("An operator's word is not asked about")
    func configuredDialect() throws {
        let plan = metadata(nil, Runtime(.tfserving))
        let scene = try Scene(
            .paths(["/v1/models/m": #"{"model_version_status":[]}"#]),
            metadata: plan
        )
        try scene.pass()
        #expect(scene.load.health == .up && scene.readiness.isProbed && scene.lessons == 0)
        #expect(!scene.paths.contains("/v2"))
        // It has no metadata, which is found out once.
        #expect(scene.paths.count { $0 == "/v1/models/m/metadata" } == 1)
        try scene.close()
    }
}
