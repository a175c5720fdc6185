/// Why a compressed body can't be decoded.
package enum InflateFailure: Error, Equatable, Sendable {
    /// The bytes are not what their coding says; `reason` is zlib's word for it.
    case malformed(reason: String)
    /// The body ended before its coding did.
    case truncated
    /// It would be longer than `limit` bytes.
    case tooLarge(limit: Int)
    /// It is longer than ``Inflater/freeByteCount`` and more than ``Inflater/ratioMaximum`` times as long as what came.
    case tooDense
    /// There is no memory for zlib's window of 32 KiB.
    case outOfMemory
}
