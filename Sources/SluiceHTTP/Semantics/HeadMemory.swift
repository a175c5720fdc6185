// Heads that came before.
//
// A client on a kept connection says the same head over and over: it calls the same model with the
// same settings, and only the body differs. So the last few heads are kept, as they came and as they
// were understood, and one that comes again byte for byte is copied instead of parsed: some 150
// instructions instead of 2,000.
//
// A head may differ in one piece that was cut out, its path, and still be found: then the rest is copied
// and only the piece is read.
//
// Heads that differ each time (by a trace, or an identifier of the client's) must not pay for that:
// comparing stops at the first difference, and while nothing is found ever less is kept.
import SluiceCore

/// The last few heads of one connection, or one loop, found by the bytes they came as.
///
/// `Note` is what the parser knew beside the fields. Whatever the bytes' meaning depends on besides
/// themselves must be in the `state` that both sides of a comparison name.
///
/// A handle, so that reaching for it costs no exclusivity check; its maker deallocates it.
@safe
struct HeadMemory<Note: BitwiseCopyable>: BitwiseCopyable {
    @safe
    private struct Slot: BitwiseCopyable {
        let wire: UnsafeMutablePointer<UInt8>
        let block: FieldBlock
        var wireCount = 0
        /// The piece of it that callers may vary; empty where there is none.
        var cutStart = 0
        var cutEnd = 0
        var key = 0
        var state: UInt64 = 0
        var note: Note
    }

    @safe
    private struct State: BitwiseCopyable {
        let slots: UnsafeMutablePointer<Slot>
        var clock: SlotClock
    }

    // Longer heads aren't kept; with its block a slot takes some 2 KiB once it is used.
    private static var wireMaximum: Int { 512 }

    private let state: UnsafeMutablePointer<State>

    /// A memory for up to `slotMaximum` heads, all of which it looks through.
    init(slotMaximum: Int) {
        unsafe state = .allocate(capacity: 1)
        unsafe state.initialize(
            to: State(
                slots: .allocate(capacity: slotMaximum),
                clock: SlotClock(maximum: slotMaximum)
            )
        )
    }

    func deallocate() {
        let slots = unsafe state.pointee.slots
        for index in unsafe 0..<state.pointee.clock.count {
            unsafe slots[index].wire.deallocate()
            unsafe slots[index].block.deallocate()
        }
        unsafe slots.deallocate()
        unsafe state.deallocate()
    }

    /// How many heads are kept.
    var count: Int { unsafe state.pointee.clock.count }

    /// The head that `bytes` begin with, or nil; it stays what it is until the next ``keep``.
    ///
    /// Only heads kept under the same `key`, such as the length of what came, are compared.
    @inline(__always)
    func find(_ bytes: UnsafeRawBufferPointer, key: Int, state: UInt64) -> Int? {
        guard let base = bytes.baseAddress else { return nil }
        // Slots below the count are initialized, and lengths are compared before bytes.
        for index in unsafe 0..<self.state.pointee.clock.count {
            let slot = unsafe self.state.pointee.slots + index
            guard unsafe slot.pointee.key == key, unsafe slot.pointee.state == state,
                unsafe slot.pointee.wireCount <= bytes.count,
                unsafe ShortBytes.equal(slot.pointee.wire, base, count: slot.pointee.wireCount)
            else { continue }
            unsafe self.state.pointee.clock.noteFound(index)
            return index
        }
        return nil
    }

    /// A head that `bytes` are but for the piece it was kept with, and what `bytes` have in its place.
    ///
    /// Whether that piece is a whole one is for the caller to see, who says so by ``noteFound(_:)``.
    func findVaried(
        _ bytes: UnsafeRawBufferPointer,
        state: UInt64
    ) -> (index: Int, piece: UnsafeRawBufferPointer)? {
        guard let base = bytes.baseAddress else { return nil }
        for index in unsafe 0..<self.state.pointee.clock.count {
            let slot = unsafe self.state.pointee.slots + index
            let (start, end) = unsafe (slot.pointee.cutStart, slot.pointee.cutEnd)
            guard end > 0, unsafe slot.pointee.state == state else { continue }
            let rest = unsafe slot.pointee.wireCount - end
            let count = bytes.count - start - rest
            guard count > 0, unsafe ShortBytes.equal(slot.pointee.wire, base, count: start),
                unsafe ShortBytes.equal(
                    slot.pointee.wire + end,
                    base + (start + count),
                    count: rest
                )
            else { continue }
            return unsafe (index, UnsafeRawBufferPointer(start: base + start, count: count))
        }
        return nil
    }

    /// A head that `bytes` begin with but for the piece it was kept with, which is another in `bytes` and
    /// reaches up to the first `delimiter` there; and that piece.
    func findVaried(
        _ bytes: UnsafeRawBufferPointer,
        state: UInt64,
        upTo delimiter: UInt8
    ) -> (index: Int, piece: UnsafeRawBufferPointer)? {
        guard let base = bytes.baseAddress, unsafe self.state.pointee.clock.isWorthLooking else {
            return nil
        }
        // Most pieces begin at the same place, so the end is looked for once.
        var (lookedFrom, count) = (0, 0)
        for index in unsafe 0..<self.state.pointee.clock.count {
            let slot = unsafe self.state.pointee.slots + index
            let (start, end) = unsafe (slot.pointee.cutStart, slot.pointee.cutEnd)
            guard end > 0, start < bytes.count, unsafe slot.pointee.state == state,
                unsafe ShortBytes.equal(slot.pointee.wire, base, count: start)
            else { continue }
            if start != lookedFrom {
                lookedFrom = start
                let tail = unsafe UnsafeRawBufferPointer(rebasing: bytes[start...])
                count = unsafe HTTP1Session.first(delimiter, in: tail, before: tail.count) ?? 0
            }
            let rest = unsafe slot.pointee.wireCount - end
            guard count > 0, start + count + rest <= bytes.count,
                unsafe ShortBytes.equal(
                    slot.pointee.wire + end,
                    base + (start + count),
                    count: rest
                )
            else { continue }
            return unsafe (index, UnsafeRawBufferPointer(start: base + start, count: count))
        }
        return nil
    }

    /// Notes that a head came again, but for the piece it was kept with.
    @inline(__always)
    func noteFound(_ index: Int) { unsafe state.pointee.clock.noteFound(index) }

    /// Whether a kept request was found to say whom it is for; see ``FieldBlock/hasSoundTarget``.
    @inline(__always)
    func hasSoundTarget(_ index: Int) -> Bool {
        unsafe state.pointee.slots[index].block.hasSoundTarget
    }

    /// Fills an empty block with the fields of a head that was found.
    @inline(__always)
    func fill(_ block: FieldBlock, from index: Int) {
        unsafe block.copy(state.pointee.slots[index].block)
    }

    /// What is known of a head that was found or kept.
    @inline(__always)
    subscript(index: Int) -> Note {
        get { unsafe state.pointee.slots[index].note }
        nonmutating set { unsafe state.pointee.slots[index].note = newValue }
    }

    /// Lets a kept head know what was found out about `block`, from which it was kept.
    func noteFindings(of index: Int, from block: FieldBlock) {
        unsafe state.pointee.slots[index].block.copyFindings(block)
    }

    /// How many bytes a head that was found came as.
    @inline(__always)
    func wireCount(of index: Int) -> Int { unsafe state.pointee.slots[index].wireCount }

    /// Keeps a head that wasn't found, or doesn't: then it returns nil.
    ///
    /// `cut` is the piece of it that ``findVaried(_:state:)`` lets differ.
    @inline(__always)
    func keep(
        _ wire: UnsafeRawBufferPointer,
        key: Int,
        state: UInt64,
        block: FieldBlock,
        note: Note,
        cut: Range<Int> = 0..<0
    ) -> Int? {
        guard unsafe self.state.pointee.clock.keepsMissed() else { return nil }
        return unsafe store(wire, key: key, state: state, block: block, note: note, cut: cut)
    }

    @inline(never)
    private func store(
        _ wire: UnsafeRawBufferPointer,
        key: Int,
        state: UInt64,
        block: FieldBlock,
        note: Note,
        cut: Range<Int>
    ) -> Int? {
        guard let from = wire.baseAddress, wire.count > 0,
            wire.count <= HeadMemory.wireMaximum, block.fitsNewBlock
        else { return nil }
        let index = slotToFill(note)
        let slot = unsafe self.state.pointee.slots + index
        unsafe ShortBytes.copy(from, to: slot.pointee.wire, count: wire.count)
        unsafe slot.pointee.wireCount = wire.count
        unsafe slot.pointee.cutStart = cut.lowerBound
        unsafe slot.pointee.cutEnd = cut.upperBound
        unsafe slot.pointee.key = key
        unsafe slot.pointee.state = state
        unsafe slot.pointee.note = note
        unsafe slot.pointee.block.copy(block)
        return index
    }

    /// The slot to fill next, initialized.
    private func slotToFill(_ note: Note) -> Int {
        let count = unsafe state.pointee.clock.count
        let index = unsafe state.pointee.clock.next()
        if index == count {
            unsafe (state.pointee.slots + index).initialize(
                to: Slot(
                    wire: .allocate(capacity: HeadMemory.wireMaximum),
                    block: .make(),
                    note: note
                )
            )
        }
        return index
    }
}
