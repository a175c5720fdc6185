/// Hexadecimal digits, eight at a time.
public enum Hexadecimal {
    /// The eight lower-case digits of `value`, the first digit in the lowest byte.
    ///
    /// Spreads the nibbles over the bytes of a word, then adds 39 more to those above nine: the
    /// distance from `:` to `a`. No table, no branch.
    @inlinable
    public static func digits(of value: UInt32) -> UInt64 {
        var word = UInt64(value.byteSwapped)
        word = (word | word << 16) & 0x0000_FFFF_0000_FFFF
        word = (word | word << 8) & 0x00FF_00FF_00FF_00FF
        // Each 16-bit lane holds one byte; its high nibble is written first.
        word = (word >> 4 | word << 8) & 0x0F0F_0F0F_0F0F_0F0F
        let aboveNine = ((word &+ 0x0606_0606_0606_0606) >> 4) & 0x0101_0101_0101_0101
        return word &+ 0x3030_3030_3030_3030 &+ aboveNine &* 39
    }

    /// The number that `text` spells in lower-case digits, or nil.
    ///
    /// `text` has at most sixteen digits. Capitals are refused: W3C Trace Context §3.2.2 wants
    /// lower case.
    package static func number(_ text: UnsafeRawBufferPointer) -> UInt64? {
        precondition(text.count <= 16, "a word has sixteen hexadecimal digits")
        var value: UInt64 = 0
        for index in 0..<text.count {
            let byte = unsafe text[index]
            switch byte {
            case 0x30...0x39: value = value << 4 | UInt64(byte - 0x30)
            case 0x61...0x66: value = value << 4 | UInt64(byte - 0x61 + 10)
            default: return nil
            }
        }
        return value
    }
}
