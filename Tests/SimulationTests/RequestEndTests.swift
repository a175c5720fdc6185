// Each side is killed, ended, silenced or stalled at a byte of the seed's choice, over both versions
// of HTTP, REST and gRPC, and every way that a request may take.
//
// SLUICE_SIMULATION_SEED plays one seed alone, SLUICE_SIMULATION_ROUNDS further thousands.
import Testing

@Suite("A request always ends")
struct RequestEndTests {
    @Test(
        "No request outlives its deadline, no gauge stays up, and a drain ends, whichever side fails",
        arguments: Seeds.wanted(0..<300)
    )
    func ends(seed: UInt64) throws { try Self.play(seed) }

    static func play(_ seed: UInt64) throws {
        let scene = try EndScene(seed: seed)
        let faults = try scene.play()
        #expect(
            faults.isEmpty,
            "rerun with SLUICE_SIMULATION_SEED=\(seed): \(scene.title): \(faults.joined(separator: "; "))"
        )
    }
}
