import SluiceCache
import SluiceCore

/// What entries are called in tier 2, written into memory that is used again.
///
/// A name is the configured prefix, model, revision and digest: `sluice:iris/v1/9f86d0…`.
@safe
struct RedisNames: ~Copyable {
    private let prefix: KeptBytes
    private var text: ByteBuffer
    /// How long a look-up may take, in nanoseconds.
    let timeout: Int64

    /// Names of a tier.
    init(_ tier: RedisTier, pool: BufferPool) {
        prefix = KeptBytes(tier.prefix)
        text = ByteBuffer(pool: pool)
        timeout = tier.timeout.nanoseconds
    }

    /// The name of `key`; valid until the next is asked for.
    mutating func name(
        _ key: CacheKey,
        model: UnsafeRawBufferPointer,
        revision: UnsafeRawBufferPointer
    ) -> UnsafeRawBufferPointer {
        text.truncate(text.count)
        unsafe text.append(prefix.bytes)
        unsafe text.append(model)
        text.append(byte: ASCII.slash)
        unsafe text.append(revision)
        text.append(byte: ASCII.slash)
        key.appendHexadecimal(to: &text)
        return unsafe text.bytes
    }
}
