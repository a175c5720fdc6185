import SluiceCore

// Where fields and their bytes go, and how a block grows.
extension FieldBlock {
    /// Adds a field whose name (if ``FieldName/other``) lies in the block, and whose value doesn't yet.
    func add(
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

    /// Adds a field whose name (if ``FieldName/other``) and value lie in the block.
    @inline(__always)
    func add(
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
        unsafe storage.pointee.repeatName = .none
        if unsafe storage.pointee.present & name.bit == 0 {
            unsafe storage.pointee.present |= name.bit
            unsafe storage.pointee.firsts[Int(name.rawValue)] = UInt8(clamping: count)
        }
    }

    /// Copies `text` behind the last value and returns where it lies now.
    @inline(__always)
    func store(_ text: UnsafeRawBufferPointer) -> Int {
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
        // Growing copies what has been written, which lies within the old memory.
        unsafe precondition(start + keeping <= storage.pointee.byteCapacity)
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

    /// Takes white space off the ends of a received value; false when the field isn't sound then.
    func trim(at index: Int) -> Bool {
        let field = self[index]
        let value = unsafe self.value(of: field)
        guard
            unsafe field.name != .other || FieldValidation.isLowercaseToken(name(of: field)),
            unsafe FieldValidation.isText(value)
        else { return false }
        var (start, end) = (0, value.count)
        while start < end, unsafe HTTP1Head.isWhiteSpace(value[start]) { start += 1 }
        while end > start, unsafe HTTP1Head.isWhiteSpace(value[end - 1]) { end -= 1 }
        unsafe storage.pointee.fields[index].valueStart += UInt32(start)
        unsafe storage.pointee.fields[index].valueLength = UInt32(end - start)
        unsafe storage.pointee.fields[index].marks |= Field.sound
        return true
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
