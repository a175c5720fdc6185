/// Bytes that grow at the end and are taken from the front, in one piece of pooled memory.
///
/// An empty buffer holds no memory: idle connections cost nothing here. Whoever appends bounds
/// the growth; the buffer doubles as needed and gives its memory back when it runs empty.
@safe
package struct ByteBuffer: ~Copyable {
    private let pool: BufferPool
    private var content = PooledBytes()

    /// An empty buffer that takes its memory from `pool`.
    package init(pool: BufferPool) { self.pool = pool }

    deinit {
        var content = content
        content.release(to: pool)
    }

    /// How many bytes wait in the buffer.
    package var count: Int { content.count }

    /// Whether nothing waits.
    package var isEmpty: Bool { content.isEmpty }

    /// The waiting bytes; valid until the next mutating call.
    package var bytes: UnsafeRawBufferPointer { unsafe content.bytes }

    /// Drops `count` bytes from the front.
    package mutating func consume(_ count: Int) { content.consume(count, pool: pool) }

    /// Drops everything and gives the memory back.
    package mutating func removeAll() { content.release(to: pool) }

    /// Makes room for `count` more bytes and returns where they go.
    ///
    /// Write at most `count` bytes there, then call ``commit(_:)`` with how many were written. The
    /// pointer is valid until the next mutating call.
    package mutating func reserve(_ count: Int) -> UnsafeMutablePointer<UInt8> {
        unsafe content.reserve(count, pool: pool)
    }

    /// Counts `count` bytes written to the place ``reserve(_:)`` returned.
    package mutating func commit(_ count: Int) { content.commit(count) }

    /// The place of the waiting byte at `offset`, to patch what was appended before.
    package func place(at offset: Int) -> UnsafeMutablePointer<UInt8> {
        unsafe content.place(at: offset)
    }

    /// Takes the last `count` bytes back, as if they had never been appended.
    package mutating func truncate(_ count: Int) { content.truncate(count) }

    /// Appends a copy of `source`.
    package mutating func append(_ source: UnsafeRawBufferPointer) {
        unsafe content.append(source, pool: pool)
    }

    /// Appends a copy of `source`.
    package mutating func append(_ source: [UInt8]) {
        unsafe source.withUnsafeBytes { unsafe append($0) }
    }

    /// Appends the UTF-8 bytes of a literal.
    package mutating func append(_ text: StaticString) {
        unsafe append(UnsafeRawBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount))
    }

    /// Appends the UTF-8 bytes of `text`; for cold paths.
    package mutating func append(text: String) {
        var text = text
        text.withUTF8 { unsafe append(UnsafeRawBufferPointer($0)) }
    }

    /// Appends one byte.
    package mutating func append(byte: UInt8) {
        unsafe reserve(1).pointee = byte
        commit(1)
    }

    /// Appends `value` in decimal.
    package mutating func append(decimal value: Int) {
        unsafe withUnsafeTemporaryAllocation(byteCount: 20, alignment: 1) { digits in
            var rest = value.magnitude
            var start = 20
            repeat {
                start -= 1
                unsafe digits[start] = ASCII.zero + UInt8(rest % 10)
                rest /= 10
            } while rest > 0
            if value < 0 {
                start -= 1
                unsafe digits[start] = ASCII.dash
            }
            unsafe append(UnsafeRawBufferPointer(rebasing: digits[start..<20]))
        }
    }
}
