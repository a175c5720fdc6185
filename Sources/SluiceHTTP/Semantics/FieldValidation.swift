import SluiceCore

/// What must be refused before anybody routes by it.
///
/// Lenient parsers disagree with one another, and every disagreement is a smuggling attack; so
/// these checks are as narrow as the grammar. Sources: RFC 9110 §5.1 and §5.5, RFC 9112 §11,
/// RFC 9113 §8.2.1.
package enum FieldValidation {
    /// The longest field name accepted, in bytes.
    package static let nameLengthMaximum = 4096

    // One bit a byte: digits and !#$%&'*+-. below 64, letters and ^_`|~ above (RFC 9110 §5.6.2).
    // Literals, so that no lazy initialiser stands before the hottest test of all.
    private static let tokenLow: UInt64 = 0x03FF_6CFA_0000_0000
    private static let tokenHigh: UInt64 = 0x57FF_FFFF_C7FF_FFFE

    /// Whether `byte` may stand in a field name or a method.
    @inline(__always)
    package static func isToken(_ byte: UInt8) -> Bool {
        if byte < 64 { return tokenLow &>> UInt64(byte) & 1 == 1 }
        if byte < 128 { return tokenHigh &>> UInt64(byte &- 64) & 1 == 1 }
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
        guard unsafe !value.isEmpty, unsafe isText(value) else { return unsafe value.isEmpty }
        let (first, last) = unsafe (value[0], value[value.count - 1])
        return first > 0x20 && last > 0x20
    }

    /// Whether `text` has no control characters but tab; spaces may stand anywhere.
    ///
    /// Eight bytes at a time: subtracting 0x20 from each borrows into the top bit of the first
    /// byte below it, and 0x7F is looked for as a zero after exclusive or (Warren, "Hacker's
    /// Delight", §6-1). Only a word that may hold such a byte is read byte by byte.
    package static func isText(_ text: UnsafeRawBufferPointer) -> Bool {
        let ones: UInt64 = 0x0101_0101_0101_0101
        let tops: UInt64 = 0x8080_8080_8080_8080
        var index = 0
        while index + 8 <= text.count {
            let word = unsafe text.loadUnaligned(fromByteOffset: index, as: UInt64.self)
            let deletes = word ^ (ones &* 0x7F)
            let controls = (word &- ones &* 0x20) & ~word
            if (controls | ((deletes &- ones) & ~deletes)) & tops != 0 {
                for place in index..<(index + 8) where unsafe isControl(text[place]) {
                    return false
                }
            }
            index += 8
        }
        while index < text.count {
            if unsafe isControl(text[index]) { return false }
            index += 1
        }
        return true
    }

    @inline(__always)
    private static func isControl(_ byte: UInt8) -> Bool {
        (byte < 0x20 && byte != ASCII.tab) || byte == 0x7F
    }

    /// Whether `path` is an origin-form target without fragment, spaces or bytes from 0x80 up.
    package static func isPath(_ path: UnsafeRawBufferPointer) -> Bool {
        guard unsafe !path.isEmpty, unsafe path[0] == ASCII.slash else { return false }
        var index = 0
        // As in isText(_:): a borrow may spread, so a word can be suspected wrongly, never passed.
        let ones: UInt64 = 0x0101_0101_0101_0101
        while index &+ 8 <= path.count {
            let word = unsafe path.loadUnaligned(fromByteOffset: index, as: UInt64.self)
            let found =
                (word &- ones &* 0x21) | ((word ^ ones &* 0x7F) &- ones)
                | ((word ^ ones &* 0x23) &- ones) | word
            if found & (ones &* 0x80) != 0 {
                for place in index..<(index + 8) where unsafe !isPathByte(path[place]) {
                    return false
                }
            }
            index &+= 8
        }
        while index < path.count {
            if unsafe !isPathByte(path[index]) { return false }
            index &+= 1
        }
        return true
    }

    @inline(__always)
    private static func isPathByte(_ byte: UInt8) -> Bool {
        byte > 0x20 && byte < 0x7F && byte != UInt8(ascii: "#")
    }

    // One bit a byte, as for tokens: all that is visible but "#/<>?@\^`{|} .
    private static let authorityLow: UInt64 = 0x2FFF_7FF2_0000_0000
    private static let authorityHigh: UInt64 = 0x47FF_FFFE_AFFF_FFFE

    /// Whether `authority` is a host with an optional port, without user information.
    package static func isAuthority(_ authority: UnsafeRawBufferPointer) -> Bool {
        guard authority.count <= 512 else { return false }
        // Without branches: nearly all are good, so all bytes are looked at anyway.
        var good: UInt64 = 1
        for index in 0..<authority.count {
            let byte = unsafe UInt64(authority[index])
            let set = byte & 64 == 0 ? authorityLow : authorityHigh
            good &= (set &>> (byte & 63)) & ~(byte >> 7)
        }
        return good == 1
    }

    /// Whether `text` is what `host` may say: a name or address and an optional port.
    ///
    /// Narrower than ``isAuthority(_:)``: never empty, brackets only around an IPv6 address, and
    /// a port of at most 65535. Source: RFC 3986 §3.2.2 and §3.2.3, RFC 9110 §7.2.
    package static func isHost(_ text: UnsafeRawBufferPointer) -> Bool {
        guard unsafe !text.isEmpty, text.count <= 512, unsafe text[0] != ASCII.colon else {
            return false
        }
        var index = 0
        if unsafe text[0] == UInt8(ascii: "[") {
            index = 1
            var colons = 0
            while index < text.count, unsafe text[index] != UInt8(ascii: "]") {
                let byte = unsafe text[index]
                if byte == ASCII.colon { colons += 1 }
                guard
                    byte == ASCII.colon || byte == ASCII.dot
                        || ASCII.hexadecimalValue(byte) != nil
                else { return false }
                index += 1
            }
            guard index < text.count, colons >= 2 else { return false }
            index += 1
        } else {
            while index < text.count, unsafe text[index] != ASCII.colon {
                if unsafe text[index] == ASCII.percent {
                    guard index + 2 < text.count,
                        unsafe ASCII.hexadecimalValue(text[index + 1]) != nil,
                        unsafe ASCII.hexadecimalValue(text[index + 2]) != nil
                    else { return false }
                } else if unsafe !isNameByte(text[index]) {
                    return false
                }
                index += 1
            }
        }
        if index == text.count { return true }
        guard unsafe text[index] == ASCII.colon else { return false }
        let port = unsafe UnsafeRawBufferPointer(rebasing: text[(index + 1)...])
        guard unsafe !port.isEmpty else { return true }
        guard port.count <= 5, let number = unsafe ASCII.decimal(port) else { return false }
        return number <= 65_535
    }

    /// Whether `byte` may stand in a registered name (RFC 3986 §3.2.2).
    private static func isNameByte(_ byte: UInt8) -> Bool {
        switch byte {
        // Token characters that are neither unreserved nor sub-delimiters.
        case UInt8(ascii: "#"), UInt8(ascii: "^"), UInt8(ascii: "`"), UInt8(ascii: "|"): false
        case UInt8(ascii: "("), UInt8(ascii: ")"), UInt8(ascii: ","), UInt8(ascii: ";"),
            UInt8(ascii: "="):
            true
        default: isToken(byte)
        }
    }
}
