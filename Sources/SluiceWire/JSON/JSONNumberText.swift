private import SluiceCore

/// Numbers as JSON text: the shortest that reads back as the same bits.
///
/// A fraction has a point or an exponent even when it is whole (`1.0`), so that readers which tell
/// integers from floats see a float. NaN and the infinities are the tokens `NaN`, `Infinity` and
/// `-Infinity`. FP16 and BF16 are written with the digits that they need themselves: the half 0.1
/// is `0.1`, not the `0.099975586` that is its value; read to single precision and rounded again,
/// each text gives the same 16 bits.
package enum JSONNumberText {
    /// Bytes to have free where a number is written: its text has 24 at most, and words are stored
    /// whole.
    package static let room = 40

    /// Writes a double at `place`, where ``room`` bytes must be free; returns its length.
    ///
    /// The digits and the form are those of Swift's `description`: an exponent below 10^-4 and
    /// above 2^53.
    package static func write(_ value: Double, to place: UnsafeMutablePointer<UInt8>) -> Int {
        unsafe write(value, PowersOfFive.table, place)
    }

    /// Writes a single-precision number as ``write(_:to:)-(Double,_)`` does, with an exponent
    /// above 2^24.
    package static func write(_ value: Float, to place: UnsafeMutablePointer<UInt8>) -> Int {
        unsafe write(value, PowersOfFive.table, place)
    }

    /// Writes an FP16 as ``write(_:to:)-(Double,_)`` does.
    package static func write(half bits: UInt16, to place: UnsafeMutablePointer<UInt8>) -> Int {
        unsafe write(half: bits, PowersOfFive.table, place)
    }

    /// Writes a BF16 as ``write(_:to:)-(Float,_)`` does.
    package static func write(brain bits: UInt16, to place: UnsafeMutablePointer<UInt8>) -> Int {
        unsafe write(brain: bits, PowersOfFive.table, place)
    }

    /// Writes a whole number as ``write(_:to:)-(Double,_)`` does.
    @inline(__always)
    package static func write(_ value: Int64, to place: UnsafeMutablePointer<UInt8>) -> Int {
        guard value < 0 else { return unsafe DecimalDigits.write(UInt64(value), to: place) }
        unsafe place.pointee = ASCII.dash
        return unsafe 1 &+ DecimalDigits.write(value.magnitude, to: place + 1)
    }

    /// Writes a whole number as ``write(_:to:)-(Double,_)`` does.
    @inline(__always)
    package static func write(_ value: UInt64, to place: UnsafeMutablePointer<UInt8>) -> Int {
        unsafe DecimalDigits.write(value, to: place)
    }

    // MARK: - Formats

    @inline(__always)
    static func write(
        _ value: Double,
        _ powers: PowersOfFive,
        _ place: UnsafeMutablePointer<UInt8>
    ) -> Int {
        let bits = value.bitPattern
        return unsafe write(
            Binary(
                isNegative: bits >> 63 == 1,
                exponent: Int(bits >> 52 & 0x7FF),
                fraction: bits & (1 << 52 - 1),
                width: 52,
                bias: 1023,
                plainBits: 53
            ),
            powers,
            place
        )
    }

    @inline(__always)
    static func write(
        _ value: Float,
        _ powers: PowersOfFive,
        _ place: UnsafeMutablePointer<UInt8>
    ) -> Int {
        let bits = UInt64(value.bitPattern)
        return unsafe write(
            Binary(
                isNegative: bits >> 31 == 1,
                exponent: Int(bits >> 23 & 0xFF),
                fraction: bits & (1 << 23 - 1),
                width: 23,
                bias: 127,
                plainBits: 24
            ),
            powers,
            place
        )
    }

    @inline(__always)
    static func write(
        half bits: UInt16,
        _ powers: PowersOfFive,
        _ place: UnsafeMutablePointer<UInt8>
    ) -> Int {
        unsafe write(
            Binary(
                isNegative: bits >> 15 == 1,
                exponent: Int(bits >> 10 & 0x1F),
                fraction: UInt64(bits & (1 << 10 - 1)),
                width: 10,
                bias: 15,
                plainBits: 24
            ),
            powers,
            place
        )
    }

    @inline(__always)
    static func write(
        brain bits: UInt16,
        _ powers: PowersOfFive,
        _ place: UnsafeMutablePointer<UInt8>
    ) -> Int {
        unsafe write(
            Binary(
                isNegative: bits >> 15 == 1,
                exponent: Int(bits >> 7 & 0xFF),
                fraction: UInt64(bits & (1 << 7 - 1)),
                width: 7,
                bias: 127,
                plainBits: 24
            ),
            powers,
            place
        )
    }

    /// A floating-point number taken apart.
    private struct Binary {
        let isNegative: Bool
        /// The exponent's bits.
        let exponent: Int
        /// The bits behind the leading one, and how many there are.
        let fraction: UInt64
        let width: Int
        let bias: Int
        /// Numbers above 2 to this power are written with an exponent.
        let plainBits: Int
    }

    @inline(__always)
    private static func write(
        _ binary: Binary,
        _ powers: PowersOfFive,
        _ start: UnsafeMutablePointer<UInt8>
    ) -> Int {
        let isSpecial = binary.exponent == 2 &* binary.bias &+ 1
        if isSpecial, binary.fraction != 0 { return unsafe copy("NaN", start) }
        // The dash is written in any case, and written over if there is none.
        unsafe start.pointee = ASCII.dash
        let sign = binary.isNegative ? 1 : 0
        let place = unsafe start + sign
        if isSpecial { return unsafe sign &+ copy("Infinity", place) }
        let significand: UInt64
        let exponent: Int
        if binary.exponent == 0 {
            guard binary.fraction != 0 else { return unsafe sign &+ copy("0.0", place) }
            significand = binary.fraction
            exponent = 1 &- binary.bias &- binary.width
        } else {
            significand = binary.fraction | 1 << UInt64(binary.width)
            exponent = binary.exponent &- binary.bias &- binary.width
        }
        if exponent <= 0, exponent > -(binary.width &+ 1),
            significand & (1 &<< UInt64(-exponent) &- 1) == 0
        {
            // A whole number that is exact.
            let length = unsafe DecimalDigits.write(significand &>> UInt64(-exponent), to: place)
            return unsafe sign &+ length &+ copy(".0", place + length)
        }
        let decimal = ShortestDecimal(
            significand: significand,
            exponent: exponent,
            isPower: binary.fraction == 0 && binary.exponent > 1,
            powers: powers
        )
        // Whether the number is at most 2^plainBits, which itself has the fraction 0.
        let isPlain =
            binary.exponent &- binary.bias < binary.plainBits
            || binary.exponent &- binary.bias == binary.plainBits && binary.fraction == 0
        return unsafe sign &+ DecimalDigits.write(decimal, isPlain: isPlain, to: place)
    }

    @inline(__always)
    private static func copy(_ text: StaticString, _ place: UnsafeMutablePointer<UInt8>) -> Int {
        unsafe ShortBytes.copy(text.utf8Start, to: place, count: text.utf8CodeUnitCount)
        return text.utf8CodeUnitCount
    }
}
