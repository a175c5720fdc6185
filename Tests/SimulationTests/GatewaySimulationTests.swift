import SluiceSimulation
import Testing

@Suite("The gateway in simulated worlds")
struct GatewaySimulationTests {
    static func play(_ seed: UInt64, _ wire: Scenario.Wire) throws {
        let world = try GatewayWorld(Scenario(seed: seed, wire: wire))
        let verbose = Seeds.only != nil
        world.world.network.trace.keepsLines = verbose
        let faults = world.play()
        if verbose {
            for line in world.world.network.trace.lines.suffix(Seeds.lineCount) { print(line) }
            for call in world.calls { print(call.id, call.kind, call.outcome) }
        }
        #expect(
            faults.isEmpty,
            "rerun with SLUICE_SIMULATION_SEED=\(seed): \(faults.joined(separator: "; "))"
        )
    }

    @Test(
        "HTTP/1.1 requests get their own answer or a clear failure",
        arguments: Seeds.wanted(0..<400)
    )
    func http1(seed: UInt64) throws { try Self.play(seed, .http1) }

    @Test(
        "HTTP/2 requests, REST and gRPC, get their own answer or a clear failure",
        arguments: Seeds.wanted(400..<800)
    )
    func http2(seed: UInt64) throws { try Self.play(seed, .http2) }

    @Test(
        "Requests over TLS get their own answer or a clear failure",
        arguments: Seeds.wanted(800..<1_000)
    )
    func tls(seed: UInt64) throws { try Self.play(seed, .tls) }

    @Test("The same seed gives the same world", arguments: [3, 66, 401, 405, 414, 485] as [UInt64])
    func repeats(seed: UInt64) throws {
        let digests = try (0..<2).map { _ -> UInt64 in
            let world = try GatewayWorld(Scenario(seed: seed, wire: seed < 400 ? .http1 : .http2))
            _ = world.play()
            return world.world.network.trace.digest
        }
        #expect(digests[0] == digests[1])
    }
}
