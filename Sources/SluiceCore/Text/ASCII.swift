/// ASCII bytes by name, and the few questions parsers ask about them.
///
/// Inlinable computed constants: a stored one would be an accessor call from every other module. They
/// are public because the compiler doesn't inline what is only `package`.
public enum ASCII {
    @inlinable public static var tab: UInt8 { 0x09 }
    @inlinable public static var lineFeed: UInt8 { 0x0A }
    @inlinable public static var carriageReturn: UInt8 { 0x0D }
    @inlinable public static var space: UInt8 { 0x20 }
    @inlinable public static var quote: UInt8 { 0x22 }
    @inlinable public static var percent: UInt8 { 0x25 }
    @inlinable public static var comma: UInt8 { 0x2C }
    @inlinable public static var dash: UInt8 { 0x2D }
    @inlinable public static var dot: UInt8 { 0x2E }
    @inlinable public static var slash: UInt8 { 0x2F }
    @inlinable public static var zero: UInt8 { 0x30 }
    @inlinable public static var nine: UInt8 { 0x39 }
    @inlinable public static var colon: UInt8 { 0x3A }
    @inlinable public static var semicolon: UInt8 { 0x3B }

    /// Whether `byte` is `0`…`9`.
    @inlinable
    @inline(__always)
    public static func isDigit(_ byte: UInt8) -> Bool { byte &- zero < 10 }

    /// `byte` with `A`…`Z` folded to `a`…`z`.
    @inlinable
    @inline(__always)
    public static func lowercased(_ byte: UInt8) -> UInt8 {
        byte &- 0x41 < 26 ? byte | 0x20 : byte
    }

    /// The value of a hexadecimal digit, or nil.
    @inlinable
    @inline(__always)
    public static func hexadecimalValue(_ byte: UInt8) -> UInt8? {
        switch byte {
        case 0x30...0x39: byte - 0x30
        case 0x41...0x46: byte - 0x41 + 10
        case 0x61...0x66: byte - 0x61 + 10
        default: nil
        }
    }

    /// Whether `text` equals `literal`, ignoring ASCII case; `literal` must be lower case.
    package static func equal(
        _ text: UnsafeRawBufferPointer,
        ignoringCaseOf literal: StaticString
    ) -> Bool {
        guard text.count == literal.utf8CodeUnitCount else { return false }
        let expected = unsafe literal.utf8Start
        for index in 0..<text.count
        where unsafe lowercased(text[index]) != expected[index] { return false }
        return true
    }

    /// Whether `text` begins with `literal`, byte for byte.
    @inlinable
    @inline(__always)
    public static func hasPrefix(_ text: UnsafeRawBufferPointer, _ literal: StaticString) -> Bool {
        let length = literal.utf8CodeUnitCount
        guard text.count >= length else { return false }
        guard let actual = text.baseAddress else { return true }
        return unsafe ShortBytes.equal(actual, literal.utf8Start, count: length)
    }

    /// Whether `text` is `literal`, byte for byte.
    @inlinable
    @inline(__always)
    public static func equal(_ text: UnsafeRawBufferPointer, _ literal: StaticString) -> Bool {
        unsafe text.count == literal.utf8CodeUnitCount && hasPrefix(text, literal)
    }

    /// The decimal number `text` spells, or nil when it is empty, has another byte or overflows.
    package static func decimal(_ text: UnsafeRawBufferPointer) -> Int? {
        guard unsafe !text.isEmpty, text.count <= 19 else { return nil }
        // Nineteen digits fit 64 bits without a sign.
        var value: UInt64 = 0
        for index in 0..<text.count {
            let digit = unsafe text[index] &- zero
            guard digit < 10 else { return nil }
            value = value &* 10 &+ UInt64(digit)
        }
        return Int(exactly: value)
    }

    /// Writes `value` in decimal to `place`, which must have room for twenty bytes; returns how many it
    /// took.
    package static func write(decimal value: Int, to place: UnsafeMutableRawPointer) -> Int {
        // Lengths and seconds mostly have four digits at most: all four, without those before the first.
        if 0..<10_000 ~= value {
            let number = UInt32(truncatingIfNeeded: value)
            let hundreds = number / 100
            let pairs = hundreds | (number &- hundreds &* 100) << 16
            // A tenth of each half: exact below 100.
            let tens = (pairs &* 103) >> 10 & 0x000F_000F
            let digits = (tens | (pairs &- tens &* 10) << 8) &+ 0x3030_3030
            let count = number < 100 ? number < 10 ? 1 : 2 : number < 1000 ? 3 : 4
            let word = digits &>> UInt32(8 &* (4 &- count))
            unsafe place.storeBytes(of: word.littleEndian, as: UInt32.self)
            return count
        }
        var rest = value.magnitude
        var count = value < 0 ? 2 : 1
        while rest > 9 {
            rest /= 10
            count += 1
        }
        if value < 0 { unsafe place.storeBytes(of: dash, as: UInt8.self) }
        rest = value.magnitude
        var index = count
        repeat {
            index -= 1
            let digit = zero + UInt8(truncatingIfNeeded: rest % 10)
            unsafe place.storeBytes(of: digit, toByteOffset: index, as: UInt8.self)
            rest /= 10
        } while rest > 0
        return count
    }
}
