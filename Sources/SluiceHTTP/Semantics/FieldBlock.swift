import SluiceCore

/// One field of a message: where its name and value lie in the block's memory.
package struct Field: BitwiseCopyable {
    package fileprivate(set) var name: FieldName
    package fileprivate(set) var isRemoved = false
    /// Whether the value changes from message to message, so that HPACK shouldn't remember it.
    package fileprivate(set) var isVolatile = false
    fileprivate var nameLength: UInt16
    fileprivate var nameStart: UInt32
    fileprivate var valueStart: UInt32
    fileprivate var valueLength: UInt32
}

/// All fields of one message head or trailer section, in one piece of reused memory.
///
/// Both HTTP versions fill the same form: pseudo-fields (`:method`, `:path`, `:authority`,
/// `:scheme`, `:status`) come first, names are lower case. A block is a handle: copying it copies
/// a pointer. Whoever holds it last returns it to the ``FieldBlockPool`` it came from; passing a
/// block to a session or an event handler passes that duty along.
@safe
package struct FieldBlock: BitwiseCopyable {
    @safe
    fileprivate struct Storage: BitwiseCopyable {
        var bytes: UnsafeMutablePointer<UInt8>
        var byteCount = 0
        var byteCapacity: Int
        var fields: UnsafeMutablePointer<Field>
        var fieldCount = 0
        var fieldCapacity: Int
    }

    fileprivate let storage: UnsafeMutablePointer<Storage>

    fileprivate init() {
        unsafe storage = .allocate(capacity: 1)
        unsafe storage.initialize(
            to: Storage(
                bytes: .allocate(capacity: 1024),
                byteCapacity: 1024,
                fields: .allocate(capacity: 32),
                fieldCapacity: 32
            )
        )
    }

    fileprivate func deallocate() {
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
    package var count: Int { unsafe storage.pointee.fieldCount }

    /// Field number `index`, in order of arrival.
    package subscript(index: Int) -> Field {
        unsafe precondition(index < storage.pointee.fieldCount, "no such field")
        return unsafe storage.pointee.fields[index]
    }

    /// Bytes of names and values, plus 32 for each field: the size HPACK and
    /// SETTINGS_MAX_HEADER_LIST_SIZE count (RFC 9113 §6.5.2).
    package var listSize: Int {
        (0..<count).reduce(0) { sum, index in
            unsafe sum + 32 + name(of: self[index]).count + value(of: self[index]).count
        }
    }

    /// The name of `field`, in lower case; valid until the block changes.
    package func name(of field: Field) -> UnsafeRawBufferPointer {
        if field.name != .other {
            let text = field.name.text
            return unsafe UnsafeRawBufferPointer(
                start: text.utf8Start, count: text.utf8CodeUnitCount)
        }
        return unsafe UnsafeRawBufferPointer(
            start: storage.pointee.bytes + Int(field.nameStart),
            count: Int(field.nameLength)
        )
    }

    /// The value of `field`; valid until the block changes.
    package func value(of field: Field) -> UnsafeRawBufferPointer {
        unsafe UnsafeRawBufferPointer(
            start: storage.pointee.bytes + Int(field.valueStart),
            count: Int(field.valueLength)
        )
    }

    /// The value of the first field called `name`, or nil.
    package func first(_ name: FieldName) -> UnsafeRawBufferPointer? {
        guard let index = index(of: name) else { return nil }
        return unsafe value(of: storage.pointee.fields[index])
    }

    /// The index of the first field called `name` that hasn't been removed.
    package func index(of name: FieldName) -> Int? {
        for index in 0..<(unsafe storage.pointee.fieldCount)
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
        guard let value = unsafe first(.status) else { return 0 }
        return unsafe ASCII.decimal(value) ?? 0
    }

    // MARK: - Writing

    /// Forgets all fields; keeps the memory.
    package func removeAll() {
        unsafe storage.pointee.byteCount = 0
        unsafe storage.pointee.fieldCount = 0
    }

    /// Adds a received field; `name` must be lower case already.
    package func append(name: UnsafeRawBufferPointer, value: UnsafeRawBufferPointer) {
        unsafe append(.lookup(name), text: name, value: value)
    }

    /// Adds a received field whose name may have capitals, which are folded on the way in.
    ///
    /// `name` must be a token of at most ``FieldValidation/nameLengthMaximum`` bytes. Returns what
    /// the name turned out to be.
    package func append(
        folding name: UnsafeRawBufferPointer,
        value: UnsafeRawBufferPointer
    ) -> FieldName {
        let nameStart = unsafe store(name)
        let text = unsafe storage.pointee.bytes + nameStart
        // Written out, since a call into another module stands outside of vectors.
        for index in 0..<name.count {
            let byte = unsafe text[index]
            unsafe text[index] = byte | (byte &- 0x41 < 26 ? 0x20 : 0)
        }
        let known = unsafe FieldName.lookup(UnsafeRawBufferPointer(start: text, count: name.count))
        unsafe add(known, nameStart: nameStart, nameLength: name.count, value: value)
        return known
    }

    /// Takes the field added last back, as if it had never been there.
    package func removeLast() {
        precondition(count > 0, "no such field")
        let last = unsafe storage.pointee.fields[count - 1]
        unsafe storage.pointee.byteCount = Int(last.nameStart)
        unsafe storage.pointee.fieldCount -= 1
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
        let text = name.text
        let raw = unsafe UnsafeRawBufferPointer(
            start: text.utf8Start,
            count: text.utf8CodeUnitCount
        )
        unsafe append(name, text: raw, value: value)
        if isVolatile { unsafe storage.pointee.fields[count - 1].isVolatile = true }
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
        unsafe storage.pointee.fields[index].isRemoved = true
    }

    /// Takes out every field called `name`.
    package func remove(_ name: FieldName) {
        for index in 0..<count where unsafe storage.pointee.fields[index].name == name {
            unsafe storage.pointee.fields[index].isRemoved = true
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
        unsafe storage.pointee.fields[index].valueStart = UInt32(start)
        unsafe storage.pointee.fields[index].valueLength = UInt32(value.count)
        unsafe storage.pointee.fields[index].isVolatile = isVolatile
    }

    /// Marks field number `index` as one whose value rarely repeats.
    package func markVolatile(at index: Int) {
        precondition(index < count, "no such field")
        unsafe storage.pointee.fields[index].isVolatile = true
    }

    private func append(
        _ name: FieldName,
        text: UnsafeRawBufferPointer,
        value: UnsafeRawBufferPointer
    ) {
        // A known name's text is a literal of ours; only others are kept.
        let nameStart = unsafe name == .other ? store(text) : storage.pointee.byteCount
        unsafe add(name, nameStart: nameStart, nameLength: text.count, value: value)
    }

    private func add(
        _ name: FieldName,
        nameStart: Int,
        nameLength: Int,
        value: UnsafeRawBufferPointer
    ) {
        let valueStart = unsafe store(value)
        if unsafe storage.pointee.fieldCount == storage.pointee.fieldCapacity { growFields() }
        unsafe storage.pointee.fields[storage.pointee.fieldCount] = Field(
            name: name,
            nameLength: UInt16(truncatingIfNeeded: nameLength),
            nameStart: UInt32(nameStart),
            valueStart: UInt32(valueStart),
            valueLength: UInt32(value.count)
        )
        unsafe storage.pointee.fieldCount += 1
    }

    private func store(_ text: UnsafeRawBufferPointer) -> Int {
        let start = unsafe storage.pointee.byteCount
        if unsafe start + text.count > storage.pointee.byteCapacity {
            // The text may lie in this very block, so the old memory goes only after the copy.
            let old = unsafe storage.pointee.bytes
            growBytes(to: start + text.count)
            if let from = text.baseAddress {
                unsafe UnsafeMutableRawPointer(storage.pointee.bytes + start)
                    .copyMemory(from: from, byteCount: text.count)
            }
            unsafe old.deallocate()
        } else if let from = text.baseAddress {
            unsafe UnsafeMutableRawPointer(storage.pointee.bytes + start)
                .copyMemory(from: from, byteCount: text.count)
        }
        unsafe storage.pointee.byteCount = start + text.count
        return start
    }

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
@safe
package final class FieldBlockPool {
    /// How many blocks are handed out.
    package private(set) var liveCount = 0
    private var idle: [FieldBlock] = []
    private static let idleMaximum = 256
    private static let retainedBlockBytes = 16 << 10

    /// An empty pool.
    package init() {}

    deinit {
        for block in idle { block.deallocate() }
    }

    /// Hands out an empty block.
    package func take() -> FieldBlock {
        liveCount += 1
        guard let block = idle.popLast() else { return FieldBlock() }
        block.removeAll()
        return block
    }

    /// Takes a block back; every copy of the handle is dead from here on.
    package func give(_ block: FieldBlock) {
        liveCount -= 1
        guard idle.count < FieldBlockPool.idleMaximum,
            block.capacityBytes <= FieldBlockPool.retainedBlockBytes
        else {
            block.deallocate()
            return
        }
        idle.append(block)
    }
}
