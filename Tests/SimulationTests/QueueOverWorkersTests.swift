import SluiceBalancing
import SluiceCore
import SluiceEgress
import SluiceGateway
import SluiceIO
import SluiceIngress
import SluiceRouting
import SluiceSampleModels
import SluiceSimulation
import SluiceTelemetry
import Testing

/// Workers share a revision's queue: a place that one of them gives back may be another's next.
@Suite("The queue over workers")
struct QueueOverWorkersTests {
    @Test(
        "A place that falls free at one worker goes to a request that waits at another, without a cache"
    )
    func grantToPeer() throws {
        let world = World(seed: 5)
        let backendAddress = SocketAddress.loopback(port: 9_001)
        var options = SampleServerOptions()
        options.delay = .milliseconds(50)
        let server = SampleServer(
            loop: world.makeLoop(name: "backend").loop,
            service: SampleService(models: [RecordingModel()], version: "1"),
            options: options,
            seed: 1
        )
        _ = try server.listen(on: backendAddress)
        let loads = BackendLoads()
        let snapshot = snapshot(of: backendAddress, loads.add())
        let mailboxes = WorkerMailboxes()
        let workers = (0..<2).map { number in
            Worker(
                loop: world.makeLoop(name: "worker-\(number)").loop,
                number: number,
                shared: .simulated(mailboxes: mailboxes)
            )
        }
        mailboxes.register(workers.map { (worker: Confined($0), loop: $0.loop.handle) })
        // The second one's request comes while the first one's has the only place.
        let clients = try workers.enumerated().map { number, worker in
            let address = SocketAddress.loopback(port: UInt16(8_080 + number))
            _ = try worker.listen(on: address, name: "main", tls: nil, limits: IngressLimits())
            worker.publish(snapshot)
            let call = EchoCall(id: "call-\(number)", kind: .v1, payload: [1], messageCount: 1)
            call.start = Int64(number) * 10_000_000
            return EchoClient(
                loop: world.makeLoop(name: "client-\(number)").loop,
                endpoint: Endpoint(
                    address: address,
                    httpVersion: .http1,
                    tls: nil,
                    serverName: "a"
                ),
                calls: [call],
                vanishing: nil
            )
        }
        let start = world.clock.now
        try world.run(until: start + .seconds(20), "both calls") { clients.allSatisfy(\.isDone) }
        let passed = world.clock.now.nanoseconds(since: start) / 1_000_000
        #expect(clients.flatMap(\.calls).map(\.outcome) == [.answered(200), .answered(200)])
        #expect(
            (100..<150).contains(passed),
            "one after the other, before a worker looks by itself: \(passed) ms"
        )
        for client in clients { client.close() }
        for worker in workers { worker.closeAll() }
        server.closeAll()
        withExtendedLifetime(loads) {}
    }

    private func snapshot(of backend: SocketAddress, _ load: BackendLoad) -> Snapshot {
        let plan = BackendPlan(
            label: backend.description,
            rest: BackendTarget(
                key: "rest",
                endpoint: Endpoint(
                    address: backend,
                    httpVersion: .http1,
                    tls: nil,
                    serverName: "b"
                ),
                authority: "b"
            ),
            grpc: nil,
            load: load,
            probePath: "/",
            probeInterval: .seconds(5),
            probeTimeout: .seconds(1),
            maxInFlight: 1
        )
        var resilience = ResiliencePlan()
        resilience.queueTimeout = .seconds(5)
        return Snapshot(
            generation: 1,
            models: [
                ModelPlan(
                    name: "echo",
                    timeout: .seconds(10),
                    balancing: .roundRobin,
                    split: TrafficSplit(weights: [10_000]),
                    revisions: [
                        RevisionPlan(
                            name: "v1",
                            backendModelName: nil,
                            backends: [plan],
                            board: RevisionSharedState()
                        )
                    ],
                    resilience: resilience
                )
            ],
            maxRequestBytes: 4 << 20
        )
    }
}
