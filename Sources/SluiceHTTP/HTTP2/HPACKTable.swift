import SluiceCore

/// The dynamic table that both ends of a direction keep in step (RFC 7541 §2.3.2 and §4).
///
/// A ring of entries over an arena of bytes. Both are filled at one end and emptied at the other,
/// so that what is live is always one piece.
@safe
struct HPACKTable: ~Copyable {
    struct Entry: BitwiseCopyable {
        /// For whoever searches; 0 where nobody does.
        let hash: UInt32
        let name: FieldName
        /// Whether name and value are what RFC 9113 §8.2.1 allows, and whether the name alone is.
        let isSound: Bool
        let hasSoundName: Bool
        let nameLength: UInt16
        let valueLength: UInt32
        fileprivate(set) var start: UInt32

        /// What the entry counts (§4.1).
        @inline(__always)
        var size: Int { Int(nameLength) &+ Int(valueLength) &+ HPACKTable.entryOverhead }

        /// Bytes of name kept before the value: a known name's text isn't.
        @inline(__always)
        var keptNameLength: Int { name == .other ? Int(nameLength) : 0 }
    }

    static let entryOverhead = 32
    /// The largest table we keep, which is also what a peer may assume at first.
    static let sizeMaximum = 4096
    // 4096 bytes of table hold at most 128 entries of 32 bytes.
    private static let ringCount = 128
    private static let arenaSize = 2 * sizeMaximum

    private let ring: UnsafeMutablePointer<Entry>
    private let arena: UnsafeMutablePointer<UInt8>
    private var newest = 0
    private var arenaEnd = 0
    private var size = 0
    /// How many entries there are.
    private(set) var count = 0
    /// The size the entries may have together.
    private(set) var capacity = HPACKTable.sizeMaximum
    /// How often the table has changed: while it hasn't, equal bytes mean equal fields.
    private(set) var version: UInt64 = 0

    init() {
        unsafe ring = .allocate(capacity: HPACKTable.ringCount)
        unsafe arena = .allocate(capacity: HPACKTable.arenaSize)
    }

    deinit {
        unsafe ring.deallocate()
        unsafe arena.deallocate()
    }

    /// The entry that `age` others were inserted after, or nil.
    @inline(__always)
    func entry(at age: Int) -> UnsafeMutablePointer<Entry>? {
        guard age < count else { return nil }
        return unsafe ring + ((newest &- age) & (HPACKTable.ringCount - 1))
    }

    /// Where an entry's kept name begins; its value follows.
    @inline(__always)
    func bytes(of entry: UnsafeMutablePointer<Entry>) -> UnsafePointer<UInt8> {
        unsafe UnsafePointer(arena + Int(entry.pointee.start))
    }

    /// Changes the capacity, at most ``sizeMaximum``; drops what no longer fits.
    mutating func resize(to wanted: Int) {
        version &+= 1
        capacity = min(wanted, HPACKTable.sizeMaximum)
        evict(for: 0)
    }

    /// Inserts what lies at `text`: the name if it is ``FieldName/other``, then the value.
    ///
    /// Entries that are too large empty the table and aren't kept (§4.4). `text` must not lie in
    /// this table.
    mutating func insert(
        _ text: UnsafePointer<UInt8>,
        name: FieldName,
        nameLength: Int,
        valueLength: Int,
        isSound: Bool = true,
        hasSoundName: Bool = true,
        hash: UInt32 = 0
    ) {
        let kept = name == .other ? nameLength : 0
        if let place = unsafe insert(
            name: name,
            nameLength: nameLength,
            valueLength: valueLength,
            isSound: isSound,
            hasSoundName: hasSoundName,
            hash: hash
        ) {
            unsafe ShortBytes.copy(text, to: place, count: kept + valueLength)
        }
    }

    /// Makes an entry and returns where its kept name and value go; nil when it is too large.
    mutating func insert(
        name: FieldName,
        nameLength: Int,
        valueLength: Int,
        isSound: Bool = true,
        hasSoundName: Bool = true,
        hash: UInt32 = 0
    ) -> UnsafeMutablePointer<UInt8>? {
        let needed = nameLength + valueLength + HPACKTable.entryOverhead
        version &+= 1
        evict(for: needed)
        guard needed <= capacity else { return nil }
        let length = (name == .other ? nameLength : 0) + valueLength
        if arenaEnd + length > HPACKTable.arenaSize { compact() }
        newest = (newest + 1) & (HPACKTable.ringCount - 1)
        count += 1
        size += needed
        unsafe (ring + newest).initialize(
            to: Entry(
                hash: hash,
                name: name,
                isSound: isSound,
                hasSoundName: hasSoundName,
                nameLength: UInt16(truncatingIfNeeded: nameLength),
                valueLength: UInt32(truncatingIfNeeded: valueLength),
                start: UInt32(truncatingIfNeeded: arenaEnd)
            )
        )
        let place = unsafe arena + arenaEnd
        arenaEnd += length
        return unsafe place
    }

    /// Drops the oldest until `needed` more bytes fit (§4.4).
    private mutating func evict(for needed: Int) {
        while count > 0, size + needed > capacity {
            let oldest = (newest &- (count - 1)) & (HPACKTable.ringCount - 1)
            unsafe size -= ring[oldest].size
            count -= 1
        }
        if count == 0 { arenaEnd = 0 }
    }

    /// Moves what is live to the arena's start.
    private mutating func compact() {
        guard let oldest = unsafe entry(at: count - 1), count > 0 else {
            arenaEnd = 0
            return
        }
        let shift = unsafe oldest.pointee.start
        unsafe UnsafeMutableRawPointer(arena).copyMemory(
            from: arena + Int(shift),
            byteCount: arenaEnd - Int(shift)
        )
        for age in 0..<count { unsafe entry(at: age)?.pointee.start -= shift }
        arenaEnd -= Int(shift)
    }
}
