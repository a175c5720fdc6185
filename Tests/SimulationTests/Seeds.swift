import Glibc

/// Which seeds a run plays.
enum Seeds {
    /// The seed in `SLUICE_SIMULATION_SEED`, which is then the only one that is played.
    static var only: UInt64? {
        // The string belongs to the environment, which no test changes.
        guard let text = unsafe getenv("SLUICE_SIMULATION_SEED") else { return nil }
        return unsafe UInt64(String(cString: text))
    }

    /// How many of the last lines of its trace are printed: `SLUICE_SIMULATION_LINES`, or 400.
    static var lineCount: Int {
        // As above.
        guard let text = unsafe getenv("SLUICE_SIMULATION_LINES") else { return 400 }
        return unsafe Int(String(cString: text)) ?? 400
    }

    /// How many thousands of seeds are played: `SLUICE_SIMULATION_ROUNDS`, or 1.
    private static var rounds: UInt64 {
        // As above.
        guard let text = unsafe getenv("SLUICE_SIMULATION_ROUNDS") else { return 1 }
        return unsafe UInt64(String(cString: text)) ?? 1
    }

    /// Of how many seeds one is played: `SLUICE_SIMULATION_STRIDE`, or 1.
    private static var step: Int {
        // As above.
        guard let text = unsafe getenv("SLUICE_SIMULATION_STRIDE") else { return 1 }
        return unsafe max(1, Int(String(cString: text)) ?? 1)
    }

    /// The seeds whose place in their thousand lies in `range`, or the one asked for if it does.
    static func wanted(_ range: Range<UInt64>) -> [UInt64] {
        guard let only else {
            return (0..<rounds).flatMap { round in
                stride(from: range.lowerBound, to: range.upperBound, by: step).map {
                    round * 1_000 + $0
                }
            }
        }
        return range.contains(only % 1_000) ? [only] : []
    }
}
