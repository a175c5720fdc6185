// HPACK's receiving half (RFC 7541).
//
// Fields go straight into the message's block. An entry of the dynamic table remembers by number
// which name it has and whether name and value are well-formed, so that a repeated field costs one
// copy of its value and no second look at its bytes.
//
//     entries, a ring:      oldest ... newest      index 62 is the newest (§2.3.3)
//     bytes, an arena:      [name if unknown][value] for each entry, in the same order
//
// nghttp2's encoder and decoder are the judges in the tests.
import SluiceCore

/// One direction's field decompression.
@safe
package struct HPACKDecoder: ~Copyable {
    /// Why a block can't be read.
    package enum Failure: Error {
        /// The bytes aren't HPACK; the connection can't go on (RFC 9113 §4.3).
        case malformed
        /// Decoded fields passed four times the limit: a bomb; the connection ends.
        case bomb
    }

    /// What is known of a header block that came before.
    private struct Note: BitwiseCopyable {
        var size: Int
        /// The body that a well-formed head promised (-1 is any); nil where it wasn't one.
        var promised: Int?
        /// Whether it is a trailer section as it should be.
        var isTrailers = false
        /// Which field is the path, where that is spelt out; nil where it isn't.
        var path: Int?
    }

    private var table = HPACKTable()
    /// Blocks that came before and left the table as it was.
    private let heads = HeadMemory<Note>(slotMaximum: 4)
    /// Which of these the last one was, if it was one.
    private var latest: Int?
    /// Which of these the last one was but for its path, if it was that.
    private var varied: Int?
    /// The path that the last block spelt out: which field it is, and how many bytes of the block were
    /// left before its value and after it.
    private var path: (field: Int, before: Int, after: Int)?
    private let known = HPACKStatic.shared
    private let huffman = HPACKHuffman.shared
    /// What our SETTINGS allow, once the peer has acknowledged them.
    private var limit = HPACKTable.sizeMaximum
    /// Whether the next block must begin by telling a smaller size (§4.2).
    private var mustShrink = false

    /// A decoder with an empty table.
    package init() {}

    deinit { heads.deallocate() }

    /// What ``HTTP2HeadCheck`` found the last block to promise, when it was a good head before.
    var promised: Int? { (latest ?? varied).flatMap { heads[$0].promised } }

    /// Whether ``HTTP2HeadCheck`` found the last block to be good trailers before.
    var isTrailers: Bool { latest.map { heads[$0].isTrailers } ?? false }

    /// Whether the last block will be known when the same bytes come again.
    var isLastRemembered: Bool { latest != nil }

    /// Remembers what was found out about the last block, for the next time the same bytes come.
    mutating func remember(promised: Int?, isTrailers: Bool = false, of block: FieldBlock) {
        guard let latest else { return }
        heads[latest].promised = promised
        heads[latest].isTrailers = isTrailers
        heads.noteFindings(of: latest, from: block)
    }

    /// Holds the peer's encoder to our SETTINGS_HEADER_TABLE_SIZE, once it has acknowledged them.
    package mutating func limit(to size: Int) {
        limit = min(size, HPACKTable.sizeMaximum)
        if limit < table.capacity {
            mustShrink = true
            table.resize(to: limit)
        }
    }

    /// Decodes a whole header block into `block`; returns the fields' size: names and
    /// values, plus 32 for each field (RFC 9113 §6.5.2).
    ///
    /// Fields beyond `maximum` of it are dropped, but decoded all the same, because the table must
    /// stay in step. `block` must be empty.
    package mutating func decode(
        _ bytes: UnsafeRawBufferPointer,
        into block: FieldBlock,
        maximum: Int
    ) throws(Failure) -> Int {
        let version = table.version
        latest = unsafe heads.find(bytes, key: bytes.count, state: version)
        varied = nil
        if let latest {
            if heads[latest].size <= maximum {
                heads.fill(block, from: latest)
                return heads[latest].size
            }
        } else if let size = unsafe try readVaried(bytes, into: block, maximum: maximum) {
            return size
        }
        path = nil
        let size = unsafe try read(bytes, into: block, maximum: maximum)
        // What a block means depends on the table alone. The demand that a block begin with an
        // update (``mustShrink``) comes with a change of the table.
        if latest == nil, table.version == version, size <= maximum {
            let cut = path.map { bytes.count - $0.before..<bytes.count - $0.after }
            latest = unsafe heads.keep(
                bytes,
                key: bytes.count,
                state: version,
                block: block,
                note: Note(size: size, promised: nil, path: path?.field),
                cut: cut ?? 0..<0
            )
        }
        return size
    }

    /// Decodes a request that differs from one before in its path alone, as with a query; nil, with
    /// `block` empty, for any other.
    ///
    /// Only what hangs on the path is checked once more: that it can be routed by, which says as well
    /// that it is well-formed (``RequestTarget/isSound(_:isHTTP2:)``).
    private mutating func readVaried(
        _ bytes: UnsafeRawBufferPointer,
        into block: FieldBlock,
        maximum: Int
    ) throws(Failure) -> Int? {
        guard let (index, piece) = unsafe heads.findVaried(bytes, state: table.version) else {
            return nil
        }
        let note = heads[index]
        guard note.promised != nil, let field = note.path, heads.hasSoundTarget(index) else {
            return nil
        }
        var reader = unsafe HPACKReader(piece)
        // A string that is longer goes on in what is like the other head, and means something else.
        guard let (text, isCoded) = unsafe try? reader.string(), reader.remaining == 0 else {
            return nil
        }
        // What is too long goes the long way, which says so: a code has at most 30 bits.
        guard (isCoded ? text.count * 8 / 30 : text.count) <= maximum else { return nil }
        heads.fill(block, from: index)
        // Behind room for the value to grow by all its length.
        let room = isCoded ? HPACKHuffman.bound(text.count) : text.count
        let place = unsafe block.stage(2 * room) + room
        let length = unsafe try write(text, isCoded, to: place)
        let value = unsafe UnsafeRawBufferPointer(start: place, count: length)
        let size = note.size - Int(block[field].valueLength) + length
        guard size <= maximum, unsafe FieldValidation.isPath(value) else {
            block.removeAll()
            return nil
        }
        unsafe block.spell(field, value)
        block.repeatName = .none
        heads.noteFound(index)
        varied = index
        return size
    }

    private mutating func read(
        _ bytes: UnsafeRawBufferPointer,
        into block: FieldBlock,
        maximum: Int
    ) throws(Failure) -> Int {
        var reader = unsafe HPACKReader(bytes)
        var size = 0
        var isFirst = true
        while let byte = reader.peek {
            if byte & 0xE0 == 0x20 {
                // §4.2: only at the beginning, and never above what we allowed.
                let wanted = try reader.integer(prefix: 5)
                guard isFirst, wanted <= limit else { throw .malformed }
                mustShrink = false
                table.resize(to: wanted)
                continue
            }
            guard !mustShrink else { throw .malformed }
            isFirst = false
            size +=
                byte & 0x80 != 0
                ? try indexed(&reader, block) : try literal(&reader, block, byte)
            guard size <= maximum else {
                guard size / 4 <= maximum else { throw .bomb }
                block.removeLast()
                continue
            }
        }
        guard !mustShrink || isFirst else { throw .malformed }
        return size
    }

    /// §6.1: a field the tables have.
    private func indexed(_ reader: inout HPACKReader, _ block: FieldBlock) throws(Failure) -> Int {
        let index = try reader.integer(prefix: 7)
        if index > HPACKStatic.count {
            guard let entry = unsafe table.entry(at: index - HPACKStatic.count - 1) else {
                throw .malformed
            }
            let kept = unsafe entry.pointee.keptNameLength
            let length = unsafe Int(entry.pointee.valueLength)
            let place = unsafe block.stage(kept &+ length)
            unsafe ShortBytes.copy(table.bytes(of: entry), to: place, count: kept &+ length)
            unsafe block.addStaged(
                entry.pointee.name,
                nameLength: Int(entry.pointee.nameLength),
                valueLength: length,
                isSecret: false,
                isSound: entry.pointee.isSound
            )
            return unsafe entry.pointee.size
        }
        guard index > 0 else { throw .malformed }
        let entry = known[index]
        let kept = unsafe entry.name == .other ? entry.nameText.count : 0
        let place = unsafe block.stage(kept &+ entry.value.count)
        if kept > 0 { unsafe copy(entry.nameText, to: place) }
        unsafe copy(entry.value, to: place + kept)
        unsafe block.addStaged(
            entry.name,
            nameLength: entry.nameText.count,
            valueLength: entry.value.count,
            isSecret: false,
            isSound: true
        )
        return unsafe entry.nameText.count + entry.value.count + HPACKTable.entryOverhead
    }

    /// §6.2: a field whose value, and perhaps name, is spelt out.
    private mutating func literal(
        _ reader: inout HPACKReader,
        _ block: FieldBlock,
        _ byte: UInt8
    ) throws(Failure) -> Int {
        let isRemembered = byte & 0x40 != 0
        let index = try reader.integer(prefix: isRemembered ? 6 : 4)
        var name = FieldName.other
        var nameLength = 0
        var isSound = true
        if index == 0 {
            let (text, isCoded) = unsafe try reader.string()
            nameLength = unsafe try stage(text, isCoded, block, after: 0)
            let place = unsafe UnsafeRawBufferPointer(start: block.stage(0), count: nameLength)
            unsafe name = .lookup(place)
            if name == .other { isSound = unsafe FieldValidation.isLowercaseToken(place) }
        } else if index > HPACKStatic.count {
            guard let entry = unsafe table.entry(at: index - HPACKStatic.count - 1) else {
                throw .malformed
            }
            unsafe name = entry.pointee.name
            nameLength = unsafe Int(entry.pointee.nameLength)
            let kept = unsafe entry.pointee.keptNameLength
            unsafe ShortBytes.copy(table.bytes(of: entry), to: block.stage(kept), count: kept)
            if name == .other { isSound = unsafe entry.pointee.hasSoundName }
        } else {
            let entry = known[index]
            name = entry.name
            nameLength = unsafe entry.nameText.count
            if name == .other { unsafe copy(entry.nameText, to: block.stage(nameLength)) }
        }
        let hasSoundName = isSound
        let kept = name == .other ? nameLength : 0
        let before = reader.remaining
        let (text, isCoded) = unsafe try reader.string()
        if name == .path, !isRemembered { path = (block.count, before, reader.remaining) }
        let valueLength = unsafe try stage(text, isCoded, block, after: kept)
        let place = unsafe block.stage(0)
        isSound =
            unsafe isSound
            && FieldValidation.isValue(
                UnsafeRawBufferPointer(start: place + kept, count: valueLength)
            )
        if isRemembered {
            unsafe table.insert(
                place,
                name: name,
                nameLength: nameLength,
                valueLength: valueLength,
                isSound: isSound,
                hasSoundName: hasSoundName
            )
        }
        block.addStaged(
            name,
            nameLength: nameLength,
            valueLength: valueLength,
            isSecret: byte & 0xF0 == 0x10,
            isSound: isSound
        )
        return nameLength + valueLength + HPACKTable.entryOverhead
    }

    /// Puts a string behind `kept` staged bytes and returns its length.
    private func stage(
        _ text: UnsafeRawBufferPointer,
        _ isCoded: Bool,
        _ block: FieldBlock,
        after kept: Int
    ) throws(Failure) -> Int {
        let room = isCoded ? HPACKHuffman.bound(text.count) : text.count
        return unsafe try write(text, isCoded, to: block.stage(kept + room, keeping: kept) + kept)
    }

    /// Writes a string to where there is room for it, and returns its length.
    @inline(__always)
    private func write(
        _ text: UnsafeRawBufferPointer,
        _ isCoded: Bool,
        to place: UnsafeMutablePointer<UInt8>
    ) throws(Failure) -> Int {
        guard isCoded else {
            unsafe copy(text, to: place)
            return text.count
        }
        guard let length = unsafe huffman.decode(text, to: place) else { throw .malformed }
        return length
    }

    @inline(__always)
    private func copy(_ text: UnsafeRawBufferPointer, to place: UnsafeMutablePointer<UInt8>) {
        guard let from = text.baseAddress else { return }
        unsafe ShortBytes.copy(from, to: place, count: text.count)
    }
}
