/// Bytes that grow at the end and are taken from the front, in one piece of pooled memory.
///
/// An empty buffer holds no memory: idle connections cost nothing here. Whoever appends bounds
/// the growth; the buffer doubles as needed and gives its memory back when it runs empty.
@safe
public struct ByteBuffer: ~Copyable {
    @usableFromInline let pool: BufferPool
    @usableFromInline var content = PooledBytes()

    /// An empty buffer that takes its memory from `pool`.
    @inlinable
    public init(pool: BufferPool) { self.pool = pool }

    deinit {
        var content = content
        content.release(to: pool)
    }

    /// How many bytes wait in the buffer.
    @inlinable
    public var count: Int { content.count }

    /// Whether nothing waits.
    @inlinable
    public var isEmpty: Bool { content.isEmpty }

    /// The waiting bytes; valid until the next mutating call.
    @inlinable
    public var bytes: UnsafeRawBufferPointer { unsafe content.bytes }

    /// Drops `count` bytes from the front.
    @inlinable
    public mutating func consume(_ count: Int) { content.consume(count, pool: pool) }

    /// Takes the waiting bytes out, in the memory they are in; the buffer is empty then.
    ///
    /// Release them to any pool.
    public mutating func takeContent() -> PooledBytes {
        defer { content = PooledBytes() }
        return content
    }

    /// Drops everything and gives the memory back.
    public mutating func removeAll() { content.release(to: pool) }

    /// Makes room for `count` more bytes and returns where they go.
    ///
    /// Write at most `count` bytes there, then call ``commit(_:)`` with how many were written. The
    /// pointer is valid until the next mutating call.
    @inlinable
    public mutating func reserve(_ count: Int) -> UnsafeMutablePointer<UInt8> {
        unsafe content.reserve(count, pool: pool)
    }

    /// Counts `count` bytes written to the place ``reserve(_:)`` returned.
    @inlinable
    public mutating func commit(_ count: Int) { content.commit(count) }

    /// The place of the waiting byte at `offset`, to patch what was appended before.
    @inlinable
    public func place(at offset: Int) -> UnsafeMutablePointer<UInt8> {
        unsafe content.place(at: offset)
    }

    /// Takes the last `count` bytes back, as if they had never been appended.
    @inlinable
    public mutating func truncate(_ count: Int) { content.truncate(count) }

    /// Appends a copy of `source`.
    public mutating func append(_ source: UnsafeRawBufferPointer) {
        unsafe content.append(source, pool: pool)
    }

    /// Appends a copy of `source`.
    public mutating func append(_ source: [UInt8]) {
        unsafe source.withUnsafeBytes { unsafe append($0) }
    }

    /// Appends the UTF-8 bytes of a literal.
    public mutating func append(_ text: StaticString) {
        unsafe append(UnsafeRawBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount))
    }

    /// Appends the UTF-8 bytes of `text`; for cold paths.
    public mutating func append(text: String) {
        var text = text
        text.withUTF8 { unsafe append(UnsafeRawBufferPointer($0)) }
    }

    /// Appends one byte.
    public mutating func append(byte: UInt8) {
        unsafe reserve(1).pointee = byte
        commit(1)
    }

    /// Appends `value` in decimal.
    public mutating func append(decimal value: Int) {
        commit(unsafe ASCII.write(decimal: value, to: UnsafeMutableRawPointer(reserve(20))))
    }
}
