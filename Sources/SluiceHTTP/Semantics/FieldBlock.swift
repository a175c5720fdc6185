import SluiceCore

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
        /// Whether it lies in a pool; kept in debug builds only.
        var isIdle = false
        /// The `:status` once somebody has asked for it; 0 before.
        var status: UInt16 = 0
        /// See ``FieldBlock/repeatName``.
        @usableFromInline var repeatName = HeadName.none
        /// A bit for each name that was ever added: most questions are about absent fields.
        @usableFromInline var present: UInt64 = 0
        /// Where each of these came first; nothing where the bit isn't set.
        @usableFromInline var firsts = InlineArray<64, UInt8>(repeating: 0)
        /// The next idle block of a pool.
        var next: UnsafeMutablePointer<Storage>?
    }

    @usableFromInline let storage: UnsafeMutablePointer<Storage>

    init(_ storage: UnsafeMutablePointer<Storage>) {
        unsafe self.storage = storage
    }

    // What a new block has room for.
    static let newByteCapacity = 1024
    static let newFieldCapacity = 32

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

    /// Bytes of memory it has, used or not.
    var capacityBytes: Int {
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

    /// What every block with the same fields is called, the values of volatile ones aside.
    ///
    /// Blocks that came and are remembered have a name; one that is changed has none until it is given
    /// one.
    @inlinable
    public var repeatName: HeadName {
        get { unsafe storage.pointee.repeatName }
        nonmutating set { unsafe storage.pointee.repeatName = newValue }
    }

    /// Whether a received request says in a form that can be relied on whom it is for: a path, an
    /// authority and a scheme as ``RequestTarget/isSound(_:isHTTP2:)`` wants them.
    ///
    /// Found once, when the head arrives; a head that comes again brings it along.
    package internal(set) var hasSoundTarget: Bool {
        get { unsafe storage.pointee.hasSoundTarget }
        nonmutating set { unsafe storage.pointee.hasSoundTarget = newValue }
    }
}
