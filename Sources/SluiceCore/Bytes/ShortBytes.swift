/// Copies and comparisons of a few bytes, in place.
///
/// Field values are mostly under 64 bytes, and there a call to `memcpy` or `memcmp` costs more than
/// the work: 2,300 of 36,000 instructions a request. Short pieces move as two loads that may
/// overlap, so no length needs a loop over bytes.
package enum ShortBytes {
    /// Copies `count` bytes between places that don't overlap.
    @inlinable
    @inline(__always)
    package static func copy(
        _ from: UnsafeRawPointer,
        to: UnsafeMutableRawPointer,
        count: Int
    ) {
        if count > 64 {
            unsafe to.copyMemory(from: from, byteCount: count)
        } else if count >= 16 {
            var offset = 0
            while offset &+ 16 < count {
                unsafe move(SIMD2<UInt64>.self, from, to, offset)
                offset &+= 16
            }
            unsafe move(SIMD2<UInt64>.self, from, to, count &- 16)
        } else if count >= 8 {
            unsafe move(UInt64.self, from, to, 0)
            unsafe move(UInt64.self, from, to, count &- 8)
        } else if count >= 4 {
            unsafe move(UInt32.self, from, to, 0)
            unsafe move(UInt32.self, from, to, count &- 4)
        } else if count > 0 {
            unsafe move(UInt8.self, from, to, 0)
            unsafe move(UInt8.self, from, to, count &>> 1)
            unsafe move(UInt8.self, from, to, count &- 1)
        }
    }

    /// Whether `count` bytes are the same.
    @inlinable
    @inline(__always)
    package static func equal(
        _ left: UnsafeRawPointer,
        _ right: UnsafeRawPointer,
        count: Int
    )
        -> Bool
    {
        if count >= 8 {
            var offset = 0
            while offset &+ 8 < count {
                guard unsafe same(UInt64.self, left, right, offset) else { return false }
                offset &+= 8
            }
            return unsafe same(UInt64.self, left, right, count &- 8)
        }
        if count >= 4 {
            return unsafe same(UInt32.self, left, right, 0)
                && same(UInt32.self, left, right, count &- 4)
        }
        guard count > 0 else { return true }
        return unsafe same(UInt8.self, left, right, 0)
            && same(UInt8.self, left, right, count &>> 1)
            && same(UInt8.self, left, right, count &- 1)
    }

    @inlinable
    @inline(__always)
    static func move<Word: BitwiseCopyable>(
        _: Word.Type,
        _ from: UnsafeRawPointer,
        _ to: UnsafeMutableRawPointer,
        _ offset: Int
    ) {
        let word = unsafe from.loadUnaligned(fromByteOffset: offset, as: Word.self)
        unsafe to.storeBytes(of: word, toByteOffset: offset, as: Word.self)
    }

    @inlinable
    @inline(__always)
    static func same<Word: BitwiseCopyable & Equatable>(
        _: Word.Type,
        _ left: UnsafeRawPointer,
        _ right: UnsafeRawPointer,
        _ offset: Int
    ) -> Bool {
        unsafe left.loadUnaligned(fromByteOffset: offset, as: Word.self)
            == right.loadUnaligned(fromByteOffset: offset, as: Word.self)
    }
}
