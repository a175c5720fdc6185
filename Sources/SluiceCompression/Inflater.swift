private import CZlib
import SluiceCore

// A body is decoded as it comes, into memory of the caller's, so that neither its length nor what it
// claims of itself decides how much memory is taken. Two bounds stop bombs: a length, which the caller
// sets, and a ratio, so that a megabyte can't cost a gigabyte of work under a large length. The ratio is
// Envoy's (`max_inflate_ratio`, 100); short bodies are free of it, since a tensor of zeros is honest.

/// A decoder of one compressed body: bytes in, bytes out, no I/O.
///
/// Holds some 40 KiB while it lives. Its work is linear in what comes and what goes.
@safe
package struct Inflater: ~Copyable {
    /// How many times as long as what came a body may become.
    package static let ratioMaximum = 100
    /// Bytes that a body may become whatever its ratio.
    package static let freeByteCount = 1 << 20

    private let coding: ContentCoding
    private let limit: Int
    /// Bytes that it may become by its ratio.
    private let denseLimit: Int
    // zlib's state points back to the stream, so it can't move.
    private let stream: UnsafeMutablePointer<z_stream>
    private var isBegun = false
    /// Whether the coding has come to an end; a further gzip member may still begin.
    private var isAtEnd = false
    /// Bytes that it has become.
    private var writtenCount = 0

    /// A decoder of a body of `byteCount` bytes that may become `limit` bytes.
    package init(_ coding: ContentCoding, byteCount: Int, limit: Int) {
        self.coding = coding
        self.limit = limit
        denseLimit = max(Inflater.freeByteCount, byteCount * Inflater.ratioMaximum)
        unsafe stream = .allocate(capacity: 1)
        unsafe stream.initialize(to: z_stream())
    }

    deinit {
        if isBegun { unsafe _ = inflateEnd(stream) }
        unsafe stream.deinitialize(count: 1)
        unsafe stream.deallocate()
    }

    /// Decodes what it can of `input` into `output`, which has room for at least a byte.
    ///
    /// - Returns: how many bytes were read and written. All of `input` is read unless `output` is full.
    package mutating func inflate(
        _ input: UnsafeRawBufferPointer,
        into output: UnsafeMutableRawBufferPointer
    ) throws(InflateFailure) -> (read: Int, written: Int) {
        var (read, written) = (0, 0)
        while read < input.count || !isAtEnd && isBegun {
            if isAtEnd {
                // A gzip body is a row of members (RFC 1952 §2.2); behind deflate there is nothing.
                guard coding == .gzip, unsafe input[read] == 0x1F else {
                    throw .malformed(reason: "bytes follow its end")
                }
                unsafe _ = inflateReset(stream)
                isAtEnd = false
            }
            if !isBegun {
                guard read < input.count else { break }
                unsafe try begin(input[read])
            }
            let (more, made) = try unsafe step(
                UnsafeRawBufferPointer(rebasing: input[read...]),
                UnsafeMutableRawBufferPointer(rebasing: output[written...])
            )
            read += more
            written += made
            try count(made)
            if more == 0 && made == 0 || written == output.count { break }
        }
        return (read, written)
    }

    /// The body has ended; throws unless its coding has, too.
    package func finish() throws(InflateFailure) {
        if !isAtEnd { throw .truncated }
    }

    /// Chooses the format by the first byte.
    private mutating func begin(_ first: UInt8) throws(InflateFailure) {
        // zlib's header begins with method 8 and a window of at most 32 KiB (RFC 1950 §2.2). A bare
        // block that looks so would be a stored one with padding bits set, which no encoder writes.
        let isBare = coding == .deflate && !(first & 0x0F == 8 && first >> 4 <= 7)
        let windowBits: Int32 = coding == .gzip ? 15 + 16 : isBare ? -15 : 15
        let size = unsafe Int32(MemoryLayout<z_stream>.size)
        guard unsafe inflateInit2_(stream, windowBits, ZLIB_VERSION, size) == Z_OK else {
            throw .outOfMemory
        }
        isBegun = true
    }

    private mutating func step(
        _ input: UnsafeRawBufferPointer,
        _ output: UnsafeMutableRawBufferPointer
    ) throws(InflateFailure) -> (read: Int, written: Int) {
        // zlib counts in 32 bits; what is beyond waits for the next step.
        let room = UInt32(clamping: output.count)
        let given = UInt32(clamping: input.count)
        // zlib only reads through `next_in`, which is not const for the sake of old compilers. Both
        // regions outlive the call.
        unsafe stream.pointee.next_in = UnsafeMutablePointer(
            mutating: input.baseAddress?.assumingMemoryBound(to: UInt8.self)
        )
        unsafe stream.pointee.avail_in = given
        unsafe stream.pointee.next_out = output.baseAddress?.assumingMemoryBound(to: UInt8.self)
        unsafe stream.pointee.avail_out = room
        let result = unsafe CZlib.inflate(stream, Z_NO_FLUSH)
        let read = unsafe Int(given - stream.pointee.avail_in)
        let written = unsafe Int(room - stream.pointee.avail_out)
        switch result {
        case Z_OK, Z_BUF_ERROR: break
        case Z_STREAM_END: isAtEnd = true
        case Z_MEM_ERROR: throw .outOfMemory
        case Z_NEED_DICT: throw .malformed(reason: "it needs a dictionary")
        default:
            let reason = unsafe stream.pointee.msg.map { unsafe String(cString: $0) }
            throw .malformed(reason: reason ?? "zlib's error \(result)")
        }
        return (read, written)
    }

    private mutating func count(_ written: Int) throws(InflateFailure) {
        writtenCount += written
        guard writtenCount <= limit else { throw .tooLarge(limit: limit) }
        guard writtenCount <= denseLimit else { throw .tooDense }
    }
}
