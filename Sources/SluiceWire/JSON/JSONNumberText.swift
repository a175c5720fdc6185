import SluiceCore

/// Numbers as JSON text: the shortest that reads back as the same bits.
///
/// A fraction has a point or an exponent even when it is whole (`1.0`), so that readers which tell
/// integers from floats see a float. NaN and the infinities are the tokens `NaN`, `Infinity` and
/// `-Infinity`. FP16 and BF16 are written with the digits that they need themselves: the half 0.1
/// is `0.1`, not the `0.099975586` that is its value; read to single precision and rounded again,
/// each text gives the same 16 bits.
package enum JSONNumberText {
    /// Bytes that one number takes at most.
    package static let lengthMaximum = 24

    /// Writes a double at `place`, where there are ``lengthMaximum`` bytes of room; returns its
    /// length.
    package static func write(_ value: Double, to place: UnsafeMutablePointer<UInt8>) -> Int {
        let text =
            value.isNaN
            ? "NaN" : value.isInfinite ? (value < 0 ? "-Infinity" : "Infinity") : value.description
        return unsafe copy(text, to: place)
    }

    /// Writes a single-precision number as ``write(_:to:)-(Double,_)`` does.
    package static func write(_ value: Float, to place: UnsafeMutablePointer<UInt8>) -> Int {
        let text =
            value.isNaN
            ? "NaN" : value.isInfinite ? (value < 0 ? "-Infinity" : "Infinity") : value.description
        return unsafe copy(text, to: place)
    }

    /// Writes a whole number as ``write(_:to:)-(Double,_)`` does.
    package static func write(_ value: Int64, to place: UnsafeMutablePointer<UInt8>) -> Int {
        unsafe copy(value.description, to: place)
    }

    /// Writes a whole number as ``write(_:to:)-(Double,_)`` does.
    package static func write(_ value: UInt64, to place: UnsafeMutablePointer<UInt8>) -> Int {
        unsafe copy(value.description, to: place)
    }

    /// Writes an FP16 as ``write(_:to:)-(Double,_)`` does.
    package static func write(half bits: UInt16, to place: UnsafeMutablePointer<UInt8>) -> Int {
        unsafe write(ShortFloat.single(half: bits), to: place)
    }

    /// Writes a BF16 as ``write(_:to:)-(Double,_)`` does.
    package static func write(brain bits: UInt16, to place: UnsafeMutablePointer<UInt8>) -> Int {
        unsafe write(ShortFloat.single(brain: bits), to: place)
    }

    private static func copy(_ text: String, to place: UnsafeMutablePointer<UInt8>) -> Int {
        var text = text
        return text.withUTF8 { bytes in
            for unsafe(index, byte) in unsafe bytes.enumerated() { unsafe place[index] = byte }
            return bytes.count
        }
    }
}
