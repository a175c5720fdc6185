package import SluiceCore

/// What lies under a key in Redis: a header of ours, and the answer.
///
/// ```
///  0     magic "SLCE"
///  4     version, 2 bytes       a value of another version is a miss
///  6     form, 2 bytes          how the writer encoded the answer
///  8     length of the answer, 8 bytes
/// 16     fresh until, 8 bytes   milliseconds since 1970
/// 24     checksum, 8 bytes      XXH64 of the answer, seeded by XXH64 of bytes 0–23, seeded by the key
/// 32     the answer
/// ```
///
/// Numbers are little-endian. The checksum covers the key, by 64 bits of its digest, so a value that
/// was copied, or answered by a connection out of step, is a miss as well.
package struct StoredValue: Hashable, Sendable {
    /// How many bytes precede the answer.
    package static let headerByteCount = 32
    private static let magic: UInt32 = 0x4543_4C53
    private static let version: UInt16 = 2

    /// How the writer encoded the answer; its meaning is the gateway's.
    package let form: UInt16
    /// When the answer stops being fresh, in milliseconds since 1970: processes share no other clock.
    package let freshUntilMilliseconds: Int64

    /// What the header says besides the answer's length.
    package init(form: UInt16, freshUntilMilliseconds: Int64) {
        self.form = form
        self.freshUntilMilliseconds = freshUntilMilliseconds
    }

    /// Appends the 32 bytes that go before `answer`; `key` is 64 bits of its key's digest.
    package func appendHeader(
        key: UInt64,
        answer: UnsafeRawBufferPointer,
        to output: inout ByteBuffer
    ) {
        // Exactly the bytes reserved are written.
        let header = unsafe UnsafeMutableRawBufferPointer(
            start: output.reserve(StoredValue.headerByteCount),
            count: StoredValue.headerByteCount
        )
        unsafe header.storeBytes(of: StoredValue.magic.littleEndian, as: UInt32.self)
        unsafe header.storeBytes(
            of: StoredValue.version.littleEndian,
            toByteOffset: 4,
            as: UInt16.self
        )
        unsafe header.storeBytes(of: form.littleEndian, toByteOffset: 6, as: UInt16.self)
        unsafe header.storeBytes(
            of: UInt64(answer.count).littleEndian,
            toByteOffset: 8,
            as: UInt64.self
        )
        unsafe header.storeBytes(
            of: freshUntilMilliseconds.littleEndian,
            toByteOffset: 16,
            as: Int64.self
        )
        let checksum = unsafe StoredValue.checksum(
            UnsafeRawBufferPointer(header),
            key: key,
            answer: answer
        )
        unsafe header.storeBytes(of: checksum.littleEndian, toByteOffset: 24, as: UInt64.self)
        output.commit(StoredValue.headerByteCount)
    }

    /// Reads what lay under a key whose digest has these 64 bits; nil when it isn't ours, of another
    /// version, or damaged.
    ///
    /// The answer is `value` from ``headerByteCount`` on.
    package init?(_ value: UnsafeRawBufferPointer, key: UInt64) {
        // The loads are within the header, which is there by the first condition.
        guard value.count >= StoredValue.headerByteCount,
            unsafe value.loadUnaligned(as: UInt32.self) == StoredValue.magic.littleEndian,
            unsafe value.loadUnaligned(fromByteOffset: 4, as: UInt16.self)
                == StoredValue.version.littleEndian,
            unsafe UInt64(
                littleEndian: value.loadUnaligned(fromByteOffset: 8, as: UInt64.self)
            ) == UInt64(value.count - StoredValue.headerByteCount)
        else { return nil }
        let answer = unsafe UnsafeRawBufferPointer(rebasing: value[StoredValue.headerByteCount...])
        let checksum = unsafe UInt64(
            littleEndian: value.loadUnaligned(fromByteOffset: 24, as: UInt64.self)
        )
        guard unsafe checksum == StoredValue.checksum(value, key: key, answer: answer) else {
            return nil
        }
        form = unsafe UInt16(
            littleEndian: value.loadUnaligned(fromByteOffset: 6, as: UInt16.self)
        )
        freshUntilMilliseconds = unsafe Int64(
            littleEndian: value.loadUnaligned(fromByteOffset: 16, as: Int64.self)
        )
    }

    /// Each piece's checksum is the seed of the next, so that nothing need be copied together.
    private static func checksum(
        _ header: UnsafeRawBufferPointer,
        key: UInt64,
        answer: UnsafeRawBufferPointer
    ) -> UInt64 {
        let front = unsafe UnsafeRawBufferPointer(rebasing: header[..<24])
        return unsafe XXH64.hash(answer, seed: XXH64.hash(front, seed: key))
    }
}
