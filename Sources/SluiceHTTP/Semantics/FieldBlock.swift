import SluiceCore

/// One field of a message: where its name and value lie in the block's memory.
public struct Field: BitwiseCopyable {
    public let name: FieldName
    @usableFromInline var marks: UInt8 = 0
    @usableFromInline let nameLength: UInt16
    @usableFromInline let nameStart: UInt32
    @usableFromInline var valueStart: UInt32
    @usableFromInline var valueLength: UInt32

    @inlinable static var removed: UInt8 { 1 }
    @inlinable static var volatile: UInt8 { 2 }
    fileprivate static let secret: UInt8 = 4
    fileprivate static let sound: UInt8 = 8

    @inlinable public var isRemoved: Bool { marks & Field.removed != 0 }
    /// Whether the value changes from message to message, so that HPACK shouldn't remember it.
    @inlinable public var isVolatile: Bool { marks & Field.volatile != 0 }
    /// Whether its sender forbade every hop to remember it (RFC 7541 §6.2.3).
    var isSecret: Bool { marks & Field.secret != 0 }
    /// Whether name and value are known to be what RFC 9113 §8.2.1 allows.
    var isSound: Bool { marks & Field.sound != 0 }
}

/// All fields of one message head or trailer section, in one piece of reused memory.
///
/// Both HTTP versions fill the same form: pseudo-fields (`:method`, `:path`, `:authority`,
/// `:scheme`, `:status`) come first, names are lower case. A block is a handle: copying it copies
/// a pointer. Whoever holds it last returns it to the ``FieldBlockPool`` it came from; passing a
/// block to a session or an event handler passes that duty along.
@safe
public struct FieldBlock: BitwiseCopyable {
    @safe
    @usableFromInline
    struct Storage: BitwiseCopyable {
        @usableFromInline var bytes: UnsafeMutablePointer<UInt8>
        var byteCount = 0
        var byteCapacity: Int
        @usableFromInline var fields: UnsafeMutablePointer<Field>
        @usableFromInline var fieldCount = 0
        var fieldCapacity: Int
        /// Whether the request's path, authority and scheme were looked at and found good.
        var hasSoundTarget = false
        /// The `:status` once somebody has asked for it; 0 before.
        var status: UInt16 = 0
        /// A bit for each name that was ever added: most questions are about absent fields.
        @usableFromInline var present: UInt64 = 0
        /// Where each of these came first; nothing where the bit isn't set.
        @usableFromInline var firsts = InlineArray<64, UInt8>(repeating: 0)
        /// The next idle block of a pool.
        var next: UnsafeMutablePointer<Storage>?
    }

    @usableFromInline let storage: UnsafeMutablePointer<Storage>

    fileprivate init(_ storage: UnsafeMutablePointer<Storage>) {
        unsafe self.storage = storage
    }

    // What a new block has room for.
    private static let newByteCapacity = 1024
    private static let newFieldCapacity = 32

    /// A block outside any pool, which its maker deallocates.
    static func make() -> FieldBlock {
        let storage = UnsafeMutablePointer<Storage>.allocate(capacity: 1)
        unsafe storage.initialize(
            to: Storage(
                bytes: .allocate(capacity: newByteCapacity),
                byteCapacity: newByteCapacity,
                fields: .allocate(capacity: newFieldCapacity),
                fieldCapacity: newFieldCapacity
            )
        )
        return unsafe FieldBlock(storage)
    }

    func deallocate() {
        unsafe storage.pointee.bytes.deallocate()
        unsafe storage.pointee.fields.deallocate()
        unsafe storage.deallocate()
    }

    fileprivate var capacityBytes: Int {
        unsafe storage.pointee.byteCapacity
            + storage.pointee.fieldCapacity * MemoryLayout<Field>.stride
    }

    // MARK: - Reading

    /// How many fields the block has, removed ones included.
    @inlinable
    public var count: Int { unsafe storage.pointee.fieldCount }

    /// Bytes of memory its values take: more than they have where some were replaced.
    var byteCount: Int { unsafe storage.pointee.byteCount }

    /// Field number `index`, in order of arrival.
    @inlinable
    public subscript(index: Int) -> Field {
        unsafe precondition(index < storage.pointee.fieldCount, "no such field")
        return unsafe storage.pointee.fields[index]
    }

    /// The name of `field`, in lower case; valid until the block changes.
    package func name(of field: Field) -> UnsafeRawBufferPointer {
        if field.name != .other {
            let text = field.name.text
            return unsafe UnsafeRawBufferPointer(
                start: text.utf8Start,
                count: text.utf8CodeUnitCount
            )
        }
        return unsafe UnsafeRawBufferPointer(
            start: storage.pointee.bytes + Int(field.nameStart),
            count: Int(field.nameLength)
        )
    }

    /// The value of `field`; valid until the block changes.
    @inlinable
    public func value(of field: Field) -> UnsafeRawBufferPointer {
        unsafe UnsafeRawBufferPointer(
            start: storage.pointee.bytes + Int(field.valueStart),
            count: Int(field.valueLength)
        )
    }

    /// The value of the first field called `name`, or nil.
    @inlinable
    @inline(__always)
    public func first(_ name: FieldName) -> UnsafeRawBufferPointer? {
        guard let index = index(of: name) else { return nil }
        return unsafe value(of: storage.pointee.fields[index])
    }

    /// The index of the first field called `name` that hasn't been removed.
    @inlinable
    @inline(__always)
    public func index(of name: FieldName) -> Int? {
        guard unsafe storage.pointee.present & name.bit != 0 else { return nil }
        let first = unsafe Int(storage.pointee.firsts[Int(name.rawValue)])
        guard first < 255, unsafe !storage.pointee.fields[first].isRemoved else {
            return search(from: first, name)
        }
        return first
    }

    /// Looks on behind a first field that was removed, or is too far back to be remembered.
    @inline(never)
    @usableFromInline
    func search(from first: Int, _ name: FieldName) -> Int? {
        for index in first..<max(first, count)
        where unsafe storage.pointee.fields[index].name == name
            && !storage.pointee.fields[index].isRemoved
        { return index }
        return nil
    }

    /// The value of the first field called `name` as a string; for cold paths.
    package func text(_ name: FieldName) -> String? {
        guard let value = unsafe first(name) else { return nil }
        return unsafe String(decoding: value, as: UTF8.self)
    }

    /// The value of the first field with this lower-case name, known or not; for cold paths.
    package func text(named name: String) -> String? {
        for index in 0..<count where !self[index].isRemoved {
            let field = self[index]
            if unsafe name.utf8.elementsEqual(self.name(of: field)) {
                return unsafe String(decoding: value(of: field), as: UTF8.self)
            }
        }
        return nil
    }

    /// The `:status` of a response, or 0.
    package var status: Int {
        let known = unsafe Int(storage.pointee.status)
        return known > 0 ? known : readStatus()
    }

    private func readStatus() -> Int {
        guard let value = unsafe first(.status), value.count == 3 else { return 0 }
        let digits = unsafe (
            value[0] &- ASCII.zero, value[1] &- ASCII.zero, value[2] &- ASCII.zero
        )
        guard max(digits.0, digits.1, digits.2) < 10 else { return 0 }
        let status = Int(digits.0) &* 100 &+ Int(digits.1) &* 10 &+ Int(digits.2)
        unsafe storage.pointee.status = UInt16(truncatingIfNeeded: status)
        return status
    }

    /// Whether a received request says in a form that can be relied on whom it is for: a path, an
    /// authority and a scheme as ``RequestTarget/isSound(_:isHTTP2:)`` wants them.
    ///
    /// Found once, when the head arrives; a head that comes again brings it along.
    package internal(set) var hasSoundTarget: Bool {
        get { unsafe storage.pointee.hasSoundTarget }
        nonmutating set { unsafe storage.pointee.hasSoundTarget = newValue }
    }

    // MARK: - Writing

    /// Forgets all fields; keeps the memory.
    package func removeAll() {
        unsafe storage.pointee.byteCount = 0
        unsafe storage.pointee.fieldCount = 0
        unsafe storage.pointee.present = 0
        unsafe storage.pointee.hasSoundTarget = false
        unsafe storage.pointee.status = 0
    }

    /// Whether a field says whose request it is, or was sent so that no hop remembers it.
    var hasSecrets: Bool {
        for index in 0..<count
        where self[index].isSecret || self[index].name == .authorization
            || self[index].name == .proxyAuthorization || self[index].name == .cookie
        { return true }
        return false
    }

    /// Whether every block has room for what this one holds.
    var fitsNewBlock: Bool {
        unsafe storage.pointee.byteCount <= FieldBlock.newByteCapacity
            && storage.pointee.fieldCount <= FieldBlock.newFieldCapacity
    }

    /// Takes over all that `other` holds, which must fit a new block.
    @inline(__always)
    func copy(_ other: FieldBlock) {
        precondition(other.fitsNewBlock, "a block that is copied fits every other")
        let byteCount = unsafe other.storage.pointee.byteCount
        let fieldCount = unsafe other.storage.pointee.fieldCount
        unsafe UnsafeMutableRawPointer(storage.pointee.bytes)
            .copyMemory(from: other.storage.pointee.bytes, byteCount: byteCount)
        unsafe storage.pointee.fields.update(
            from: other.storage.pointee.fields,
            count: fieldCount
        )
        unsafe storage.pointee.byteCount = byteCount
        unsafe storage.pointee.fieldCount = fieldCount
        unsafe storage.pointee.present = other.storage.pointee.present
        copyFindings(other)
        unsafe storage.pointee.firsts = other.storage.pointee.firsts
    }

    /// Takes over what was found out about `other`, which has the same fields.
    @inline(__always)
    func copyFindings(_ other: FieldBlock) {
        unsafe storage.pointee.hasSoundTarget = other.storage.pointee.hasSoundTarget
        unsafe storage.pointee.status = other.storage.pointee.status
    }

    /// Adds a received field; `name` must be lower case already.
    package func append(name: UnsafeRawBufferPointer, value: UnsafeRawBufferPointer) {
        let known = unsafe FieldName.lookup(name)
        // A known name's text is a literal of ours; only others are kept.
        let start = unsafe known == .other ? store(name) : storage.pointee.byteCount
        unsafe add(known, nameStart: start, nameLength: name.count, value: value)
    }

    /// Adds a received field whose name may have capitals, which are folded on the way in.
    ///
    /// `name` has at most ``FieldValidation/nameLengthMaximum`` bytes; it and `value` must be what
    /// RFC 9110 §5.1 and §5.5 allow, where a name turns out to be ``FieldName/other`` at the latest
    /// before the block is used. Returns what the name turned out to be.
    package func append(
        folding name: UnsafeRawBufferPointer,
        value: UnsafeRawBufferPointer
    ) -> FieldName {
        let text = unsafe stage(name.count)
        unsafe FieldBlock.fold(name, to: text)
        let known = unsafe FieldName.lookup(UnsafeRawBufferPointer(start: text, count: name.count))
        let start = unsafe storage.pointee.byteCount
        if known == .other { unsafe storage.pointee.byteCount = start &+ name.count }
        unsafe add(
            known,
            nameStart: start,
            nameLength: name.count,
            value: value,
            marks: Field.sound
        )
        return known
    }

    /// Copies `name` in lower case, eight bytes at a time.
    private static func fold(_ name: UnsafeRawBufferPointer, to place: UnsafeMutablePointer<UInt8>)
    {
        guard let from = name.baseAddress else { return }
        let to = UnsafeMutableRawPointer(place)
        var offset = 0
        if name.count >= 8 {
            while true {
                let word = unsafe from.loadUnaligned(fromByteOffset: offset, as: UInt64.self)
                unsafe to.storeBytes(of: folded(word), toByteOffset: offset, as: UInt64.self)
                if offset == name.count &- 8 { return }
                // The last eight may overlap those before.
                offset = min(offset &+ 8, name.count &- 8)
            }
        }
        while offset < name.count {
            let byte = unsafe from.load(fromByteOffset: offset, as: UInt8.self)
            unsafe place[offset] = ASCII.lowercased(byte)
            offset &+= 1
        }
    }

    /// Sets the bit 0x20 in each byte that is a capital: adding carries into a byte's top bit when
    /// it is beyond `A`, or beyond `Z`.
    @inline(__always)
    private static func folded(_ word: UInt64) -> UInt64 {
        let ones: UInt64 = 0x0101_0101_0101_0101
        let low = word & (ones &* 0x7F)
        let capitals = ((low &+ ones &* 0x3F) ^ (low &+ ones &* 0x25)) & ~word & (ones &* 0x80)
        return word | capitals >> 2
    }

    /// Takes the field added last back, as if it had never been there.
    package func removeLast() {
        precondition(count > 0, "no such field")
        unsafe storage.pointee.status = 0
        let last = unsafe storage.pointee.fields[count - 1]
        unsafe storage.pointee.byteCount = Int(last.nameStart)
        unsafe storage.pointee.fieldCount -= 1
        if unsafe Int(storage.pointee.firsts[Int(last.name.rawValue)]) == count {
            unsafe storage.pointee.present &= ~last.name.bit
        }
    }

    /// Adds a field with a known name.
    ///
    /// Set `isVolatile` for values that rarely repeat: HPACK then sends them as literals and
    /// doesn't let them push useful entries out of its table.
    package func append(
        _ name: FieldName,
        _ value: UnsafeRawBufferPointer,
        isVolatile: Bool = false
    ) {
        let start = unsafe store(value)
        add(
            name,
            nameStart: start,
            nameLength: 0,
            valueStart: start,
            valueLength: value.count,
            marks: isVolatile ? Field.volatile : 0
        )
    }

    /// Adds a field with a known name and a literal value.
    package func append(_ name: FieldName, _ value: StaticString) {
        unsafe append(
            name,
            UnsafeRawBufferPointer(start: value.utf8Start, count: value.utf8CodeUnitCount)
        )
    }

    /// Adds a field with a known name; for cold paths.
    package func append(_ name: FieldName, text: String, isVolatile: Bool = false) {
        var text = text
        text.withUTF8 {
            unsafe append(name, UnsafeRawBufferPointer($0), isVolatile: isVolatile)
        }
    }

    /// Adds any field; `name` must be lower case; for cold paths.
    package func append(named name: String, text value: String) {
        var (name, value) = (name, value)
        name.withUTF8 { name in
            value.withUTF8 { value in
                unsafe append(
                    name: UnsafeRawBufferPointer(name),
                    value: UnsafeRawBufferPointer(value)
                )
            }
        }
    }

    /// Adds `:status` with three digits.
    package func append(status: Int) {
        append(.status, decimal: status)
    }

    /// Adds a field whose value is a number in decimal.
    package func append(_ name: FieldName, decimal number: Int, isVolatile: Bool = false) {
        unsafe withUnsafeTemporaryAllocation(byteCount: 20, alignment: 1) { digits in
            var rest = number
            var start = 20
            repeat {
                start -= 1
                unsafe digits[start] = ASCII.zero + UInt8(rest % 10)
                rest /= 10
            } while rest > 0
            unsafe append(
                name,
                UnsafeRawBufferPointer(rebasing: digits[start..<20]),
                isVolatile: isVolatile
            )
        }
    }

    /// Takes field number `index` out; the numbers of the others stay.
    package func remove(at index: Int) {
        precondition(index < count, "no such field")
        unsafe storage.pointee.status = 0
        unsafe storage.pointee.fields[index].marks |= Field.removed
    }

    /// Takes out every field called `name`.
    package func remove(_ name: FieldName) {
        guard unsafe storage.pointee.present & name.bit != 0 else { return }
        unsafe storage.pointee.status = 0
        for index in 0..<count where unsafe storage.pointee.fields[index].name == name {
            unsafe storage.pointee.fields[index].marks |= Field.removed
        }
    }

    /// Gives the first field called `name` another value in its place, or adds the field.
    ///
    /// Keeping the place matters for pseudo-fields, which must come first.
    package func set(
        _ name: FieldName,
        _ value: UnsafeRawBufferPointer,
        isVolatile: Bool = false
    ) {
        guard let index = index(of: name) else {
            unsafe append(name, value, isVolatile: isVolatile)
            return
        }
        let start = unsafe store(value)
        unsafe storage.pointee.status = 0
        unsafe storage.pointee.fields[index].valueStart = UInt32(truncatingIfNeeded: start)
        unsafe storage.pointee.fields[index].valueLength = UInt32(truncatingIfNeeded: value.count)
        unsafe storage.pointee.fields[index].marks = isVolatile ? Field.volatile : 0
    }

    /// Marks field number `index` as one whose value rarely repeats.
    package func markVolatile(at index: Int) {
        precondition(index < count, "no such field")
        unsafe storage.pointee.fields[index].marks |= Field.volatile
    }

    private func add(
        _ name: FieldName,
        nameStart: Int,
        nameLength: Int,
        value: UnsafeRawBufferPointer,
        marks: UInt8 = 0
    ) {
        let valueStart = unsafe store(value)
        add(
            name,
            nameStart: nameStart,
            nameLength: nameLength,
            valueStart: valueStart,
            valueLength: value.count,
            marks: marks
        )
    }

    @inline(__always)
    private func add(
        _ name: FieldName,
        nameStart: Int,
        nameLength: Int,
        valueStart: Int,
        valueLength: Int,
        marks: UInt8
    ) {
        let count = unsafe storage.pointee.fieldCount
        if unsafe count == storage.pointee.fieldCapacity { growFields() }
        unsafe storage.pointee.fields[count] = Field(
            name: name,
            marks: marks,
            nameLength: UInt16(truncatingIfNeeded: nameLength),
            nameStart: UInt32(truncatingIfNeeded: nameStart),
            valueStart: UInt32(truncatingIfNeeded: valueStart),
            valueLength: UInt32(truncatingIfNeeded: valueLength)
        )
        unsafe storage.pointee.fieldCount = count &+ 1
        if unsafe storage.pointee.present & name.bit == 0 {
            unsafe storage.pointee.present |= name.bit
            unsafe storage.pointee.firsts[Int(name.rawValue)] = UInt8(clamping: count)
        }
    }

    @inline(__always)
    private func store(_ text: UnsafeRawBufferPointer) -> Int {
        let start = unsafe storage.pointee.byteCount
        guard let from = text.baseAddress,
            unsafe start &+ text.count <= storage.pointee.byteCapacity
        else { return unsafe storeGrowing(text) }
        unsafe ShortBytes.copy(from, to: storage.pointee.bytes + start, count: text.count)
        unsafe storage.pointee.byteCount = start &+ text.count
        return start
    }

    @inline(never)
    private func storeGrowing(_ text: UnsafeRawBufferPointer) -> Int {
        let start = unsafe storage.pointee.byteCount
        guard let from = text.baseAddress else { return start }
        // The text may lie in this very block, so the old memory goes only after the copy.
        let old = unsafe storage.pointee.bytes
        growBytes(to: start + text.count)
        unsafe UnsafeMutableRawPointer(storage.pointee.bytes + start)
            .copyMemory(from: from, byteCount: text.count)
        unsafe old.deallocate()
        unsafe storage.pointee.byteCount = start + text.count
        return start
    }

    // MARK: - For HPACK's decoder

    /// Makes room for `count` bytes behind the last value and returns where they go; the first
    /// `keeping` of them have been written already.
    ///
    /// Nothing is added until ``addStaged(_:nameLength:valueLength:isSecret:isSound:)``.
    @inline(__always)
    func stage(_ count: Int, keeping: Int = 0) -> UnsafeMutablePointer<UInt8> {
        let start = unsafe storage.pointee.byteCount
        if unsafe start &+ count > storage.pointee.byteCapacity {
            growStage(count, keeping: keeping)
        }
        return unsafe storage.pointee.bytes + start
    }

    @inline(never)
    private func growStage(_ count: Int, keeping: Int) {
        let start = unsafe storage.pointee.byteCount
        unsafe storage.pointee.byteCount = start + keeping
        let old = unsafe storage.pointee.bytes
        growBytes(to: start + count)
        unsafe old.deallocate()
        unsafe storage.pointee.byteCount = start
    }

    /// Adds a field whose name (if ``FieldName/other``) and value lie staged, one behind the other.
    @inline(__always)
    func addStaged(
        _ name: FieldName,
        nameLength: Int,
        valueLength: Int,
        isSecret: Bool,
        isSound: Bool
    ) {
        let start = unsafe storage.pointee.byteCount
        let kept = name == .other ? nameLength : 0
        add(
            name,
            nameStart: start,
            nameLength: nameLength,
            valueStart: start &+ kept,
            valueLength: valueLength,
            marks: (isSecret ? Field.secret : 0) | (isSound ? Field.sound : 0)
        )
        unsafe storage.pointee.byteCount = start &+ kept &+ valueLength
    }

    // MARK: - Growth

    private func growBytes(to minimum: Int) {
        let capacity = unsafe max(minimum, 2 * storage.pointee.byteCapacity)
        let larger = UnsafeMutablePointer<UInt8>.allocate(capacity: capacity)
        unsafe larger.update(from: storage.pointee.bytes, count: storage.pointee.byteCount)
        unsafe storage.pointee.bytes = larger
        unsafe storage.pointee.byteCapacity = capacity
    }

    private func growFields() {
        let capacity = unsafe 2 * storage.pointee.fieldCapacity
        let larger = UnsafeMutablePointer<Field>.allocate(capacity: capacity)
        unsafe larger.update(from: storage.pointee.fields, count: storage.pointee.fieldCount)
        unsafe storage.pointee.fields.deallocate()
        unsafe storage.pointee.fields = larger
        unsafe storage.pointee.fieldCapacity = capacity
    }
}

/// The blocks of one loop that lie idle; steady traffic reuses a handful.
///
/// A handle, as sessions reach for it several times a request: copying it copies a pointer. The
/// ``HTTPArena`` owns what it points to.
@safe
public struct FieldBlockPool: BitwiseCopyable {
    @safe
    struct State: BitwiseCopyable {
        var liveCount = 0
        var idle: UnsafeMutablePointer<FieldBlock.Storage>?
        var idleCount = 0
    }

    private static let idleMaximum = 256
    private static let retainedBlockBytes = 16 << 10
    private let state: UnsafeMutablePointer<State>

    init() {
        unsafe state = .allocate(capacity: 1)
        unsafe state.initialize(to: State(idle: nil))
    }

    func deallocate() {
        while let storage = unsafe state.pointee.idle {
            unsafe state.pointee.idle = storage.pointee.next
            unsafe FieldBlock(storage).deallocate()
        }
        unsafe state.deallocate()
    }

    /// How many blocks are handed out.
    package var liveCount: Int { unsafe state.pointee.liveCount }

    /// Hands out an empty block.
    package func take() -> FieldBlock {
        unsafe state.pointee.liveCount += 1
        guard let storage = unsafe state.pointee.idle else { return FieldBlock.make() }
        unsafe state.pointee.idle = storage.pointee.next
        unsafe state.pointee.idleCount -= 1
        let block = unsafe FieldBlock(storage)
        block.removeAll()
        return block
    }

    /// Takes a block back; every copy of the handle is dead from here on.
    package func give(_ block: FieldBlock) {
        unsafe state.pointee.liveCount -= 1
        guard unsafe state.pointee.idleCount < FieldBlockPool.idleMaximum,
            block.capacityBytes <= FieldBlockPool.retainedBlockBytes
        else {
            block.deallocate()
            return
        }
        unsafe block.storage.pointee.next = state.pointee.idle
        unsafe state.pointee.idle = block.storage
        unsafe state.pointee.idleCount += 1
    }
}
