/// A block that an encoder has sent before, found by its name (``FieldBlock/repeatName``).
package struct KnownBlock: BitwiseCopyable {
    /// Which of the encoder's.
    let number: Int
    /// How many volatile fields it has, whose values come afresh.
    package let valueCount: Int
    /// What it took the last time.
    let byteCount: Int

    /// The most bytes it takes with values of so many bytes together.
    package func bound(_ valueBytes: Int) -> Int {
        // A value has a length of up to six octets (RFC 7541 §5.1).
        byteCount &+ valueBytes &+ valueCount &* 6
    }
}
