import SluiceCore

// What senders and receivers of a message put into its block, and take out.
extension FieldBlock {
    /// Forgets all fields; keeps the memory.
    package func removeAll() {
        unsafe storage.pointee.byteCount = 0
        unsafe storage.pointee.fieldCount = 0
        unsafe storage.pointee.present = 0
        unsafe storage.pointee.hasSoundTarget = false
        unsafe storage.pointee.status = 0
        unsafe storage.pointee.repeatName = .none
    }

    // MARK: - Fields that came

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

    // MARK: - Fields of ours

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
        precondition(100...999 ~= status, "a status has three digits")
        let hundreds = UInt32(status) / 100
        let tens = UInt32(status) / 10 % 10
        let units = UInt32(status) % 10
        let digits = (0x303030 | hundreds | tens << 8 | units << 16).littleEndian
        unsafe withUnsafeBytes(of: digits) {
            unsafe append(.status, UnsafeRawBufferPointer(rebasing: $0[..<3]))
        }
    }

    /// Adds a field whose value is a number in decimal.
    package func append(_ name: FieldName, decimal number: Int, isVolatile: Bool = false) {
        unsafe withUnsafeTemporaryAllocation(byteCount: 20, alignment: 1) { digits in
            guard let place = digits.baseAddress else { return }
            let count = unsafe ASCII.write(decimal: number, to: place)
            unsafe append(
                name,
                UnsafeRawBufferPointer(rebasing: digits[..<count]),
                isVolatile: isVolatile
            )
        }
    }

    // MARK: - Changing and taking out

    /// Takes the field added last back, as if it had never been there.
    package func removeLast() {
        precondition(count > 0, "no such field")
        noteChange()
        let last = unsafe storage.pointee.fields[count - 1]
        unsafe storage.pointee.byteCount = Int(last.nameStart)
        unsafe storage.pointee.fieldCount -= 1
        if unsafe Int(storage.pointee.firsts[Int(last.name.rawValue)]) == count {
            unsafe storage.pointee.present &= ~last.name.bit
        }
    }

    /// Takes field number `index` out; the numbers of the others stay.
    package func remove(at index: Int) {
        precondition(index < count, "no such field")
        noteChange()
        unsafe storage.pointee.fields[index].marks |= Field.removed
    }

    /// Takes out every field called `name`.
    package func remove(_ name: FieldName) {
        guard unsafe storage.pointee.present & name.bit != 0 else { return }
        noteChange()
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
        noteChange()
        unsafe storage.pointee.fields[index].valueStart = UInt32(truncatingIfNeeded: start)
        unsafe storage.pointee.fields[index].valueLength = UInt32(truncatingIfNeeded: value.count)
        unsafe storage.pointee.fields[index].marks = isVolatile ? Field.volatile : 0
    }

    /// Marks field number `index` as one that no HPACK table may have (RFC 7541 §7.1.3).
    package func markSecret(at index: Int) {
        precondition(index < count, "no such field")
        unsafe storage.pointee.fields[index].marks |= Field.secret | Field.volatile
    }

    /// Marks field number `index` as one whose value rarely repeats.
    package func markVolatile(at index: Int) {
        precondition(index < count, "no such field")
        unsafe storage.pointee.repeatName = .none
        unsafe storage.pointee.fields[index].marks |= Field.volatile
    }

    /// Forgets what was known of the fields as they were.
    @inline(__always)
    private func noteChange() {
        unsafe storage.pointee.status = 0
        unsafe storage.pointee.repeatName = .none
    }
}
