package import SluiceCore

extension PooledBytes {
    // Room that is asked for at a time: what a small body needs at once, and little beside a large one.
    private static let step = 16 << 10

    /// Appends what `body` decodes to, at most `limit` bytes.
    ///
    /// On a failure, what was appended so far is still there. Costs are linear in both lengths.
    package mutating func appendInflated(
        _ body: UnsafeRawBufferPointer,
        _ coding: ContentCoding,
        limit: Int,
        pool: BufferPool
    ) throws(InflateFailure) {
        var inflater = Inflater(coding, byteCount: body.count, limit: limit)
        var rest = unsafe body
        while true {
            // The place is valid until the next reservation.
            let place = unsafe reserve(PooledBytes.step, pool: pool)
            let (read, written) = try unsafe inflater.inflate(
                rest,
                into: UnsafeMutableRawBufferPointer(start: place, count: PooledBytes.step)
            )
            commit(written)
            unsafe rest = UnsafeRawBufferPointer(rebasing: rest[read...])
            if written < PooledBytes.step { break }
        }
        try inflater.finish()
    }
}
