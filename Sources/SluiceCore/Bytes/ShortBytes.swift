/// Copies and comparisons of a few bytes, in place.
///
/// Field values are mostly under 64 bytes, and there a call to `memcpy` or `memcmp` costs more than
/// the work: 2,300 of 36,000 instructions a request. Short pieces move as two loads that may
/// overlap, so no length needs a loop over bytes.
public enum ShortBytes {
    /// Copies `count` bytes between places that don't overlap.
    @inlinable
    @inline(__always)
    public static func copy(
        _ from: UnsafeRawPointer,
        to: UnsafeMutableRawPointer,
        count: Int
    ) {
        // Pairs of loads that may overlap: a loop would be unrolled into more than it saves.
        if count >= 16 {
            guard count <= 64 else {
                unsafe to.copyMemory(from: from, byteCount: count)
                return
            }
            let first = unsafe from.loadUnaligned(as: SIMD2<UInt64>.self)
            let last = unsafe from.loadUnaligned(
                fromByteOffset: count &- 16,
                as: SIMD2<UInt64>.self
            )
            if count > 32 {
                let second = unsafe from.loadUnaligned(fromByteOffset: 16, as: SIMD2<UInt64>.self)
                let third = unsafe from.loadUnaligned(
                    fromByteOffset: count &- 32,
                    as: SIMD2<UInt64>.self
                )
                unsafe to.storeBytes(of: second, toByteOffset: 16, as: SIMD2<UInt64>.self)
                unsafe to.storeBytes(of: third, toByteOffset: count &- 32, as: SIMD2<UInt64>.self)
            }
            unsafe to.storeBytes(of: first, as: SIMD2<UInt64>.self)
            unsafe to.storeBytes(of: last, toByteOffset: count &- 16, as: SIMD2<UInt64>.self)
        } else if count >= 8 {
            let first = unsafe from.loadUnaligned(as: UInt64.self)
            let last = unsafe from.loadUnaligned(fromByteOffset: count &- 8, as: UInt64.self)
            unsafe to.storeBytes(of: first, as: UInt64.self)
            unsafe to.storeBytes(of: last, toByteOffset: count &- 8, as: UInt64.self)
        } else if count >= 4 {
            let first = unsafe from.loadUnaligned(as: UInt32.self)
            let last = unsafe from.loadUnaligned(fromByteOffset: count &- 4, as: UInt32.self)
            unsafe to.storeBytes(of: first, as: UInt32.self)
            unsafe to.storeBytes(of: last, toByteOffset: count &- 4, as: UInt32.self)
        } else if count > 0 {
            let first = unsafe from.load(as: UInt8.self)
            let middle = unsafe from.load(fromByteOffset: count &>> 1, as: UInt8.self)
            let last = unsafe from.load(fromByteOffset: count &- 1, as: UInt8.self)
            unsafe to.storeBytes(of: first, as: UInt8.self)
            unsafe to.storeBytes(of: middle, toByteOffset: count &>> 1, as: UInt8.self)
            unsafe to.storeBytes(of: last, toByteOffset: count &- 1, as: UInt8.self)
        }
    }

    /// Whether `count` bytes are the same.
    @inlinable
    @inline(__always)
    public static func equal(
        _ left: UnsafeRawPointer,
        _ right: UnsafeRawPointer,
        count: Int
    ) -> Bool {
        // As above, pairs of loads that may overlap; what differs is gathered and looked at once.
        guard count >= 8 else { return unsafe equalShort(left, right, count: count) }
        var offset = 0
        while offset &+ 16 < count {
            guard
                unsafe difference(left, right, at: offset)
                    | difference(left, right, at: offset &+ 8) == 0
            else { return false }
            offset &+= 16
        }
        if offset &+ 8 < count, unsafe difference(left, right, at: offset) != 0 { return false }
        return unsafe difference(left, right, at: count &- 8) == 0
    }

    @inlinable
    @inline(__always)
    static func equalShort(
        _ left: UnsafeRawPointer,
        _ right: UnsafeRawPointer,
        count: Int
    ) -> Bool {
        if count >= 4 {
            let first =
                unsafe left.loadUnaligned(as: UInt32.self) ^ right.loadUnaligned(as: UInt32.self)
            let last =
                unsafe left.loadUnaligned(fromByteOffset: count &- 4, as: UInt32.self)
                ^ right.loadUnaligned(fromByteOffset: count &- 4, as: UInt32.self)
            return first | last == 0
        }
        guard count > 0 else { return true }
        let middle = count &>> 1
        let first = unsafe left.load(as: UInt8.self) ^ right.load(as: UInt8.self)
        let second =
            unsafe left.load(fromByteOffset: middle, as: UInt8.self)
            ^ right.load(fromByteOffset: middle, as: UInt8.self)
        let last =
            unsafe left.load(fromByteOffset: count &- 1, as: UInt8.self)
            ^ right.load(fromByteOffset: count &- 1, as: UInt8.self)
        return first | second | last == 0
    }

    @inlinable
    @inline(__always)
    static func difference(
        _ left: UnsafeRawPointer,
        _ right: UnsafeRawPointer,
        at offset: Int
    ) -> UInt64 {
        unsafe left.loadUnaligned(fromByteOffset: offset, as: UInt64.self)
            ^ right.loadUnaligned(fromByteOffset: offset, as: UInt64.self)
    }
}
