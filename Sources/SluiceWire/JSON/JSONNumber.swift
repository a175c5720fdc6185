private import SluiceCore

/// A number in a JSON text, as written; also the tokens `NaN`, `Infinity` and `-Infinity`.
///
/// The bytes belong to whoever owns the text, and live as long. They become a value only when one
/// is asked for, exactly: whole numbers of all 64 bits, and fractions rounded once, to the nearest.
@safe
package struct JSONNumber: BitwiseCopyable {
    /// The bytes of the number.
    package let raw: UnsafeRawBufferPointer
    /// Whether there is neither a point nor an exponent.
    package let isInteger: Bool

    /// The value as a signed number, or nil when it has a fraction or exponent, or is too large.
    package var int64: Int64? {
        guard let (magnitude, isNegative) = magnitude else { return nil }
        if isNegative {
            return magnitude <= 1 << 63 ? Int64(truncatingIfNeeded: 0 &- magnitude) : nil
        }
        return Int64(exactly: magnitude)
    }

    /// The value as an unsigned number, or nil when it has a fraction or exponent, or doesn't fit.
    package var uint64: UInt64? {
        guard let (magnitude, isNegative) = magnitude, !isNegative || magnitude == 0 else {
            return nil
        }
        return magnitude
    }

    /// The nearest double, or nil when the number is beyond the largest one.
    package var double: Double? {
        guard let text else { return Double(nonFinite) }
        return unsafe text.double(powers: PowersOfFive.table)
    }

    /// The nearest single-precision number, or nil when the number is beyond the largest one.
    package var float: Float? {
        guard let text else { return nonFinite }
        return unsafe text.float(powers: PowersOfFive.table)
    }

    private var text: DecimalText? {
        guard let base = unsafe raw.baseAddress?.assumingMemoryBound(to: UInt8.self) else {
            return nil
        }
        return unsafe DecimalText(scanning: base, end: base + raw.count, powers: PowersOfFive.table)
    }

    private var magnitude: (UInt64, Bool)? {
        guard let text, text.isInteger, let magnitude = text.magnitude else { return nil }
        return (magnitude, text.isNegative)
    }

    private var nonFinite: Float {
        if unsafe raw.first == UInt8(ascii: "N") { return .nan }
        return unsafe raw.first == ASCII.dash ? -.infinity : .infinity
    }
}
