private import COpenSSL

/// SHA-256 over pieces (FIPS 180-4), for cache keys: equal answers only for equal requests, even
/// when a client chooses what it asks.
///
/// It lies here because OpenSSL's one key does. Nothing is allocated. With the processor's SHA
/// instructions some 1.5 GB/s.
@safe
package struct CacheDigest: ~Copyable {
    /// How many bytes a digest has.
    package static let byteCount = 32

    // Not EVP's context: OpenSSL 3.0 frees and allocates its inside at every beginning and asks for
    // engines, 800 instructions a digest of 300. These functions have run the same code since 0.9;
    // they are called deprecated because they can't be sent to another provider.
    private var state = SHA256_CTX()

    /// A digest of nothing yet.
    package init() { restart() }

    /// Forgets what was added.
    package mutating func restart() { unsafe copenssl_sha256_begin(&state) }

    /// Adds `bytes`; pieces leave no trace of where they were cut, so frame them by their length.
    package mutating func append(_ bytes: UnsafeRawBufferPointer) {
        // Read during the call only.
        unsafe copenssl_sha256_add(&state, bytes.baseAddress, bytes.count)
    }

    /// Adds a number as eight bytes, the lowest first: a length, a tag.
    package mutating func append(number: Int) {
        unsafe withUnsafeBytes(of: number.littleEndian) { unsafe append($0) }
    }

    /// Writes the digest of what was added to `target`, and begins anew.
    ///
    /// `target` must hold ``byteCount`` bytes.
    package mutating func finish(into target: UnsafeMutableRawBufferPointer) {
        precondition(target.count == CacheDigest.byteCount, "a SHA-256 has 32 bytes")
        // Exactly 32 bytes are written.
        unsafe copenssl_sha256_finish(
            &state,
            target.baseAddress?.assumingMemoryBound(to: UInt8.self)
        )
        restart()
    }
}
