private import COpenSSL

/// SHA-256 over pieces (FIPS 180-4), for cache keys: equal answers only for equal requests, even
/// when a client chooses what it asks.
///
/// It lies here because OpenSSL's one key does. One context serves any number of digests: between
/// them nothing is allocated or looked up. With the processor's SHA instructions some 1.5 GB/s.
@safe
package struct CacheDigest: ~Copyable {
    /// How many bytes a digest has.
    package static let byteCount = 32

    // Both are this struct's own until deinit. The algorithm is fetched once: `EVP_sha256` would
    // look it up again for each digest.
    private let context: OpaquePointer
    private let algorithm: OpaquePointer

    /// A digest of nothing yet.
    package init() {
        guard let context = unsafe EVP_MD_CTX_new(),
            let algorithm = unsafe EVP_MD_fetch(nil, "SHA256", nil),
            unsafe EVP_DigestInit_ex2(context, algorithm, nil) == 1
        else { preconditionFailure("OpenSSL has no SHA-256, or no memory") }
        unsafe self.context = context
        unsafe self.algorithm = algorithm
    }

    deinit {
        unsafe EVP_MD_CTX_free(context)
        unsafe EVP_MD_free(algorithm)
    }

    /// Forgets what was added.
    package mutating func restart() {
        guard unsafe EVP_DigestInit_ex2(context, nil, nil) == 1 else {
            preconditionFailure("OpenSSL can't begin a SHA-256")
        }
    }

    /// Adds `bytes`; pieces leave no trace of where they were cut, so frame them by their length.
    package mutating func append(_ bytes: UnsafeRawBufferPointer) {
        // Read during the call only. It fails for a finished context, which nobody can reach.
        _ = unsafe EVP_DigestUpdate(context, bytes.baseAddress, bytes.count)
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
        let place = unsafe target.baseAddress?.assumingMemoryBound(to: UInt8.self)
        // Exactly 32 bytes are written; then the same algorithm starts over in the same memory.
        guard unsafe EVP_DigestFinal_ex(context, place, nil) == 1,
            unsafe EVP_DigestInit_ex2(context, nil, nil) == 1
        else { preconditionFailure("OpenSSL can't finish a SHA-256") }
    }
}
