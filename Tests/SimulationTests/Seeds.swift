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

    /// `range`, or the one seed asked for if it lies there.
    static func wanted(_ range: Range<UInt64>) -> [UInt64] {
        guard let only else { return Array(range) }
        return range.contains(only) ? [only] : []
    }
}
