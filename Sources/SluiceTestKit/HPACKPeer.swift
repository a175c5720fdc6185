private import CNghttp2

/// nghttp2's HPACK decoder: the other opinion about a header block.
@safe
package final class HPACKPeer {
    /// A field's name and value.
    package typealias Pair = ([UInt8], [UInt8])

    private let inflater: OpaquePointer

    /// A decoder with an empty table of 4096 bytes.
    package init() {
        var made: OpaquePointer?
        // Only memory exhaustion makes it fail.
        guard unsafe nghttp2_hd_inflate_new(&made) == 0, let made = unsafe made else {
            preconditionFailure("out of memory for nghttp2's decoder")
        }
        unsafe inflater = made
    }

    deinit { unsafe nghttp2_hd_inflate_del(inflater) }

    /// Applies a SETTINGS_HEADER_TABLE_SIZE that the other side has acknowledged.
    package func limit(to size: Int) {
        _ = unsafe nghttp2_hd_inflate_change_table_size(inflater, size)
    }

    /// The fields of a whole block; nil when it isn't HPACK.
    package func inflate(_ block: UnsafeRawBufferPointer) -> [Pair]? {
        var pairs: [Pair] = []
        // An empty block has no address, which nghttp2 wants.
        var nothing: UInt8 = 0
        return unsafe withUnsafePointer(to: &nothing) { nothing in
            var next =
                unsafe block.baseAddress?.assumingMemoryBound(to: UInt8.self) ?? nothing
            var left = block.count
            while true {
                var pair = unsafe nghttp2_nv()
                var flags: Int32 = 0
                let count = unsafe nghttp2_hd_inflate_hd2(inflater, &pair, &flags, next, left, 1)
                guard count >= 0 else { return nil }
                unsafe next += count
                left -= count
                if UInt32(flags) & NGHTTP2_HD_INFLATE_EMIT.rawValue != 0 {
                    // Valid until the next call.
                    pairs.append(
                        unsafe (
                            Array(UnsafeBufferPointer(start: pair.name, count: pair.namelen)),
                            Array(UnsafeBufferPointer(start: pair.value, count: pair.valuelen))
                        )
                    )
                }
                if UInt32(flags) & NGHTTP2_HD_INFLATE_FINAL.rawValue != 0 {
                    _ = unsafe nghttp2_hd_inflate_end_headers(inflater)
                    return pairs
                }
                if count == 0 && UInt32(flags) & NGHTTP2_HD_INFLATE_EMIT.rawValue == 0 {
                    return nil
                }
            }
        }
    }
}
