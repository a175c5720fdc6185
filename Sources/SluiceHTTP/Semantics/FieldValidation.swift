import SluiceCore

/// What must be refused before anybody routes by it.
///
/// Lenient parsers disagree with one another, and every disagreement is a smuggling attack; so
/// these checks are as narrow as the grammar. Sources: RFC 9110 §5.1 and §5.5, RFC 9112 §11,
/// RFC 9113 §8.2.1.
package enum FieldValidation {
    /// The longest field name accepted, in bytes.
    package static let nameLengthMaximum = 4096

    // One bit a byte: the token characters of RFC 9110 §5.6.2.
    private static let tokenBits: (UInt64, UInt64) = {
        var low: UInt64 = 0
        var high: UInt64 = 0
        for byte in "!#$%&'*+-.^_`|~0123456789".utf8 {
            if byte < 64 { low |= 1 << UInt64(byte) } else { high |= 1 << UInt64(byte - 64) }
        }
        for byte in UInt8(ascii: "a")...UInt8(ascii: "z") { high |= 1 << UInt64(byte - 64) }
        for byte in UInt8(ascii: "A")...UInt8(ascii: "Z") { high |= 1 << UInt64(byte - 64) }
        return (low, high)
    }()

    /// Whether `byte` may stand in a field name or a method.
    @inline(__always)
    package static func isToken(_ byte: UInt8) -> Bool {
        if byte < 64 { return tokenBits.0 >> UInt64(byte) & 1 == 1 }
        if byte < 128 { return tokenBits.1 >> UInt64(byte - 64) & 1 == 1 }
        return false
    }

    /// Whether `name` is a non-empty token.
    package static func isToken(_ name: UnsafeRawBufferPointer) -> Bool {
        guard unsafe !name.isEmpty, name.count <= nameLengthMaximum else { return false }
        for index in 0..<name.count where unsafe !isToken(name[index]) { return false }
        return true
    }

    /// Whether `name` is a non-empty token without capitals (HTTP/2).
    package static func isLowercaseToken(_ name: UnsafeRawBufferPointer) -> Bool {
        guard unsafe !name.isEmpty, name.count <= nameLengthMaximum else { return false }
        for index in 0..<name.count
        where unsafe !isToken(name[index]) || name[index] &- 0x41 < 26 { return false }
        return true
    }

    /// Whether `value` has no control characters but tab, and no space at either end.
    ///
    /// Bytes from 0x80 up are legal and opaque.
    package static func isValue(_ value: UnsafeRawBufferPointer) -> Bool {
        guard unsafe !value.isEmpty else { return true }
        for index in 0..<value.count {
            let byte = unsafe value[index]
            if (byte < 0x20 && byte != ASCII.tab) || byte == 0x7F { return false }
        }
        let (first, last) = unsafe (value[0], value[value.count - 1])
        return first > 0x20 && last > 0x20
    }

    /// Whether `path` is an origin-form target without fragment, spaces or bytes from 0x80 up.
    package static func isPath(_ path: UnsafeRawBufferPointer) -> Bool {
        guard unsafe !path.isEmpty, unsafe path[0] == ASCII.slash else { return false }
        for index in 0..<path.count {
            let byte = unsafe path[index]
            if byte <= 0x20 || byte >= 0x7F || byte == UInt8(ascii: "#") { return false }
        }
        return true
    }

    /// Whether `authority` is a host with an optional port, without user information.
    package static func isAuthority(_ authority: UnsafeRawBufferPointer) -> Bool {
        guard authority.count <= 512 else { return false }
        for index in 0..<authority.count {
            switch unsafe authority[index] {
            case UInt8(ascii: "@"), UInt8(ascii: "/"), UInt8(ascii: "?"), UInt8(ascii: "#"),
                UInt8(ascii: "\\"), UInt8(ascii: "<"), UInt8(ascii: ">"), UInt8(ascii: "\""),
                UInt8(ascii: "^"), UInt8(ascii: "`"), UInt8(ascii: "{"), UInt8(ascii: "|"),
                UInt8(ascii: "}"):
                return false
            case 0x21...0x7E: continue
            default: return false
            }
        }
        return true
    }
}
