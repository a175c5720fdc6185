/// How near a process is to the memory it may have, with some slack before that is taken back.
///
/// The levels are those of the examples for Envoy's overload manager.
package struct MemoryPressure: Sendable {
    /// What is done about it.
    package enum Level: Int, Comparable, Sendable {
        /// Nothing.
        case none = 0
        /// From 92 %: no new connections, and those that stand end when they rest.
        case high = 1
        /// From 95 %: no new requests either.
        case critical = 2

        package static func < (left: Level, right: Level) -> Bool {
            left.rawValue < right.rawValue
        }
    }

    private static let (high, critical) = (92, 95)
    // A level ends that many percent below where it begins, so that it doesn't flicker.
    private static let slack = 3

    /// The level now.
    package private(set) var level = Level.none

    /// No pressure yet.
    package init() {}

    /// Takes a reading; `maximum` 0 is no limit.
    package mutating func update(resident: Int, maximum: Int) -> Level {
        let percent = maximum > 0 ? Double(resident) / Double(maximum) * 100 : 0
        func isReached(_ begin: Int, _ level: Level) -> Bool {
            percent >= Double(self.level >= level ? begin - MemoryPressure.slack : begin)
        }
        if isReached(MemoryPressure.critical, .critical) {
            level = .critical
        } else {
            level = isReached(MemoryPressure.high, .high) ? .high : .none
        }
        return level
    }
}
