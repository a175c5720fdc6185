// Heads that came before.
//
// A client on a kept connection says the same head over and over: it calls the same model with the
// same settings, and only the body differs. So the last few heads are kept, as they came and as they
// were understood, and one that comes again byte for byte is copied instead of parsed: some 150
// instructions instead of 2,000.
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
    @inline(__always)
    func keep(
        _ wire: UnsafeRawBufferPointer,
        key: Int,
        state: UInt64,
        block: FieldBlock,
        note: Note
    ) -> Int? {
        guard unsafe self.state.pointee.clock.keepsMissed() else { return nil }
        return unsafe store(wire, key: key, state: state, block: block, note: note)
    }

    @inline(never)
    private func store(
        _ wire: UnsafeRawBufferPointer,
        key: Int,
        state: UInt64,
        block: FieldBlock,
        note: Note
    ) -> Int? {
        guard let from = wire.baseAddress, wire.count > 0,
            wire.count <= HeadMemory.wireMaximum, block.fitsNewBlock
        else { return nil }
        let index = slotToFill(note)
        let slot = unsafe self.state.pointee.slots + index
        unsafe ShortBytes.copy(from, to: slot.pointee.wire, count: wire.count)
        unsafe slot.pointee.wireCount = wire.count
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
