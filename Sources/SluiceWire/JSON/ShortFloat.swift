/// The two floating-point formats of 16 bits, to and from single precision.
package enum ShortFloat {
    /// The single-precision number that equals an FP16.
    package static func single(half bits: UInt16) -> Float { Float(Float16(bitPattern: bits)) }

    /// The FP16 nearest to a number, ties to even.
    package static func half(_ value: Float) -> UInt16 { Float16(value).bitPattern }

    /// The single-precision number that equals a BF16.
    package static func single(brain bits: UInt16) -> Float {
        Float(bitPattern: UInt32(bits) << 16)
    }

    /// The BF16 nearest to a number, ties to even.
    package static func brain(_ value: Float) -> UInt16 {
        let bits = value.bitPattern
        // A NaN whose payload is all in the lower half would come out as an infinity.
        if value.isNaN { return UInt16(truncatingIfNeeded: bits >> 16) | 0x40 }
        return UInt16(truncatingIfNeeded: (bits &+ 0x7FFF &+ bits >> 16 & 1) >> 16)
    }
}
