/// What happened in a world, as a digest that equal runs share and, if wanted, as lines.
package struct Trace {
    enum Fact: Int64 {
        case listen, connect, accept, read, write, shutDown, close, tick, time
    }

    /// A digest of everything noted so far.
    package private(set) var digest: UInt64 = 0xCBF2_9CE4_8422_2325
    /// How many facts were noted.
    package private(set) var count = 0
    /// The facts as text, when asked for.
    package private(set) var lines: [String] = []
    /// Whether ``lines`` are kept; they cost more than the rest of the network.
    package var keepsLines = false

    /// A trace of nothing.
    package init() {}

    mutating func note(_ fact: Fact, _ subject: Int, _ object: Int, _ outcome: Int) {
        count += 1
        mix(fact.rawValue)
        mix(Int64(subject))
        mix(Int64(object))
        mix(Int64(outcome))
        if keepsLines { lines.append("\(fact) \(subject) \(object) \(outcome)") }
    }

    private mutating func mix(_ word: Int64) {
        digest = (digest ^ UInt64(bitPattern: word)) &* 0x9E37_79B9_7F4A_7C15
        digest ^= digest >> 29
    }
}
