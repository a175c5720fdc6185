private import SluiceCore

/// The escapes of strings (RFC 8259 §7).
enum JSONEscape {
    /// The length in bytes of the escape that begins at the backslash at `place`, or nil when it
    /// is unknown, cut off by `end`, or half a surrogate pair.
    static func length(at place: UnsafePointer<UInt8>, end: UnsafePointer<UInt8>) -> Int? {
        guard unsafe end - place >= 2 else { return nil }
        if unsafe place[1] != UInt8(ascii: "u") {
            return unsafe meaning(of: place[1]) == 0 ? nil : 2
        }
        guard unsafe end - place >= 6, unsafe isHexadecimal(place + 2) else { return nil }
        let unit = unsafe codeUnit(UnsafeRawPointer(place + 2))
        if unit & 0xF800 != 0xD800 { return 6 }
        guard unit < 0xDC00, unsafe end - place >= 12, unsafe place[6] == UInt8(ascii: "\\"),
            unsafe place[7] == UInt8(ascii: "u"), unsafe isHexadecimal(place + 8),
            unsafe codeUnit(UnsafeRawPointer(place + 8)) & 0xFC00 == 0xDC00
        else { return nil }
        return 12
    }

    /// The byte that a backslash and `kind` stand for, or 0 when they stand for nothing.
    static func meaning(of kind: UInt8) -> UInt8 {
        switch kind {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): kind
        case UInt8(ascii: "b"): 0x08
        case UInt8(ascii: "f"): 0x0C
        case UInt8(ascii: "n"): 0x0A
        case UInt8(ascii: "r"): 0x0D
        case UInt8(ascii: "t"): 0x09
        default: 0
        }
    }

    private static func isHexadecimal(_ place: UnsafePointer<UInt8>) -> Bool {
        for step in 0..<4 where unsafe ASCII.hexadecimalValue(place[step]) == nil { return false }
        return true
    }

    /// The value of the four hexadecimal digits at `place`.
    static func codeUnit(_ place: UnsafeRawPointer) -> UInt32 {
        var value: UInt32 = 0
        for step in 0..<4 {
            let byte = unsafe place.load(fromByteOffset: step, as: UInt8.self)
            value = value << 4 | UInt32(ASCII.hexadecimalValue(byte) ?? 0)
        }
        return value
    }

    /// Writes a scalar as UTF-8, and returns its length.
    static func encode(_ scalar: UInt32, to place: UnsafeMutablePointer<UInt8>) -> Int {
        func tail(_ shift: UInt32) -> UInt8 { 0x80 | UInt8(scalar >> shift & 0x3F) }
        if scalar < 0x80 {
            unsafe place[0] = UInt8(scalar)
            return 1
        }
        if scalar < 0x800 {
            unsafe place[0] = 0xC0 | UInt8(scalar >> 6)
            unsafe place[1] = tail(0)
            return 2
        }
        if scalar < 0x10000 {
            unsafe place[0] = 0xE0 | UInt8(scalar >> 12)
            unsafe place[1] = tail(6)
            unsafe place[2] = tail(0)
            return 3
        }
        unsafe place[0] = 0xF0 | UInt8(scalar >> 18)
        unsafe place[1] = tail(12)
        unsafe place[2] = tail(6)
        unsafe place[3] = tail(0)
        return 4
    }
}
