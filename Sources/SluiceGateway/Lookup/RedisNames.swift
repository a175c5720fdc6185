import SluiceCache
import SluiceCore

/// What entries are called in tier 2, written into memory that is used again.
///
/// A name is the configured prefix, model, revision and digest: `sluice:iris/v1/9f86d0…`.
@safe
struct RedisNames: ~Copyable {
    private let prefix: KeptBytes
    private var text: ByteBuffer
    /// Whose names the text is for, if any: only their digests differ.
    private var revision: UInt32?
    private var beginningCount = 0
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
        model: WorkerModel,
        revision route: WorkerRevision
    ) -> UnsafeRawBufferPointer {
        if revision == route.number {
            text.truncate(text.count - beginningCount)
        } else {
            text.truncate(text.count)
            unsafe text.append(prefix.bytes)
            unsafe text.append(model.name.bytes)
            text.append(byte: ASCII.slash)
            unsafe text.append(route.name.bytes)
            text.append(byte: ASCII.slash)
            revision = route.number
            beginningCount = text.count
        }
        key.appendHexadecimal(to: &text)
        return unsafe text.bytes
    }
}
