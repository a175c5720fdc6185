private import CZlib

/// zlib's own compressor, for tests of what decodes.
package enum Deflate {
    /// How the compressed bytes are wrapped.
    package enum Wrapping: Int32, CaseIterable, Sendable {
        /// RFC 1952.
        case gzip = 31
        /// RFC 1950, which HTTP and gRPC call deflate.
        case zlib = 15
        /// RFC 1951 alone.
        case bare = -15
    }

    /// `bytes`, compressed.
    package static func compress(
        _ bytes: [UInt8],
        _ wrapping: Wrapping,
        level: Int32 = 6
    ) -> [UInt8] {
        var stream = unsafe z_stream()
        let size = unsafe Int32(MemoryLayout<z_stream>.size)
        let begun = unsafe deflateInit2_(
            &stream,
            level,
            Z_DEFLATED,
            wrapping.rawValue,
            8,
            Z_DEFAULT_STRATEGY,
            ZLIB_VERSION,
            size
        )
        precondition(begun == Z_OK, "zlib has no memory")
        defer { unsafe _ = deflateEnd(&stream) }
        var output = [UInt8](
            repeating: 0,
            count: unsafe Int(deflateBound(&stream, UInt(bytes.count))) + 32
        )
        var input = bytes
        // Both arrays live through the call, and zlib keeps no pointer into them after it.
        let written = unsafe input.withUnsafeMutableBufferPointer { from in
            unsafe output.withUnsafeMutableBufferPointer { to in
                unsafe stream.next_in = from.baseAddress
                unsafe stream.avail_in = UInt32(from.count)
                unsafe stream.next_out = to.baseAddress
                unsafe stream.avail_out = UInt32(to.count)
                let ended = unsafe deflate(&stream, Z_FINISH)
                precondition(ended == Z_STREAM_END, "the bound was too small")
                return unsafe to.count - Int(stream.avail_out)
            }
        }
        return Array(output.prefix(written))
    }
}
