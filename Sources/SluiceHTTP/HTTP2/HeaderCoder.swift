private import CNghttp2
// HPACK (RFC 7541): sending by our own encoder, receiving by nghttp2's decoder. The only file that
// touches `nghttp2_hd_*`.
import SluiceCore

/// Both directions of one connection's header compression.
@safe
struct HeaderCoder: ~Copyable {
    enum DecodeFailure: Error {
        /// The bytes aren't HPACK; the connection can't go on (RFC 9113 §4.3).
        case malformed
        /// Decoded fields passed four times the limit: a bomb; the connection ends.
        case bomb
    }

    private let inflater: OpaquePointer
    private var encoder = HPACKEncoder()

    /// A pair of coders with tables of 4096 bytes.
    init() {
        // nghttp2_hd_inflate_new fails only when memory runs out.
        var inflater: OpaquePointer?
        let made = unsafe nghttp2_hd_inflate_new(&inflater) == 0
        guard made, let inflater = unsafe inflater else {
            preconditionFailure("out of memory for an HPACK decoder")
        }
        unsafe self.inflater = inflater
    }

    deinit { unsafe nghttp2_hd_inflate_del(inflater) }

    /// Follows the peer's SETTINGS_HEADER_TABLE_SIZE; we never use more than 4096.
    mutating func limitEncoderTable(to size: Int) { encoder.limit(to: size) }

    /// Holds the peer's encoder to our SETTINGS_HEADER_TABLE_SIZE, once it has acknowledged them.
    func limitDecoderTable(to size: Int) {
        _ = unsafe nghttp2_hd_inflate_change_table_size(inflater, size)
    }

    /// Decodes one fragment of a header block into `block`.
    ///
    /// Fields beyond `limit` bytes (counted as ``FieldBlock/listSize``) are dropped, but decoded all
    /// the same, because the table must stay in step; `decodedSize` counts them.
    func decode(
        _ fragment: UnsafeRawBufferPointer,
        isLast: Bool,
        into block: FieldBlock,
        limit: Int,
        decodedSize: inout Int
    ) throws(DecodeFailure) {
        var input = unsafe fragment.baseAddress?.assumingMemoryBound(to: UInt8.self)
        var remaining = fragment.count
        while true {
            var pair = unsafe nghttp2_nv()
            var flags: Int32 = 0
            let used = unsafe nghttp2_hd_inflate_hd2(
                inflater,
                &pair,
                &flags,
                input,
                remaining,
                isLast ? 1 : 0
            )
            guard used >= 0 else { throw .malformed }
            unsafe input = input.map { unsafe $0 + used }
            remaining -= used
            if flags & Int32(NGHTTP2_HD_INFLATE_EMIT.rawValue) != 0 {
                // The pair's memory belongs to the inflater until the next call.
                let name = unsafe UnsafeRawBufferPointer(start: pair.name, count: pair.namelen)
                let value = unsafe UnsafeRawBufferPointer(start: pair.value, count: pair.valuelen)
                decodedSize += name.count + value.count + 32
                guard decodedSize / 4 <= limit else { throw .bomb }
                if decodedSize <= limit { unsafe block.append(name: name, value: value) }
            }
            if flags & Int32(NGHTTP2_HD_INFLATE_FINAL.rawValue) != 0 {
                _ = unsafe nghttp2_hd_inflate_end_headers(inflater)
                return
            }
            if flags & Int32(NGHTTP2_HD_INFLATE_EMIT.rawValue) == 0 && remaining == 0 { return }
        }
    }

    /// Encodes `block` at the end of `output` and returns the number of bytes.
    mutating func encode(_ block: FieldBlock, into output: inout ByteBuffer) -> Int {
        encoder.encode(block, into: &output)
    }
}
