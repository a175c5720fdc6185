import SluiceCore

// What ``HeadMemory`` and ``EncodedHeads`` need to keep a block beyond its message.
extension FieldBlock {
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
        unsafe storage.pointee.repeatName = other.storage.pointee.repeatName
    }

    /// Puts `value` in the place of a field's value, as if it had been decoded there.
    ///
    /// It lies staged, so far behind the last value that what follows the field can make room.
    func spell(_ index: Int, _ value: UnsafeRawBufferPointer) {
        let start = unsafe Int(storage.pointee.fields[index].valueStart)
        let end = unsafe start + Int(storage.pointee.fields[index].valueLength)
        if start + value.count != end { moveBytes(from: end, to: start + value.count) }
        guard let from = value.baseAddress else { return }
        unsafe ShortBytes.copy(from, to: storage.pointee.bytes + start, count: value.count)
        unsafe storage.pointee.fields[index].valueLength = UInt32(value.count)
    }

    /// Moves all bytes from `end` on to begin at `place`, and all fields that lie there.
    private func moveBytes(from end: Int, to place: Int) {
        let bytes = unsafe storage.pointee.bytes
        let count = unsafe storage.pointee.byteCount - end
        unsafe UnsafeMutableRawPointer(bytes + place).copyMemory(
            from: bytes + end,
            byteCount: count
        )
        unsafe storage.pointee.byteCount = place + count
        for index in 0..<self.count {
            let field = unsafe storage.pointee.fields + index
            if unsafe Int(field.pointee.nameStart) >= end {
                unsafe field.pointee.nameStart = UInt32(Int(field.pointee.nameStart) - end + place)
            }
            if unsafe Int(field.pointee.valueStart) >= end {
                unsafe field.pointee.valueStart = UInt32(
                    Int(field.pointee.valueStart) - end + place
                )
            }
        }
    }
}
