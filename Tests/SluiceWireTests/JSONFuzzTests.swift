import SluiceFuzzing
import SluiceTestKit
import SluiceWire
import Testing

@Suite("JSON fuzz")
struct JSONFuzzTests {
    @Test("All readers agree on mutated texts", .timeLimit(.minutes(10)), arguments: [1, 2])
    func differential(seed: UInt64) {
        var fuzzer = JSONFuzzer(seed: seed)
        let findings = fuzzer.run(count: Environment.fuzzIterations(otherwise: 10_000))
        #expect(findings == [])
        // Otherwise the mutations would be too wild to say anything.
        #expect(fuzzer.accepted > 0 && fuzzer.arrays > 0)
    }
}
