import SluiceCore

/// The bytes of a canonical form on their way to a digest, gathered in memory that is used again.
///
/// The same framing as ``CanonicalBytes``, which gathers what rows and the general reader make of it.
@safe
struct CanonicalText: ~Copyable {
    /// Most requests are smaller, and go to the digest in one piece.
    private static let room = 2048
    private let memory = UnsafeMutableRawPointer.allocate(byteCount: room, alignment: 8)
    private var count = 0

    init() {}

    deinit { unsafe memory.deallocate() }

    /// Begins anew; what a request that came to nothing has left is dropped.
    mutating func begin() { count = 0 }

    /// A number, eight bytes with the lowest first.
    @inline(__always)
    mutating func append(
        bits: UInt64,
        _ digest: (UnsafeRawBufferPointer) -> Void
    ) {
        if count &+ 8 > CanonicalText.room { unsafe flush(digest) }
        // In bounds by the line above.
        unsafe memory.storeBytes(of: bits.littleEndian, toByteOffset: count, as: UInt64.self)
        count &+= 8
    }

    @inline(__always)
    mutating func append(number: Int, _ digest: (UnsafeRawBufferPointer) -> Void) {
        unsafe append(bits: UInt64(bitPattern: Int64(number)), digest)
    }

    mutating func append(byte: UInt8, _ digest: (UnsafeRawBufferPointer) -> Void) {
        if count &+ 1 > CanonicalText.room { unsafe flush(digest) }
        unsafe memory.storeBytes(of: byte, toByteOffset: count, as: UInt8.self)
        count &+= 1
    }

    /// Bytes behind their number; many go to the digest from where they lie.
    mutating func append(
        _ bytes: UnsafeRawBufferPointer,
        _ digest: (UnsafeRawBufferPointer) -> Void
    ) {
        unsafe append(number: bytes.count, digest)
        guard let base = bytes.baseAddress, bytes.count > 0 else { return }
        if count &+ bytes.count > CanonicalText.room {
            unsafe flush(digest)
            guard bytes.count <= CanonicalText.room else {
                unsafe digest(bytes)
                return
            }
        }
        unsafe ShortBytes.copy(base, to: memory + count, count: bytes.count)
        count &+= bytes.count
    }

    /// Hands over what has been gathered.
    mutating func flush(_ digest: (UnsafeRawBufferPointer) -> Void) {
        guard count > 0 else { return }
        unsafe digest(UnsafeRawBufferPointer(start: memory, count: count))
        count = 0
    }
}
