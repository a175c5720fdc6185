// Worlds of the code that ships: a worker, two or three backends, a probe and some clients, each on
// its own loop over a simulated kernel. What is checked is in `GatewayWorld`.
//
// A seed is played alone with SLUICE_SIMULATION_SEED; the end of its trace is printed, as many lines
// as SLUICE_SIMULATION_LINES says. SLUICE_SIMULATION_ROUNDS plays further thousands. Worlds in the
// clear repeat to the last byte. Under TLS OpenSSL draws keys and nonces of its own, so a rerun may
// cut a record elsewhere; who connects, asks and vanishes when stays the same.
import SluiceSimulation
import Testing

@Suite("The gateway in simulated worlds")
struct GatewaySimulationTests {
    static func play(_ seed: UInt64, _ wire: Scenario.Wire) throws {
        try play(Scenario(seed: seed, wire: wire))
    }

    static func play(_ scenario: Scenario) throws {
        let seed = scenario.seed
        let world = try GatewayWorld(scenario)
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

    @Test(
        "Whatever becomes of copies for a shadow, requests are answered as ever",
        arguments: Seeds.wanted(0..<200) + Seeds.wanted(400..<700)
    )
    func mirrored(seed: UInt64) throws {
        try Self.play(Scenario(seed: seed, wire: seed % 1_000 < 400 ? .http1 : .http2).mirrored())
    }

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
