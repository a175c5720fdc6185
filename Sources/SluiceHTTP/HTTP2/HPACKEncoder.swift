// HPACK's sending half (RFC 7541).
//
// A field already knows its name by number, and most fields repeat the value they had last. So the
// entry that last took a name is tried first, and then one comparison of bytes finds the field; the
// rest of the table is searched by 32-bit hashes from newest to oldest. Values go out as plain
// octets (Huffman coding is the sender's choice, §5.2).
//
// The decoder at the other end keeps the same table by the same rules; nghttp2's is the judge in
// the tests.
package import SluiceCore

/// One direction's field compression.
@safe
package struct HPACKEncoder: ~Copyable {
    /// Entries larger than this aren't worth the others they would push out.
    private static let valueMaximum = 1024
    private static let firstDynamicIndex = HPACKStatic.count + 1

    private var table = HPACKTable()
    private let heads = EncodedHeads()
    /// Entries inserted so far, and for each known name the number of its latest.
    private var sequence: UInt32 = 0
    private let latest: UnsafeMutablePointer<UInt32>
    /// The smallest size since the last block, and whether an update must be sent (§4.2).
    private var lowestCapacity = HPACKTable.sizeMaximum
    private var mustUpdate = false

    /// An encoder with an empty table.
    package init() {
        // A number for every value a name's byte can have.
        unsafe latest = .allocate(capacity: 256)
        unsafe latest.initialize(repeating: 0, count: 256)
    }

    deinit {
        heads.deallocate()
        unsafe latest.deallocate()
    }

    /// Follows the peer's SETTINGS_HEADER_TABLE_SIZE; never above 4096.
    package mutating func limit(to wanted: Int) {
        let limited = min(wanted, HPACKTable.sizeMaximum)
        guard limited != table.capacity else { return }
        lowestCapacity = min(lowestCapacity, limited)
        mustUpdate = true
        table.resize(to: limited)
    }

    /// Encodes `block` at the end of `output` and returns the number of bytes.
    package mutating func encode(_ block: FieldBlock, into output: inout ByteBuffer) -> Int {
        let before = output.count
        if mustUpdate { writeUpdates(&output) }
        if let known = find(block) {
            repeatHead(known, block, &output)
        } else {
            encodeNew(block, into: &output)
        }
        return output.count - before
    }

    /// The kept block with the same fields: one that is called the same, or is the same to look at.
    @inline(__always)
    private func find(_ block: FieldBlock) -> Int? {
        if !block.repeatName.isNone,
            let named = heads.find(named: block.repeatName, version: table.version)
        {
            return named
        }
        return heads.find(block, version: table.version)
    }

    /// Writes a block that came before, with its volatile values as they are now.
    private mutating func repeatHead(
        _ known: Int,
        _ block: FieldBlock,
        _ output: inout ByteBuffer
    ) {
        // A value has a length of up to six octets.
        let start = unsafe output.reserve(
            heads.encoded(of: known).count &+ block.byteCount &+ heads.cutCount(of: known) &* 6
        )
        var place = unsafe start
        unsafe write(known, to: &place) { cut, _ in unsafe block.value(of: block[cut.field]) }
        unsafe output.commit(place - start)
    }

    /// Writes a kept block, `value` in its volatile fields.
    @inline(__always)
    private func write(
        _ known: Int,
        to place: inout UnsafeMutablePointer<UInt8>,
        value: (EncodedHeads.Cut, _ index: Int) -> UnsafeRawBufferPointer
    ) {
        let encoded = unsafe heads.encoded(of: known)
        guard let from = encoded.baseAddress else { return }
        var written = 0
        for index in 0..<heads.cutCount(of: known) {
            let cut = heads.cut(index, of: known)
            unsafe ShortBytes.copy(from + written, to: place, count: cut.before &- written)
            unsafe place += cut.before &- written
            unsafe HPACKEncoder.write(value(cut, index), to: &place)
            written = cut.after
        }
        unsafe ShortBytes.copy(from + written, to: place, count: encoded.count &- written)
        unsafe place += encoded.count &- written
    }

    // MARK: - Blocks called by their names

    /// The block that was sent as `name` and would come out the same now, or nil; good until the
    /// next block is encoded.
    package func known(_ name: HeadName) -> KnownBlock? {
        // No block is called `none`.
        guard !name.isNone, !mustUpdate,
            let number = heads.find(named: name, version: table.version)
        else {
            return nil
        }
        let encoded = unsafe heads.encoded(of: number)
        return KnownBlock(
            number: number,
            valueCount: heads.cutCount(of: number),
            byteCount: encoded.count
        )
    }

    /// Writes a known block with these values in its volatile fields, in their order; `place` has
    /// room for ``KnownBlock/bound(_:)`` of them.
    package func write(
        _ block: KnownBlock,
        _ values: RepeatedAnswer.Values,
        to place: inout UnsafeMutablePointer<UInt8>
    ) {
        unsafe write(block.number, to: &place) { _, index in unsafe values[index] }
    }

    /// Writes a known block with the values that `head` has for its volatile fields; `place` has room
    /// for ``KnownBlock/bound(_:)`` of them.
    package func write(
        _ block: KnownBlock,
        _ head: RepeatedHead,
        to place: inout UnsafeMutablePointer<UInt8>
    ) {
        unsafe write(block.number, to: &place) { cut, _ in unsafe head.value(at: cut.field) }
    }

    // A field takes at most a representation, two lengths of up to six octets each, a known name of
    // up to 32, and what the block holds of it.
    private static let fieldMaximum = 64

    private mutating func encodeNew(_ block: FieldBlock, into output: inout ByteBuffer) {
        let count = block.count
        let version = table.version
        var cuts = EncodedHeads.Cuts()
        let start = unsafe output.reserve(block.byteCount &+ count &* HPACKEncoder.fieldMaximum)
        var place = unsafe start
        for index in 0..<count {
            let field = block[index]
            if field.isRemoved { continue }
            let value = unsafe block.value(of: field)
            let known = unsafe field.name.isPseudo ? HPACKStatic.index(of: field.name, value) : 0
            if known > 0 {
                unsafe place.pointee = 0x80 | UInt8(truncatingIfNeeded: known)
                unsafe place += 1
            } else if field.isVolatile {
                unsafe encode(field, name: block.name(of: field), value: value, to: &place)
                // The value stands last, behind its length.
                let after = unsafe place - start
                let before = after - value.count - HPACKEncoder.lengthSize(value.count)
                cuts.add(.init(field: index, before: before, after: after))
            } else if let index = unsafe findLatest(field, value) {
                unsafe HPACKEncoder.write(index, prefix: 7, flags: 0x80, to: &place)
            } else {
                unsafe encode(field, name: block.name(of: field), value: value, to: &place)
            }
        }
        let length = unsafe place - start
        output.commit(length)
        // What goes into the table now will be found there the next time, so it comes out shorter.
        guard table.version == version else { return }
        unsafe heads.keep(
            block,
            version: version,
            cuts: cuts,
            encoded: UnsafeRawBufferPointer(start: start, count: length)
        )
    }

    // MARK: - One field

    /// A field that is neither in the static table nor its name's latest value.
    @inline(never)
    private mutating func encode(
        _ field: Field,
        name: UnsafeRawBufferPointer,
        value: UnsafeRawBufferPointer,
        to place: inout UnsafeMutablePointer<UInt8>
    ) {
        let isSecret = field.isSecret || field.name.isSecret
        let isIndexed =
            !field.isVolatile && !isSecret && value.count <= HPACKEncoder.valueMaximum
            && name.count + value.count + HPACKTable.entryOverhead <= table.capacity
        var nameIndex = HPACKStatic.nameIndex(field.name)
        if isIndexed {
            let hash = unsafe HPACKEncoder.hash(field.name, name, value)
            if let index = unsafe find(field.name, name, value, hash) {
                unsafe HPACKEncoder.write(index, prefix: 7, flags: 0x80, to: &place)
                return
            }
            if nameIndex == 0 { nameIndex = unsafe findName(field.name, name) }
            unsafe HPACKEncoder.write(nameIndex, prefix: 6, flags: 0x40, to: &place)
            unsafe insert(field.name, name, value, hash)
        } else {
            if nameIndex == 0 { nameIndex = unsafe findName(field.name, name) }
            // §6.2.3: what must never be indexed says so to every hop.
            let flags: UInt8 = isSecret ? 0x10 : 0
            unsafe HPACKEncoder.write(nameIndex, prefix: 4, flags: flags, to: &place)
        }
        if nameIndex == 0 { unsafe HPACKEncoder.write(name, to: &place) }
        unsafe HPACKEncoder.write(value, to: &place)
    }

    /// An integer with an N-bit prefix (§5.1).
    @inline(__always)
    private static func write(
        _ value: Int,
        prefix: UInt8,
        flags: UInt8,
        to place: inout UnsafeMutablePointer<UInt8>
    ) {
        let maximum = 1 << Int(prefix) - 1
        if value < maximum {
            unsafe place.pointee = flags | UInt8(truncatingIfNeeded: value)
            unsafe place += 1
            return
        }
        unsafe place.pointee = flags | UInt8(truncatingIfNeeded: maximum)
        unsafe place += 1
        var rest = value - maximum
        while rest >= 0x80 {
            unsafe place.pointee = UInt8(truncatingIfNeeded: rest) | 0x80
            unsafe place += 1
            rest >>= 7
        }
        unsafe place.pointee = UInt8(truncatingIfNeeded: rest)
        unsafe place += 1
    }

    /// How many octets the length of a string literal takes (§5.1, a prefix of seven bits).
    private static func lengthSize(_ length: Int) -> Int {
        guard length >= 0x7F else { return 1 }
        var size = 2
        var rest = (length - 0x7F) >> 7
        while rest > 0 {
            size += 1
            rest >>= 7
        }
        return size
    }

    /// A string literal, not Huffman-coded (§5.2).
    @inline(__always)
    private static func write(
        _ text: UnsafeRawBufferPointer,
        to place: inout UnsafeMutablePointer<UInt8>
    ) {
        unsafe write(text.count, prefix: 7, flags: 0, to: &place)
        if let from = text.baseAddress {
            unsafe ShortBytes.copy(from, to: place, count: text.count)
        }
        unsafe place += text.count
    }

    /// §4.2: when the size shrank and grew again, both are told.
    private mutating func writeUpdates(_ output: inout ByteBuffer) {
        let start = unsafe output.reserve(12)
        var place = unsafe start
        if lowestCapacity < table.capacity {
            unsafe HPACKEncoder.write(lowestCapacity, prefix: 5, flags: 0x20, to: &place)
        }
        unsafe HPACKEncoder.write(table.capacity, prefix: 5, flags: 0x20, to: &place)
        unsafe output.commit(place - start)
        lowestCapacity = table.capacity
        mustUpdate = false
    }

    // MARK: - The dynamic table

    @inline(__always)
    private func findLatest(_ field: Field, _ value: UnsafeRawBufferPointer) -> Int? {
        let inserted = unsafe latest[Int(field.name.rawValue)]
        guard inserted > 0, field.name != .other else { return nil }
        let age = Int(sequence &- inserted)
        // The number may be from before the count went round, so the name is compared as well.
        guard let entry = unsafe table.entry(at: age),
            unsafe entry.pointee.name == field.name,
            unsafe Int(entry.pointee.valueLength) == value.count,
            !field.isSecret,
            let text = value.baseAddress,
            unsafe ShortBytes.equal(table.bytes(of: entry), text, count: value.count)
        else { return nil }
        return HPACKEncoder.firstDynamicIndex &+ age
    }

    private func find(
        _ name: FieldName,
        _ nameText: UnsafeRawBufferPointer,
        _ value: UnsafeRawBufferPointer,
        _ hash: UInt32
    ) -> Int? {
        for age in 0..<table.count {
            guard let entry = unsafe table.entry(at: age), unsafe entry.pointee.hash == hash,
                unsafe entry.pointee.name == name,
                unsafe Int(entry.pointee.valueLength) == value.count,
                unsafe sameName(entry, nameText)
            else { continue }
            let kept = unsafe table.bytes(of: entry) + entry.pointee.keptNameLength
            guard
                unsafe value.baseAddress.map({
                    unsafe ShortBytes.equal(kept, $0, count: value.count)
                }) ?? true
            else { continue }
            return HPACKEncoder.firstDynamicIndex + age
        }
        return nil
    }

    private func findName(_ name: FieldName, _ text: UnsafeRawBufferPointer) -> Int {
        // A known name that was never inserted isn't there.
        guard unsafe name == .other || latest[Int(name.rawValue)] > 0 else { return 0 }
        for age in 0..<table.count {
            if let entry = unsafe table.entry(at: age), unsafe entry.pointee.name == name,
                unsafe sameName(entry, text)
            {
                return HPACKEncoder.firstDynamicIndex + age
            }
        }
        return 0
    }

    private func sameName(
        _ entry: UnsafeMutablePointer<HPACKTable.Entry>,
        _ text: UnsafeRawBufferPointer
    ) -> Bool {
        guard unsafe entry.pointee.name == .other else { return true }
        guard let base = text.baseAddress else { return false }
        return unsafe Int(entry.pointee.nameLength) == text.count
            && ShortBytes.equal(table.bytes(of: entry), base, count: text.count)
    }

    private mutating func insert(
        _ name: FieldName,
        _ nameText: UnsafeRawBufferPointer,
        _ value: UnsafeRawBufferPointer,
        _ hash: UInt32
    ) {
        guard
            let place = unsafe table.insert(
                name: name,
                nameLength: nameText.count,
                valueLength: value.count,
                hash: hash
            )
        else { return }
        sequence &+= 1
        unsafe latest[Int(name.rawValue)] = sequence
        let kept = name == .other ? nameText.count : 0
        if kept > 0, let from = nameText.baseAddress {
            unsafe ShortBytes.copy(from, to: place, count: kept)
        }
        if let from = value.baseAddress {
            unsafe ShortBytes.copy(from, to: place + kept, count: value.count)
        }
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
}

extension FieldName {
    /// Whether its value could be guessed by watching compression (RFC 7541 §7.1).
    fileprivate var isSecret: Bool {
        self == .authorization || self == .proxyAuthorization || self == .cookie
    }
}
