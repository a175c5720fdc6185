/// What stands between rows in a backend's JSON, by the text around them: an answer of one row
/// doesn't show it, and with it such answers can be put together in the backend's own words.
package struct RowSeparators {
    /// Texts remembered; a backend writes a few (one for each kind of caller and set of outputs).
    private static let maximum = 32

    private var known: [UInt64: [[UInt8]]] = [:]

    /// Nothing yet.
    package init() {}

    /// Notes what a record of several rows shows.
    package mutating func learn(from record: UnsafeRawBufferPointer) {
        guard known.count < RowSeparators.maximum, let record = try? unsafe RowRecord(record)
        else { return }
        var found: [[UInt8]] = []
        for index in unsafe record.separators.indices {
            guard let separator = unsafe record.separators[index] else { return }
            unsafe found.append([UInt8](separator))
        }
        known[unsafe RowSeparators.hash(record.template)] = found
    }

    func find(around template: UnsafeRawBufferPointer) -> [[UInt8]]? {
        known.isEmpty ? nil : known[unsafe RowSeparators.hash(template)]
    }

    // FNV-1a (Fowler, Noll, Vo), 64 bits. Texts that collide would be the backend's own.
    private static func hash(_ bytes: UnsafeRawBufferPointer) -> UInt64 {
        var state: UInt64 = 0xCBF2_9CE4_8422_2325
        for index in bytes.indices {
            state = unsafe (state ^ UInt64(bytes[index])) &* 0x100_0000_01B3
        }
        return state
    }
}
