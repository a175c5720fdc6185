import SluiceCompression
import SluiceCore

/// Decodes whole bodies: of REST, and of gRPC with one message behind its prefix.
enum MessageDecoding {
    private static let prefixLength = 5

    /// What `body` decodes to, in memory of `pool`, of at most `limit` bytes; the caller gives it back.
    ///
    /// A message keeps its prefix, which then says that it isn't compressed; one that wasn't is copied.
    static func decode(
        _ body: UnsafeRawBufferPointer,
        _ coding: ContentCoding,
        isMessage: Bool,
        limit: Int,
        pool: BufferPool
    ) -> Result<PooledBytes, InflateFailure> {
        var made = PooledBytes()
        do throws(InflateFailure) {
            if isMessage {
                try unsafe message(body, coding, limit: limit, into: &made, pool: pool)
            } else {
                try unsafe made.appendInflated(body, coding, limit: limit, pool: pool)
            }
            return .success(made)
        } catch {
            made.release(to: pool)
            return .failure(error)
        }
    }

    private static func message(
        _ body: UnsafeRawBufferPointer,
        _ coding: ContentCoding,
        limit: Int,
        into made: inout PooledBytes,
        pool: BufferPool
    ) throws(InflateFailure) {
        guard let length = unsafe length(of: body), length == body.count - prefixLength else {
            throw .malformed(reason: "it isn't one message")
        }
        guard unsafe body[0] == 1 else {
            unsafe made.append(body, pool: pool)
            return
        }
        let room = unsafe made.reserve(prefixLength, pool: pool)
        for index in 0..<prefixLength { unsafe room[index] = 0 }
        made.commit(prefixLength)
        try unsafe made.appendInflated(
            UnsafeRawBufferPointer(rebasing: body[prefixLength...]),
            coding,
            limit: limit,
            pool: pool
        )
        let count = UInt32(clamping: made.count - prefixLength)
        unsafe UnsafeMutableRawPointer(made.place(at: 1))
            .storeBytes(of: count.bigEndian, as: UInt32.self)
    }

    /// The length that a message's prefix says; nil while the prefix isn't whole.
    static func length(of body: UnsafeRawBufferPointer) -> Int? {
        guard body.count >= prefixLength else { return nil }
        return unsafe Int(UInt32(bigEndian: body.loadUnaligned(fromByteOffset: 1, as: UInt32.self)))
    }

    /// Whether a gRPC body's first message is compressed.
    static func isCompressed(_ body: UnsafeRawBufferPointer) -> Bool {
        unsafe body.first == 1
    }
}
