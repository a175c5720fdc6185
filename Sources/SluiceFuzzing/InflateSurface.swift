// Compressed bodies: [wrapping][cuts][limit, 2 bytes][bytes]
//
// The bytes are decoded as they are, whole and cut, with the same result; and compressed by zlib they come
// back as they were, or break the limit that they are longer than. Nothing gets longer than its limit.
import SluiceCompression
import SluiceCore
import SluiceTestKit

enum InflateSurface {
    static func check(_ bytes: UnsafeRawBufferPointer) throws(Finding) {
        guard bytes.count > 4 else { return }
        let wrapping = unsafe Deflate.Wrapping.allCases[Int(bytes[0]) % 3]
        let coding = wrapping == .gzip ? ContentCoding.gzip : .deflate
        let limit = unsafe Int(bytes[2]) << 8 | Int(bytes[3])
        let body = unsafe bytes.after(4)
        let pool = BufferPool(retainedMaximum: 0)

        // As they are.
        let whole = unsafe decode(body, coding, limit, pool)
        let cut = unsafe decodeCut(body, coding, limit, seed: bytes[1])
        // A body with several faults may be refused for another of them.
        try expect((try? cut.get()) == (try? whole.get()), "cut: \(cut), whole: \(whole)")
        if case .success(let text) = whole {
            try expect(text.count <= limit, "\(text.count) bytes, of at most \(limit)")
        }

        // There and back.
        let text = unsafe Array(body)
        let packed = Deflate.compress(text, wrapping, level: unsafe Int32(bytes[1] % 10))
        let back = unsafe packed.withUnsafeBytes { unsafe decode($0, coding, limit, pool) }
        try expect(
            back == (text.count <= limit ? .success(text) : .failure(.tooLarge(limit: limit))),
            "\(text) by \(wrapping) came back as \(back)"
        )
        if !packed.isEmpty, text.count <= limit {
            let short = unsafe packed.dropLast().withUnsafeBytes {
                unsafe decode($0, coding, limit, pool)
            }
            try expect(short == .failure(.truncated), "without its last byte: \(short)")
        }
    }

    private static func decode(
        _ body: UnsafeRawBufferPointer,
        _ coding: ContentCoding,
        _ limit: Int,
        _ pool: BufferPool
    ) -> Result<[UInt8], InflateFailure> {
        var made = PooledBytes()
        defer { made.release(to: pool) }
        do throws(InflateFailure) {
            try unsafe made.appendInflated(body, coding, limit: limit, pool: pool)
            return unsafe .success(Array(made.bytes))
        } catch {
            return .failure(error)
        }
    }

    /// In pieces, and into room of an odd size.
    private static func decodeCut(
        _ body: UnsafeRawBufferPointer,
        _ coding: ContentCoding,
        _ limit: Int,
        seed: UInt8
    ) -> Result<[UInt8], InflateFailure> {
        var inflater = Inflater(coding, byteCount: body.count, limit: limit)
        var text: [UInt8] = []
        var room = [UInt8](repeating: 0, count: 1 + Int(seed))
        var fragments = Fragments(seed: seed)
        var start = 0
        do throws(InflateFailure) {
            while start < body.count {
                let end = start + fragments.next(of: body.count - start)
                var rest = unsafe UnsafeRawBufferPointer(rebasing: body[start..<end])
                while true {
                    let size = room.count
                    var failure: InflateFailure?
                    let (read, written) = unsafe room.withUnsafeMutableBytes { place in
                        do throws(InflateFailure) {
                            return try unsafe inflater.inflate(rest, into: place)
                        } catch {
                            failure = error
                            return (0, 0)
                        }
                    }
                    if let failure { throw failure }
                    text += room.prefix(written)
                    unsafe rest = UnsafeRawBufferPointer(rebasing: rest[read...])
                    if written < size { break }
                }
                start = end
            }
            try inflater.finish()
            return .success(text)
        } catch {
            return .failure(error)
        }
    }
}
