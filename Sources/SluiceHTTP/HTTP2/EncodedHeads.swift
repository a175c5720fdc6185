// Heads that were encoded before.
//
// A connection says much the same over and over: the same model is asked for the same client, and
// the same backend answers. While the dynamic table stays as it is, equal fields come out as equal
// bytes; so the last few blocks are kept beside what they became, and one that comes again is
// compared and copied instead of looked up field by field: some 200 instructions instead of 1,000.
//
// What differs in every message (an identifier, a length) is marked volatile: a block is kept in the
// pieces between these fields, which are encoded afresh each time. HTTP/1.1 keeps a path apart as well,
// once it has seen that it varies.
private import Glibc
import SluiceCore

/// The last few blocks of one encoder, found by their fields.
///
/// A handle, so that reaching for it costs no exclusivity check; its maker deallocates it.
@safe
struct EncodedHeads: BitwiseCopyable {
    /// A volatile field, and where its value stands in what the block became.
    struct Cut: BitwiseCopyable {
        var field = 0
        /// What was encoded before the value ends at `before`, what follows it begins at `after`.
        var before = 0
        var after = 0
    }

    /// The volatile fields of one block.
    struct Cuts: BitwiseCopyable {
        static var maximum: Int { 6 }
        private(set) var count = 0
        /// Whether there were more than are noted.
        private(set) var isOverfull = false
        private var list = InlineArray<6, Cut>(repeating: Cut())

        @inline(__always)
        subscript(index: Int) -> Cut { list[index] }

        @inline(__always)
        mutating func add(_ cut: Cut) {
            guard count < Cuts.maximum else {
                isOverfull = true
                return
            }
            list[count] = cut
            count += 1
        }
    }

    /// A block and what it became: fields, their bytes, and the encoded bytes, one behind the other.
    @safe
    private struct Slot: BitwiseCopyable {
        var memory: UnsafeMutableRawPointer
        var capacity: Int
        var fieldCount = 0
        var byteCount = 0
        var encodedCount = 0
        var version: UInt64 = 0
        /// What its maker says of it.
        var note: UInt64 = 0
        /// How often it was filled.
        var filling: UInt32 = 0
        var cuts = Cuts()

        var fieldBytes: Int { fieldCount &* MemoryLayout<Field>.stride }
        var encoded: UnsafeMutableRawPointer { unsafe memory + fieldBytes + byteCount }
    }

    @safe
    private struct State: ~Copyable {
        let slots: UnsafeMutablePointer<Slot>
        var clock = SlotClock(maximum: EncodedHeads.slotMaximum)
        var aliases = HeadAliases()
    }

    private static let slotMaximum = 8
    // Larger blocks aren't kept.
    private static let bytesMaximum = 2048

    private let state: UnsafeMutablePointer<State>

    init() {
        unsafe state = .allocate(capacity: 1)
        unsafe state.initialize(
            to: State(slots: .allocate(capacity: EncodedHeads.slotMaximum))
        )
    }

    func deallocate() {
        for index in unsafe 0..<state.pointee.clock.count {
            unsafe state.pointee.slots[index].memory.deallocate()
        }
        unsafe state.pointee.slots.deallocate()
        unsafe state.deinitialize(count: 1)
        unsafe state.deallocate()
    }

    /// The kept block with the same fields, the values of volatile ones aside, or nil.
    ///
    /// `version` is that of the table (``HPACKTable/version``). The number is good until the next
    /// ``keep(_:version:cuts:encoded:)``.
    @inline(__always)
    func find(_ block: FieldBlock, version: UInt64) -> Int? {
        guard unsafe state.pointee.clock.isWorthLooking else { return nil }
        for index in unsafe 0..<state.pointee.clock.count {
            let slot = unsafe state.pointee.slots + index
            guard unsafe slot.pointee.version == version,
                unsafe slot.pointee.fieldCount == block.count,
                unsafe slot.pointee.byteCount == block.byteCount,
                unsafe isSame(slot, block, but: slot.pointee.cuts)
            else { continue }
            unsafe state.pointee.clock.noteFound(index)
            // It may have been kept under another name, or none.
            if !block.repeatName.isNone { call(index, block.repeatName) }
            return index
        }
        return nil
    }

    /// Whether a block is kept that differs in the values that `cuts` name, and in nothing else.
    @inline(never)
    func holdsLike(_ block: FieldBlock, version: UInt64, cuts: Cuts) -> Bool {
        guard EncodedHeads.areInOrder(cuts, block) else { return false }
        for index in unsafe 0..<state.pointee.clock.count {
            let slot = unsafe state.pointee.slots + index
            guard unsafe slot.pointee.version == version,
                unsafe slot.pointee.fieldCount == block.count,
                unsafe slot.pointee.byteCount == block.byteCount,
                unsafe isSame(slot, block, but: cuts)
            else { continue }
            return true
        }
        return false
    }

    /// The kept block that is called `name`; see ``find(_:version:)``.
    @inline(__always)
    func find(named name: HeadName, version: UInt64) -> Int? {
        guard let (index, filling) = unsafe state.pointee.aliases.find(name) else { return nil }
        let slot = unsafe state.pointee.slots + index
        guard unsafe slot.pointee.filling == filling, unsafe slot.pointee.version == version else {
            return nil
        }
        unsafe state.pointee.clock.noteFound(index)
        return index
    }

    /// Lets what a slot holds be found as `name`.
    @inline(never)
    private func call(_ index: Int, _ name: HeadName) {
        let slots = unsafe state.pointee.slots
        unsafe state.pointee.aliases.insert(
            name,
            slot: index,
            filling: slots[index].filling,
            isLive: { unsafe slots[$0].filling == $1 && slots[$0].version == slots[index].version }
        )
    }

    /// Whether a slot has the same fields as `block`, the values that `cuts` name aside.
    @inline(__always)
    private func isSame(
        _ slot: UnsafeMutablePointer<Slot>,
        _ block: FieldBlock,
        but cuts: @autoclosure () -> Cuts
    ) -> Bool {
        let memory = unsafe slot.pointee.memory
        let fields = unsafe slot.pointee.fieldBytes
        guard unsafe memcmp(memory, block.storage.pointee.fields, fields) == 0 else {
            return false
        }
        let kept = unsafe memory + fields
        let given = unsafe UnsafeRawPointer(block.storage.pointee.bytes)
        // The fields are those of a kept block, so these values lie in the order of their fields.
        var start = 0
        for index in 0..<cuts().count {
            let field = block[cuts()[index].field]
            let end = Int(field.valueStart)
            guard unsafe memcmp(kept + start, given + start, end &- start) == 0 else {
                return false
            }
            start = end &+ Int(field.valueLength)
        }
        return unsafe memcmp(kept + start, given + start, slot.pointee.byteCount &- start) == 0
    }

    /// How many volatile fields a block that was found has.
    @inline(__always)
    func cutCount(of index: Int) -> Int { unsafe state.pointee.slots[index].cuts.count }

    /// The volatile field number `cut` of a block that was found.
    @inline(__always)
    func cut(_ cut: Int, of index: Int) -> Cut { unsafe state.pointee.slots[index].cuts[cut] }

    /// What a block that was found became, volatile values included as they were then.
    @inline(__always)
    func encoded(of index: Int) -> UnsafeRawBufferPointer {
        let slot = unsafe state.pointee.slots + index
        return unsafe UnsafeRawBufferPointer(
            start: slot.pointee.encoded,
            count: slot.pointee.encodedCount
        )
    }

    /// Keeps a block that wasn't found and what it became under `version`, or doesn't.
    @inline(__always)
    func keep(
        _ block: FieldBlock,
        version: UInt64,
        cuts: Cuts,
        encoded: UnsafeRawBufferPointer
    ) {
        guard keepsMissed() else { return }
        unsafe store(block, version: version, cuts: cuts, encoded: encoded)
    }

    /// Whether a block that wasn't found is to be kept; ask once for each.
    @inline(__always)
    func keepsMissed() -> Bool { unsafe state.pointee.clock.keepsMissed() }

    /// What its maker said of a block that was found.
    @inline(__always)
    func note(of index: Int) -> UInt64 { unsafe state.pointee.slots[index].note }

    /// Keeps a block, unless it is too large or has secrets; `note` is what its maker says of it.
    @inline(never)
    func store(
        _ block: FieldBlock,
        version: UInt64,
        cuts: Cuts,
        encoded: UnsafeRawBufferPointer,
        note: UInt64 = 0
    ) {
        guard !cuts.isOverfull else { return }
        let fields = block.count * MemoryLayout<Field>.stride
        let size = fields + block.byteCount + encoded.count
        // Whose request it is isn't kept beyond it: what other clients say is compared with this,
        // and the time that takes must tell nobody anything.
        guard size <= EncodedHeads.bytesMaximum, !block.hasSecrets, let from = encoded.baseAddress,
            EncodedHeads.areInOrder(cuts, block)
        else { return }
        let index = slotToFill(size)
        let slot = unsafe state.pointee.slots + index
        let memory = unsafe slot.pointee.memory
        unsafe memory.copyMemory(from: block.storage.pointee.fields, byteCount: fields)
        unsafe (memory + fields).copyMemory(
            from: block.storage.pointee.bytes,
            byteCount: block.byteCount
        )
        unsafe (memory + fields + block.byteCount).copyMemory(from: from, byteCount: encoded.count)
        unsafe slot.pointee.fieldCount = block.count
        unsafe slot.pointee.byteCount = block.byteCount
        unsafe slot.pointee.encodedCount = encoded.count
        unsafe slot.pointee.version = version
        unsafe slot.pointee.note = note
        unsafe slot.pointee.filling &+= 1
        unsafe slot.pointee.cuts = cuts
        if !block.repeatName.isNone { call(index, block.repeatName) }
    }

    /// Whether the volatile values lie in memory in the order of their fields.
    private static func areInOrder(_ cuts: Cuts, _ block: FieldBlock) -> Bool {
        var end = 0
        for index in 0..<cuts.count {
            let field = block[cuts[index].field]
            guard Int(field.valueStart) >= end else { return false }
            end = Int(field.valueStart) + Int(field.valueLength)
        }
        return true
    }

    /// The slot to fill next, with room for `size` bytes.
    private func slotToFill(_ size: Int) -> Int {
        let count = unsafe state.pointee.clock.count
        let index = unsafe state.pointee.clock.next()
        let slot = unsafe state.pointee.slots + index
        if index == count {
            unsafe slot.initialize(to: EncodedHeads.emptySlot(size))
        } else if unsafe slot.pointee.capacity < size {
            let filling = unsafe slot.pointee.filling
            unsafe slot.pointee.memory.deallocate()
            unsafe slot.pointee = EncodedHeads.emptySlot(size)
            unsafe slot.pointee.filling = filling
        }
        return index
    }

    private static func emptySlot(_ size: Int) -> Slot {
        unsafe Slot(
            memory: .allocate(byteCount: size, alignment: MemoryLayout<Field>.alignment),
            capacity: size
        )
    }
}
