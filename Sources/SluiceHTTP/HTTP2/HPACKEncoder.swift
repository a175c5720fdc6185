// HPACK's sending half (RFC 7541).
//
// nghttp2's encoder took most of a request's instructions: it hashes each name, counts Huffman
// bits and copies pairs about. Here a field already knows its name by number, values go out as
// plain octets (Huffman coding is the sender's choice, §5.2), and the dynamic table is small
// enough that comparing 32-bit hashes from newest to oldest finds a repeated field.
//
//     entries, a ring:      oldest ... newest      index 62 is the newest (§2.3.3)
//     bytes, an arena:      [name if unknown][value] for each entry, in the same order
//
// The decoder at the other end keeps the same table by the same rules; nghttp2's is the judge in
// the tests.
import SluiceCore

/// One direction's field compression.
@safe
struct HPACKEncoder: ~Copyable {
    private struct Entry: BitwiseCopyable {
        var hash: UInt32
        var name: FieldName
        var nameLength: UInt16
        var start: Int32
        var valueLength: Int32

        var size: Int { Int(nameLength) + Int(valueLength) + HPACKEncoder.entryOverhead }
        /// Bytes kept in the arena: a known name's text isn't.
        var keptNameLength: Int { name == .other ? Int(nameLength) : 0 }
    }

    private static let entryOverhead = 32
    private static let tableMaximum = 4096
    // 4096 bytes of table hold at most 128 entries of 32 bytes.
    private static let ringCount = 128
    private static let arenaSize = 2 * tableMaximum
    private static let firstDynamicIndex = 62
    /// Entries larger than this aren't worth the others they would push out.
    private static let valueMaximum = 1024

    private let ring: UnsafeMutablePointer<Entry>
    private let arena: UnsafeMutablePointer<UInt8>
    private var newest = 0
    /// Entries inserted so far, and for each known name the number of its latest: most fields
    /// repeat the value they had last, and then one comparison finds them.
    private var sequence: UInt32 = 0
    private var latest = InlineArray<64, UInt32>(repeating: 0)
    private var count = 0
    private var arenaEnd = 0
    private var size = 0
    private var capacity = HPACKEncoder.tableMaximum
    /// The smallest size since the last block, and whether an update must be sent (§4.2).
    private var lowestCapacity = HPACKEncoder.tableMaximum
    private var mustUpdate = false

    init() {
        unsafe ring = .allocate(capacity: HPACKEncoder.ringCount)
        unsafe arena = .allocate(capacity: HPACKEncoder.arenaSize)
    }

    deinit {
        unsafe ring.deallocate()
        unsafe arena.deallocate()
    }

    /// Follows the peer's SETTINGS_HEADER_TABLE_SIZE; never above 4096.
    mutating func limit(to wanted: Int) {
        let limited = min(wanted, HPACKEncoder.tableMaximum)
        guard limited != capacity else { return }
        capacity = limited
        lowestCapacity = min(lowestCapacity, limited)
        mustUpdate = true
        evict(for: 0)
    }

    /// Encodes `block` at the end of `output` and returns the number of bytes.
    mutating func encode(_ block: FieldBlock, into output: inout ByteBuffer) -> Int {
        let before = output.count
        if mustUpdate { writeUpdates(&output) }
        for index in 0..<block.count {
            let field = block[index]
            if field.isRemoved { continue }
            unsafe encode(
                field,
                name: block.name(of: field),
                value: block.value(of: field),
                into: &output
            )
        }
        return output.count - before
    }

    // MARK: - One field

    private mutating func encode(
        _ field: Field,
        name: UnsafeRawBufferPointer,
        value: UnsafeRawBufferPointer,
        into output: inout ByteBuffer
    ) {
        // At most: a representation, two lengths of up to six octets each, and the octets.
        let place = unsafe output.reserve(name.count + value.count + 18)
        var end = 0
        if let index = unsafe HPACKStatic.index(of: field.name, value: value) {
            unsafe place[0] = 0x80 | UInt8(index)
            output.commit(1)
            return
        }
        let staticName = HPACKStatic.nameIndex(field.name)
        let isSecret = field.name.isSecret
        let isIndexed =
            !field.isVolatile && !isSecret && value.count <= HPACKEncoder.valueMaximum
            && name.count + value.count + HPACKEncoder.entryOverhead <= capacity
        var nameIndex = staticName
        if isIndexed {
            if let index = unsafe findLatest(field.name, value) {
                unsafe HPACKEncoder.write(index, prefix: 7, flags: 0x80, to: place, &end)
                output.commit(end)
                return
            }
            let hash = unsafe HPACKEncoder.hash(field.name, name, value)
            if let index = unsafe find(field.name, name, value, hash) {
                unsafe HPACKEncoder.write(index, prefix: 7, flags: 0x80, to: place, &end)
                output.commit(end)
                return
            }
            if nameIndex == 0 { nameIndex = unsafe findName(field.name, name) }
            unsafe HPACKEncoder.write(nameIndex, prefix: 6, flags: 0x40, to: place, &end)
            unsafe insert(field.name, name, value, hash)
        } else {
            if nameIndex == 0 { nameIndex = unsafe findName(field.name, name) }
            // §6.2.3: what must never be indexed says so to every hop.
            let flags: UInt8 = isSecret ? 0x10 : 0
            unsafe HPACKEncoder.write(nameIndex, prefix: 4, flags: flags, to: place, &end)
        }
        if nameIndex == 0 { unsafe HPACKEncoder.write(name, to: place, &end) }
        unsafe HPACKEncoder.write(value, to: place, &end)
        output.commit(end)
    }

    /// An integer with an N-bit prefix (§5.1).
    @inline(__always)
    private static func write(
        _ value: Int,
        prefix: UInt8,
        flags: UInt8,
        to place: UnsafeMutablePointer<UInt8>,
        _ end: inout Int
    ) {
        let maximum = 1 << Int(prefix) - 1
        if value < maximum {
            unsafe place[end] = flags | UInt8(value)
            end += 1
            return
        }
        unsafe place[end] = flags | UInt8(maximum)
        end += 1
        var rest = value - maximum
        while rest >= 0x80 {
            unsafe place[end] = UInt8(rest & 0x7F) | 0x80
            end += 1
            rest >>= 7
        }
        unsafe place[end] = UInt8(rest)
        end += 1
    }

    /// A string literal, not Huffman-coded (§5.2).
    @inline(__always)
    private static func write(
        _ text: UnsafeRawBufferPointer,
        to place: UnsafeMutablePointer<UInt8>,
        _ end: inout Int
    ) {
        unsafe write(text.count, prefix: 7, flags: 0, to: place, &end)
        if let from = text.baseAddress {
            unsafe UnsafeMutableRawPointer(place + end).copyMemory(
                from: from,
                byteCount: text.count
            )
        }
        end += text.count
    }

    /// §4.2: when the size shrank and grew again, both are told.
    private mutating func writeUpdates(_ output: inout ByteBuffer) {
        let place = unsafe output.reserve(12)
        var end = 0
        if lowestCapacity < capacity {
            unsafe HPACKEncoder.write(lowestCapacity, prefix: 5, flags: 0x20, to: place, &end)
        }
        unsafe HPACKEncoder.write(capacity, prefix: 5, flags: 0x20, to: place, &end)
        output.commit(end)
        lowestCapacity = capacity
        mustUpdate = false
    }

    // MARK: - The dynamic table

    @inline(__always)
    private func entry(_ age: Int) -> UnsafeMutablePointer<Entry> {
        unsafe ring + ((newest - age) & (HPACKEncoder.ringCount - 1))
    }

    private func findLatest(_ name: FieldName, _ value: UnsafeRawBufferPointer) -> Int? {
        let inserted = latest[Int(name.rawValue)]
        guard inserted > 0, name != .other else { return nil }
        let age = Int(sequence &- inserted)
        guard age < count else { return nil }
        let candidate = unsafe entry(age)
        // The number may be from before the count went round.
        guard unsafe candidate.pointee.name == name,
            unsafe Int(candidate.pointee.valueLength) == value.count,
            unsafe HPACKEncoder.equal(arena + Int(candidate.pointee.start), value)
        else { return nil }
        return HPACKEncoder.firstDynamicIndex + age
    }

    private func find(
        _ name: FieldName,
        _ nameText: UnsafeRawBufferPointer,
        _ value: UnsafeRawBufferPointer,
        _ hash: UInt32
    ) -> Int? {
        for age in 0..<count {
            let candidate = unsafe entry(age)
            guard unsafe candidate.pointee.hash == hash, unsafe candidate.pointee.name == name,
                unsafe Int(candidate.pointee.valueLength) == value.count,
                unsafe sameName(candidate.pointee, nameText),
                unsafe HPACKEncoder.equal(
                    arena + Int(candidate.pointee.start) + candidate.pointee.keptNameLength,
                    value
                )
            else { continue }
            return HPACKEncoder.firstDynamicIndex + age
        }
        return nil
    }

    private func findName(_ name: FieldName, _ text: UnsafeRawBufferPointer) -> Int {
        for age in 0..<count {
            let candidate = unsafe entry(age)
            if unsafe candidate.pointee.name == name, unsafe sameName(candidate.pointee, text) {
                return HPACKEncoder.firstDynamicIndex + age
            }
        }
        return 0
    }

    private func sameName(_ entry: Entry, _ text: UnsafeRawBufferPointer) -> Bool {
        guard entry.name == .other else { return true }
        return unsafe Int(entry.nameLength) == text.count
            && HPACKEncoder.equal(arena + Int(entry.start), text)
    }

    private mutating func insert(
        _ name: FieldName,
        _ nameText: UnsafeRawBufferPointer,
        _ value: UnsafeRawBufferPointer,
        _ hash: UInt32
    ) {
        evict(for: nameText.count + value.count + HPACKEncoder.entryOverhead)
        let keptName = name == .other ? nameText.count : 0
        if arenaEnd + keptName + value.count > HPACKEncoder.arenaSize { compact() }
        newest = (newest + 1) & (HPACKEncoder.ringCount - 1)
        sequence &+= 1
        latest[Int(name.rawValue)] = sequence
        count += 1
        unsafe ring[newest] = Entry(
            hash: hash,
            name: name,
            nameLength: UInt16(truncatingIfNeeded: nameText.count),
            start: Int32(arenaEnd),
            valueLength: Int32(value.count)
        )
        if keptName > 0, let from = nameText.baseAddress {
            unsafe UnsafeMutableRawPointer(arena + arenaEnd).copyMemory(
                from: from,
                byteCount: keptName
            )
        }
        if let from = value.baseAddress {
            unsafe UnsafeMutableRawPointer(arena + arenaEnd + keptName).copyMemory(
                from: from,
                byteCount: value.count
            )
        }
        arenaEnd += keptName + value.count
        size += nameText.count + value.count + HPACKEncoder.entryOverhead
    }

    /// Drops the oldest until `needed` more bytes fit (§4.4).
    private mutating func evict(for needed: Int) {
        while count > 0, size + needed > capacity {
            unsafe size -= entry(count - 1).pointee.size
            count -= 1
        }
        if count == 0 { arenaEnd = 0 }
    }

    /// Moves what is live to the arena's start; it is one piece, as entries come and go in order.
    private mutating func compact() {
        guard count > 0 else {
            arenaEnd = 0
            return
        }
        let shift = unsafe entry(count - 1).pointee.start
        unsafe UnsafeMutableRawPointer(arena).copyMemory(
            from: arena + Int(shift),
            byteCount: arenaEnd - Int(shift)
        )
        for age in 0..<count { unsafe entry(age).pointee.start -= shift }
        arenaEnd -= Int(shift)
    }

    // MARK: - Bytes

    @inline(__always)
    private static func hash(
        _ name: FieldName,
        _ nameText: UnsafeRawBufferPointer,
        _ value: UnsafeRawBufferPointer
    ) -> UInt32 {
        var state = UInt64(name.rawValue) &* 0x9E37_79B9_7F4A_7C15
        if name == .other { unsafe mix(nameText, &state) }
        unsafe mix(value, &state)
        return UInt32(truncatingIfNeeded: state ^ (state >> 32))
    }

    @inline(__always)
    private static func mix(_ text: UnsafeRawBufferPointer, _ state: inout UInt64) {
        state ^= UInt64(text.count)
        var index = 0
        while index + 8 <= text.count {
            let word = unsafe text.loadUnaligned(fromByteOffset: index, as: UInt64.self)
            state = (state ^ word) &* 0xFF51_AFD7_ED55_8CCD
            state ^= state >> 29
            index += 8
        }
        while index < text.count {
            state = unsafe (state ^ UInt64(text[index])) &* 0x100_0000_01B3
            index += 1
        }
        state ^= state >> 31
    }

    @inline(__always)
    private static func equal(
        _ kept: UnsafeMutablePointer<UInt8>,
        _ text: UnsafeRawBufferPointer
    ) -> Bool {
        let raw = UnsafeRawPointer(kept)
        var index = 0
        while index + 8 <= text.count {
            let left = unsafe raw.loadUnaligned(fromByteOffset: index, as: UInt64.self)
            let right = unsafe text.loadUnaligned(fromByteOffset: index, as: UInt64.self)
            guard left == right else { return false }
            index += 8
        }
        while index < text.count {
            guard unsafe kept[index] == text[index] else { return false }
            index += 1
        }
        return true
    }
}

/// The static table (RFC 7541 Appendix A), as far as our own names meet it.
enum HPACKStatic {
    /// The index of a whole entry: a field the table has with this very value.
    @inline(__always)
    static func index(of name: FieldName, value: UnsafeRawBufferPointer) -> Int? {
        switch name {
        case .method:
            if unsafe ASCII.equal(value, "POST") { return 3 }
            return unsafe ASCII.equal(value, "GET") ? 2 : nil
        case .path:
            return unsafe value.count == 1 && value[0] == ASCII.slash ? 4 : nil
        case .scheme:
            if unsafe ASCII.equal(value, "http") { return 6 }
            return unsafe ASCII.equal(value, "https") ? 7 : nil
        case .status:
            if unsafe ASCII.equal(value, "200") { return 8 }
            if unsafe ASCII.equal(value, "204") { return 9 }
            if unsafe ASCII.equal(value, "206") { return 10 }
            if unsafe ASCII.equal(value, "304") { return 11 }
            if unsafe ASCII.equal(value, "400") { return 12 }
            if unsafe ASCII.equal(value, "404") { return 13 }
            return unsafe ASCII.equal(value, "500") ? 14 : nil
        case .acceptEncoding:
            return unsafe ASCII.equal(value, "gzip, deflate") ? 16 : nil
        default: return nil
        }
    }

    /// The index of an entry with this name, or 0.
    @inline(__always)
    static func nameIndex(_ name: FieldName) -> Int {
        switch name {
        case .authority: 1
        case .method: 2
        case .path: 4
        case .scheme: 6
        case .status: 8
        case .acceptEncoding: 16
        case .accept: 19
        case .allow: 22
        case .authorization: 23
        case .cacheControl: 24
        case .contentEncoding: 26
        case .contentLength: 28
        case .contentType: 31
        case .cookie: 32
        case .date: 33
        case .expect: 35
        case .host: 38
        case .location: 46
        case .proxyAuthenticate: 48
        case .proxyAuthorization: 49
        case .retryAfter: 53
        case .server: 54
        case .transferEncoding: 57
        case .userAgent: 58
        case .via: 60
        default: 0
        }
    }
}

extension FieldName {
    /// Whether its value could be guessed by watching compression (RFC 7541 §7.1).
    fileprivate var isSecret: Bool {
        self == .authorization || self == .proxyAuthorization || self == .cookie
    }
}
