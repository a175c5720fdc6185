import SluiceCore

/// Where in a head's text stands what differs from one like it: volatile values, the path where callers
/// vary it, and the body's length.
///
/// Heads go out on HTTP/1.1 much as they went before, and putting one together field by field takes some
/// 2,000 instructions. So the last few are kept by all sessions of a loop beside the blocks they were
/// made of (``EncodedHeads``); one that comes again is compared and copied.
@safe
struct HTTP1Layout {
    /// The head as it was written; borrowed until more is.
    var text = unsafe UnsafeRawBufferPointer(start: nil, count: 0)
    /// A request's method was HEAD.
    var isHead = false
    private var cuts = EncodedHeads.Cuts()
    private var path = 0..<0
    private var length = 0..<0
    private var isKeepable = true

    // What stands in the text of a field that isn't written.
    private static let nowhere = -1
    // Places in a note have 24 bits each; texts that are kept are shorter.
    private static let placeMask: UInt64 = 1 << 24 - 1

    /// Notes a field after its turn to be written.
    @inline(__always)
    mutating func note(_ field: Field, at index: Int, isWritten: Bool, upTo end: Int) {
        // An identifier that is taken out, as ours stands for it, is another each time as well.
        guard field.isVolatile || (field.isRemoved && field.name == .requestID) else { return }
        guard isWritten else {
            // It is no part of the text, whatever it says.
            cuts.add(.init(field: index, before: 0, after: HTTP1Layout.nowhere))
            return
        }
        // The value stands before the line's end. One that wasn't fit to be written has no place.
        let after = end &- 2
        let before = after &- Int(field.valueLength)
        if before < 0 || field.name.isPseudo { isKeepable = false }
        cuts.add(.init(field: index, before: before, after: after))
    }

    /// Notes where a request's path stands, before any field is noted.
    @inline(__always)
    mutating func notePath(_ place: Range<Int>) { path = place }

    /// Notes where the body's length stands.
    mutating func noteLength(_ place: Range<Int>) { length = place }

    /// Lets the head be known when it comes again under the same `form`.
    func keep(_ block: FieldBlock, form: UInt64, in texts: EncodedHeads) {
        guard texts.keepsMissed(), isKeepable, isSound(block) else { return }
        var note = UInt64(length.lowerBound) << 8 | UInt64(length.upperBound) << 32
        if isHead { note |= 1 }
        if !length.isEmpty { note |= 2 }
        unsafe texts.store(
            block,
            version: form,
            cuts: cutsToKeep(block, form, texts),
            encoded: text,
            note: note
        )
    }

    /// The volatile values; and the path, where a head is kept already that differs in nothing else.
    ///
    /// A query or an identifier in the path makes each head another. A path that stays is no cut, as
    /// comparing it costs less than copying it by itself.
    private func cutsToKeep(
        _ block: FieldBlock,
        _ form: UInt64,
        _ texts: EncodedHeads
    ) -> EncodedHeads.Cuts {
        guard !path.isEmpty, !cuts.isOverfull, let field = block.index(of: .path) else {
            return cuts
        }
        var all = EncodedHeads.Cuts()
        all.add(.init(field: field, before: path.lowerBound, after: path.upperBound))
        for index in 0..<cuts.count { all.add(cuts[index]) }
        return !all.isOverfull && texts.holdsLike(block, version: form, cuts: all) ? all : cuts
    }

    /// Whether every volatile value was written.
    private func isSound(_ block: FieldBlock) -> Bool {
        for index in 0..<cuts.count where cuts[index].after != HTTP1Layout.nowhere {
            guard HTTP1Layout.isSound(block[cuts[index].field], block) else { return false }
        }
        return true
    }

    @inline(__always)
    private static func isSound(_ field: Field, _ block: FieldBlock) -> Bool {
        // A path is part of the request line, where a space would end it.
        if field.name == .path { return unsafe FieldValidation.isPath(block.value(of: field)) }
        return unsafe field.isSound || FieldValidation.isText(block.value(of: field))
    }

    // MARK: - Once more

    /// What is known of a head that was written once more.
    struct Known: BitwiseCopyable {
        /// Whether a request's method is HEAD.
        let isHead: Bool
    }

    /// Writes a head that came before under the same `form`, with what was cut out as it is now and
    /// `length` as the body's; nil where it has to be put together.
    static func repeatHead(
        _ block: FieldBlock,
        form: UInt64,
        length: Int,
        from texts: EncodedHeads,
        to output: inout ByteBuffer
    ) -> Known? {
        guard let index = texts.find(block, version: form) else { return nil }
        let text = unsafe texts.encoded(of: index)
        let note = texts.note(of: index)
        guard let from = text.baseAddress else { return nil }
        // A number has up to twenty digits.
        let start = unsafe output.reserve(text.count &+ block.byteCount &+ 20)
        var place = unsafe start
        var written = 0
        for number in 0..<texts.cutCount(of: index) {
            let cut = texts.cut(number, of: index)
            if cut.after == nowhere { continue }
            let field = block[cut.field]
            // Nothing has been committed, so nothing was written.
            guard isSound(field, block) else { return nil }
            let value = unsafe block.value(of: field)
            unsafe ShortBytes.copy(from + written, to: place, count: cut.before &- written)
            unsafe place += cut.before &- written
            if let bytes = value.baseAddress {
                unsafe ShortBytes.copy(bytes, to: place, count: value.count)
                unsafe place += value.count
            }
            written = cut.after
        }
        if note & 2 != 0 {
            let before = Int(note >> 8 & placeMask)
            unsafe ShortBytes.copy(from + written, to: place, count: before &- written)
            unsafe place += before &- written
            unsafe place += ASCII.write(decimal: length, to: place)
            written = Int(note >> 32 & placeMask)
        }
        unsafe ShortBytes.copy(from + written, to: place, count: text.count &- written)
        unsafe place += text.count &- written
        unsafe output.commit(place - start)
        return Known(isHead: note & 1 != 0)
    }
}
