/// Which slot of a small memory gives way to what comes next (CLOCK), and whether anything does.
///
/// A hand goes round the slots and takes the first that wasn't found since it last passed. What never
/// comes again must not cost much: while nothing is found, ever less is kept.
package struct SlotClock: BitwiseCopyable {
    // After so many misses in a row only one in 32 is kept.
    private static var missesMaximum: Int { 8 }
    // After so many only one in four is looked for.
    private static var hope: Int { 64 }

    private let maximum: Int
    /// How many slots have been filled; they are the first ones.
    package private(set) var count = 0
    /// The slot to be considered next.
    private var hand = 0
    /// Misses since something was found.
    private var misses = 0
    /// A bit for each slot that was found since it was last considered.
    private var found: UInt64 = 0

    /// A clock for up to `maximum` slots, 64 at the most.
    package init(maximum: Int) {
        precondition(1...64 ~= maximum, "each slot has a bit")
        self.maximum = maximum
    }

    /// Notes that slot number `index` held what was looked for.
    @inline(__always)
    package mutating func noteFound(_ index: Int) {
        found |= 1 &<< UInt64(truncatingIfNeeded: index)
        misses = 0
    }

    /// Whether to look at all: comparing with what never comes again costs as well.
    @inline(__always)
    var isWorthLooking: Bool { misses <= SlotClock.hope || misses & 3 == 0 }

    /// Notes that no slot held what was looked for, and says whether to keep that now.
    @inline(__always)
    package mutating func keepsMissed() -> Bool {
        misses &+= 1
        return misses <= SlotClock.missesMaximum || misses & 31 == 0
    }

    /// The slot to fill: a new one, whose number is ``count``, while there may be more.
    package mutating func next() -> Int {
        guard count == maximum else {
            count += 1
            return count - 1
        }
        while true {
            let index = hand
            let bit: UInt64 = 1 << index
            hand = (hand + 1) % maximum
            guard found & bit != 0 else { return index }
            found &= ~bit
        }
    }
}
