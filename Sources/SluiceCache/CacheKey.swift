package import SluiceCore

/// What an answer is remembered under: the 32 bytes of a SHA-256 over the canonical request.
///
/// The digest is made by whoever has OpenSSL's key; here it is only four words. They are uniform
/// already, so each structure hashes a key by taking a word of it: `a` chooses the shard, `b` the
/// place in an index, `c` the ghost's fingerprint.
package struct CacheKey: Hashable, BitwiseCopyable, Sendable {
    let a, b, c, d: UInt64

    /// How many bytes a digest has.
    package static let byteCount = 32

    /// The key a digest stands for; `digest` must hold ``byteCount`` bytes.
    package init(digest: UnsafeRawBufferPointer) {
        precondition(digest.count == CacheKey.byteCount, "a key is the 32 bytes of a SHA-256")
        // In bounds by the line above; read before the call returns.
        unsafe a = digest.loadUnaligned(fromByteOffset: 0, as: UInt64.self)
        unsafe b = digest.loadUnaligned(fromByteOffset: 8, as: UInt64.self)
        unsafe c = digest.loadUnaligned(fromByteOffset: 16, as: UInt64.self)
        unsafe d = digest.loadUnaligned(fromByteOffset: 24, as: UInt64.self)
    }

    /// Feeds one word, which is as good as all four.
    package func hash(into hasher: inout Hasher) { hasher.combine(b) }

    /// A number that follows from the key alone, uniform over keys: for sampling by content.
    package var sample: UInt64 { d }

    /// Appends the digest as 64 lower-case hexadecimal digits, the way it is named in Redis.
    package func appendHexadecimal(to output: inout ByteBuffer) {
        let digits: StaticString = "0123456789abcdef"
        // Room for exactly the digits written; the literal has all sixteen.
        let place = unsafe output.reserve(2 * CacheKey.byteCount)
        var index = 0
        for word in [a, b, c, d] {
            for shift in stride(from: 0, to: 64, by: 8) {
                // Words were read in memory order, which is little-endian on every Swift platform.
                let byte = Int(truncatingIfNeeded: word >> UInt64(shift)) & 0xFF
                unsafe place[index] = digits.utf8Start[byte >> 4]
                unsafe place[index + 1] = digits.utf8Start[byte & 15]
                index += 2
            }
        }
        output.commit(index)
    }
}
