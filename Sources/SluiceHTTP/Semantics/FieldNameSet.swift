/// Names that are asked for together; a test costs one comparison of bits.
public struct FieldNameSet: BitwiseCopyable, Sendable {
    @usableFromInline let bits: UInt64

    /// A set of these names.
    package init(_ names: FieldName...) { self.init(names) }

    /// A set of these names.
    package init(_ names: [FieldName]) {
        bits = names.reduce(0) { $0 | $1.bit }
    }

    private init(bits: UInt64) { self.bits = bits }

    /// The set of these names and `other`'s.
    package func union(_ other: FieldNameSet) -> FieldNameSet {
        FieldNameSet(bits: bits | other.bits)
    }

    /// Whether `name` is one of them.
    @inlinable
    public func contains(_ name: FieldName) -> Bool { bits & name.bit != 0 }
}

extension FieldBlock {
    /// Takes out every field whose name is in `names`; whether there may have been one.
    @inlinable
    @inline(__always)
    @discardableResult
    public func remove(_ names: FieldNameSet) -> Bool {
        guard unsafe storage.pointee.present & names.bits != 0 else { return false }
        removeAll(in: names)
        return true
    }

    @inline(never)
    @usableFromInline
    func removeAll(in names: FieldNameSet) {
        for index in 0..<count where names.contains(self[index].name) { remove(at: index) }
    }

    /// Whether no field is left in it.
    package var isBare: Bool {
        for index in 0..<count where !self[index].isRemoved { return false }
        return true
    }

    /// What the block counts for under SETTINGS_MAX_HEADER_LIST_SIZE: names, values, and 32 bytes for each
    /// field (RFC 9113 §6.5.2).
    package var listSize: Int {
        var size = 0
        for index in 0..<count where !self[index].isRemoved {
            let field = self[index]
            unsafe size += name(of: field).count + value(of: field).count + 32
        }
        return size
    }

    /// A bound of ``listSize`` that costs no look at the fields: known names have up to 31 bytes.
    package var listSizeBound: Int { byteCount + count * 64 }
}
