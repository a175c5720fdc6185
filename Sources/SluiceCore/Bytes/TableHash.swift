/// The hash of tables that compare what they find: sixteen bytes a multiplication, as wyhash does it.
///
/// For this process only, and where strangers win nothing by making two of the same: it isn't keyed.
package enum TableHash {
    /// The hash of `bytes` behind what `state` has seen.
    @inline(__always)
    package static func hash(
        _ bytes: UnsafeRawBufferPointer,
        _ state: UInt64 = 0x9E37_79B9_7F4A_7C15
    ) -> UInt64 {
        guard let base = bytes.baseAddress, bytes.count >= 16 else {
            return unsafe hashShort(bytes, state)
        }
        var state = state ^ UInt64(bytes.count)
        var place = unsafe base
        // The last sixteen may overlap those before.
        let last = unsafe base + (bytes.count &- 16)
        while unsafe place < last {
            state = unsafe fold(word(place), word(place + 8), state)
            unsafe place += 16
        }
        return unsafe fold(word(last), word(last + 8), state)
    }

    @inline(__always)
    private static func hashShort(_ bytes: UnsafeRawBufferPointer, _ state: UInt64) -> UInt64 {
        guard let base = bytes.baseAddress, bytes.count > 0 else { return state }
        var words = (UInt64(0), UInt64(0))
        if bytes.count >= 8 {
            words = unsafe (word(base), word(base + (bytes.count &- 8)))
        } else if bytes.count >= 4 {
            words = unsafe (half(base), half(base + (bytes.count &- 4)))
        } else {
            let middle = unsafe UInt64(bytes[bytes.count &>> 1])
            words = unsafe (UInt64(bytes[0]), middle << 8 | UInt64(bytes[bytes.count &- 1]))
        }
        return fold(words.0, words.1, state ^ UInt64(bytes.count))
    }

    private static func word(_ place: UnsafeRawPointer) -> UInt64 {
        unsafe place.loadUnaligned(as: UInt64.self)
    }

    private static func half(_ place: UnsafeRawPointer) -> UInt64 {
        unsafe UInt64(place.loadUnaligned(as: UInt32.self))
    }

    private static func fold(_ first: UInt64, _ second: UInt64, _ state: UInt64) -> UInt64 {
        let product = (first ^ 0xA076_1D64_78BD_642F)
            .multipliedFullWidth(by: second ^ state)
        return product.low ^ product.high
    }
}
