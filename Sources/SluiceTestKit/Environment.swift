import Glibc

/// What the environment asks of the tests.
package enum Environment {
    /// How often a bounded fuzz test runs: `SLUICE_FUZZ_ITERATIONS`, or `otherwise`.
    package static func fuzzIterations(otherwise: Int) -> Int {
        // The string belongs to the environment, which no test changes.
        guard let text = unsafe getenv("SLUICE_FUZZ_ITERATIONS") else { return otherwise }
        return unsafe Int(String(cString: text)) ?? otherwise
    }
}
