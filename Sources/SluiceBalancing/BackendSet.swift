/// Some of a revision's backends, by their numbers: a bit each, however many there are.
///
/// The first 64 lie in the value itself, so that a set of a revision of the usual size has no memory
/// of its own; further ones lie in an array.
package struct BackendSet: Sendable, Hashable {
    /// Numbers 0 to 63.
    package var first: UInt64
    /// 64 numbers a word, from 64 on; without words at the end that are zero.
    package private(set) var more: [UInt64]

    /// The backends whose bit is set among the first 64.
    package init(first: UInt64 = 0) {
        self.first = first
        more = []
    }

    /// Those, and the ones whose bits are set in words that follow.
    package init(first: UInt64 = 0, more: [UInt64]) {
        self.first = first
        self.more = more
        while self.more.last == 0 { self.more.removeLast() }
    }

    /// The numbers from 0 to below `count`.
    package static func all(_ count: Int) -> BackendSet {
        var set = BackendSet()
        for number in 0..<count { set.insert(number) }
        return set
    }

    /// Whether no backend is in it.
    package var isEmpty: Bool { first == 0 && more.isEmpty }

    /// Whether the backend of this number is in it.
    package func contains(_ number: Int) -> Bool {
        number < 64 ? first >> UInt64(number) & 1 == 1 : containsFurther(number)
    }

    /// The same for a number from 64 on.
    func containsFurther(_ number: Int) -> Bool {
        let word = number >> 6 - 1
        return word < more.count && more[word] >> UInt64(number & 63) & 1 == 1
    }

    /// Adds a backend.
    package mutating func insert(_ number: Int) {
        guard number >= 64 else {
            first |= 1 << UInt64(number)
            return
        }
        let word = number >> 6 - 1
        while more.count <= word { more.append(0) }
        more[word] |= 1 << UInt64(number & 63)
    }

    /// Takes all out and keeps the memory for others.
    package mutating func removeAll() {
        first = 0
        more.removeAll(keepingCapacity: true)
    }
}
