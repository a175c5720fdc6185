/// Records that wait for somebody's word, by a token.
///
/// For tokens that are given out in order, where a dictionary's hashing took 500 instructions: a product
/// with the golden ratio lays them apart evenly (Knuth, TAOCP 3, §6.4), so that a look-up is one probe
/// mostly, and a removal, which shifts back what follows (there, algorithm R), has little to look
/// through. Grows with those that wait at a time; not to be shared. The records are their owner's.
@safe
package struct TokenTable: ~Copyable {
    @safe
    private struct Place {
        /// 0 is nobody's token.
        var token: UInt64 = 0
        var record: UnsafeMutableRawPointer?
    }

    // This struct's own until deinit; every index is masked, and so below the capacity.
    private var places: UnsafeMutablePointer<Place>
    private var mask = 63
    /// 64 less the capacity's bits: a product's upper bits are its best.
    private var shift: UInt64 = 58
    /// How many wait.
    package private(set) var count = 0

    /// An empty table.
    package init() {
        unsafe places = .allocate(capacity: 64)
        unsafe places.initialize(repeating: Place(record: nil), count: 64)
    }

    deinit { unsafe places.deallocate() }

    /// Lets `record` wait under `token`, which is above 0 and no other's.
    package mutating func insert(_ token: UInt64, _ record: UnsafeMutableRawPointer) {
        precondition(token > 0, "0 is nobody's token")
        if 2 * (count + 1) > mask + 1 { grow() }
        var index = home(token)
        while unsafe places[index].token != 0, unsafe places[index].token != token {
            index = (index + 1) & mask
        }
        if unsafe places[index].token == 0 { count += 1 }
        unsafe places[index] = unsafe Place(token: token, record: record)
    }

    /// Takes out who waits under `token`, if anybody does.
    package mutating func remove(_ token: UInt64) -> UnsafeMutableRawPointer? {
        var gap = home(token)
        while unsafe places[gap].token != token {
            guard unsafe places[gap].token != 0 else { return nil }
            gap = (gap + 1) & mask
        }
        guard let found = unsafe places[gap].record else { return nil }
        count -= 1
        var next = (gap + 1) & mask
        while unsafe places[next].token != 0 {
            // One may move back into the gap unless its home lies behind the gap.
            if unsafe (next &- home(places[next].token)) & mask >= (next &- gap) & mask {
                unsafe places[gap] = places[next]
                gap = next
            }
            next = (next + 1) & mask
        }
        unsafe places[gap] = Place(record: nil)
        return unsafe found
    }

    private func home(_ token: UInt64) -> Int {
        Int(truncatingIfNeeded: (token &* 0x9E37_79B9_7F4A_7C15) >> shift)
    }

    private mutating func grow() {
        let (old, oldCount) = unsafe (places, mask + 1)
        mask = 2 * oldCount - 1
        shift -= 1
        unsafe places = .allocate(capacity: 2 * oldCount)
        unsafe places.initialize(repeating: Place(record: nil), count: 2 * oldCount)
        count = 0
        for index in 0..<oldCount {
            if let record = unsafe old[index].record { unsafe insert(old[index].token, record) }
        }
        unsafe old.deallocate()
    }
}
