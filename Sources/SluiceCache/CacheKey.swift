package import SluiceCore

/// What an answer is remembered under: the 32 bytes of a SHA-256 over the canonical request.
///
/// The digest is made by the code that has OpenSSL's key; here it is only four words. They are uniform
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

    /// The key of no request, for places that are empty.
    package static var none: CacheKey { CacheKey() }

    private init() { (a, b, c, d) = (0, 0, 0, 0) }

    /// Feeds one word, which is as good as all four.
    package func hash(into hasher: inout Hasher) { hasher.combine(b) }

    /// A number that follows from the key alone, uniform over keys: for sampling by content, and to tie
    /// a value in Redis to its key.
    package var sample: UInt64 { d }

    /// Appends the digest as 64 lower-case hexadecimal digits, the way it is named in Redis.
    package func appendHexadecimal(to output: inout ByteBuffer) {
        // Room for exactly the digits written: sixteen for each word.
        let place = unsafe UnsafeMutableRawPointer(output.reserve(2 * CacheKey.byteCount))
        unsafe CacheKey.write(a, to: place)
        unsafe CacheKey.write(b, to: place + 16)
        unsafe CacheKey.write(c, to: place + 32)
        unsafe CacheKey.write(d, to: place + 48)
        output.commit(2 * CacheKey.byteCount)
    }

    /// Writes a word's sixteen digits, the lowest byte's first: words were read in memory order, which
    /// is little-endian on every Swift platform.
    private static func write(_ word: UInt64, to place: UnsafeMutableRawPointer) {
        let low = Hexadecimal.digits(of: UInt32(truncatingIfNeeded: word).byteSwapped)
        let high = Hexadecimal.digits(of: UInt32(truncatingIfNeeded: word >> 32).byteSwapped)
        unsafe place.storeBytes(of: low.littleEndian, as: UInt64.self)
        unsafe place.storeBytes(of: high.littleEndian, toByteOffset: 8, as: UInt64.self)
    }
}
