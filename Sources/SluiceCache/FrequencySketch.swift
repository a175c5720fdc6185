// How often was it asked, without a list of all that was asked?
//
// A count-min sketch (Cormode and Muthukrishnan, 2005) with conservative update (Estan and Varghese,
// 2002): a key counts in one cell of each of four rows, and its estimate is the least of the four.
// Cells are shared, so estimates err upwards only. Digests are uniform in all four words, so each row
// takes a word as its hash.

/// Estimates how often keys were seen lately, in memory that doesn't grow.
package struct FrequencySketch: Sendable {
    private static let rowCount = 4
    private let width: Int
    private var cells: [UInt32]

    /// A sketch of `width` cells a row, rounded up to a power of two; 16 bytes each.
    package init(width: Int) {
        var power = 64
        while power < width { power *= 2 }
        self.width = power
        cells = Array(repeating: 0, count: power * FrequencySketch.rowCount)
    }

    /// Counts `key` as seen `weight` times more; returns the estimate with that.
    package mutating func add(_ key: CacheKey, _ weight: UInt32) -> UInt32 {
        let sum = estimate(key).addingReportingOverflow(weight)
        let count = sum.overflow ? .max : sum.partialValue
        for row in 0..<FrequencySketch.rowCount {
            let cell = place(of: key, row)
            if cells[cell] < count { cells[cell] = count }
        }
        return count
    }

    /// How often `key` was seen, or somewhat more.
    package func estimate(_ key: CacheKey) -> UInt32 {
        (0..<FrequencySketch.rowCount).reduce(UInt32.max) { min($0, cells[place(of: key, $1)]) }
    }

    /// Forgets half of everything.
    package mutating func halve() {
        for index in cells.indices { cells[index] >>= 1 }
    }

    private func place(of key: CacheKey, _ row: Int) -> Int {
        let word = row == 0 ? key.a : row == 1 ? key.b : row == 2 ? key.c : key.d
        return row * width + Int(truncatingIfNeeded: word & UInt64(width - 1))
    }
}
