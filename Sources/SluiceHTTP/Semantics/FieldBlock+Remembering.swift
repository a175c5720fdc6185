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
}
