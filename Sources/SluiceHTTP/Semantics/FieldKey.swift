/// A header field or a cookie to look for in heads, by name.
///
/// Looking allocates nothing: names that ``FieldName`` knows are found by number, others by their
/// bytes, and cookies by reading the `cookie` fields, of which HTTP/2 may bring several (RFC 9113
/// §8.2.3).
package struct FieldKey: Sendable {
    private enum Place: Sendable {
        case known(FieldName)
        case other([UInt8])
        case cookie([UInt8])
    }

    private let place: Place

    /// A field; `header` is a name in lower case.
    package init(header: String) {
        let name = Array(header.utf8)
        let known = unsafe name.withUnsafeBytes { unsafe FieldName.lookup($0) }
        place =
            switch known {
            case .other: .other(name)
            // What HTTP/1.1 calls `host` is kept as `:authority`.
            case .host: .known(.authority)
            default: .known(known)
            }
    }

    /// A cookie; names of cookies differ by case.
    package init(cookie: String) { place = .cookie(Array(cookie.utf8)) }

    /// Whether any value under this name satisfies `condition`.
    package func anyValue(
        in block: FieldBlock,
        where condition: (UnsafeRawBufferPointer) -> Bool
    ) -> Bool {
        switch place {
        case .known(let name):
            return unsafe block.anyValue(of: name, where: condition)
        case .other(let text):
            return block.anyField(.other) { field in
                unsafe FieldKey.equal(block.name(of: field), text)
                    && condition(block.value(of: field))
            }
        case .cookie(let text):
            return unsafe block.anyValue(of: .cookie) { value in
                var pairs = unsafe CookiePairs(value)
                while let (name, value) = unsafe pairs.next() {
                    if unsafe FieldKey.equal(name, text), unsafe condition(value) { return true }
                }
                return false
            }
        }
    }

    /// The first value under this name that isn't empty; valid until the block changes.
    package func value(in block: FieldBlock) -> UnsafeRawBufferPointer? {
        var found: UnsafeRawBufferPointer?
        _ = unsafe anyValue(in: block) { value in
            guard unsafe !value.isEmpty else { return false }
            unsafe found = unsafe value
            return true
        }
        return unsafe found
    }

    private static func equal(_ name: UnsafeRawBufferPointer, _ text: [UInt8]) -> Bool {
        guard name.count == text.count else { return false }
        for index in text.indices where unsafe name[index] != text[index] { return false }
        return true
    }
}

extension FieldBlock {
    fileprivate func anyValue(
        of name: FieldName,
        where condition: (UnsafeRawBufferPointer) -> Bool
    ) -> Bool {
        anyField(name) { unsafe condition(value(of: $0)) }
    }

    /// Whether a field that is called `name`, and hasn't been removed, satisfies `condition`.
    fileprivate func anyField(_ name: FieldName, where condition: (Field) -> Bool) -> Bool {
        guard unsafe storage.pointee.present & name.bit != 0 else { return false }
        for index in unsafe Int(storage.pointee.firsts[Int(name.rawValue)])..<count {
            let field = self[index]
            if field.name == name, !field.isRemoved, condition(field) { return true }
        }
        return false
    }
}
