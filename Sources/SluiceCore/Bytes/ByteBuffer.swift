/// Bytes that grow at the end and are taken from the front, in one piece of pooled memory.
///
/// An empty buffer holds no memory: idle connections cost nothing here. Whoever appends bounds
/// the growth; the buffer doubles as needed and gives its memory back when it runs empty.
@safe
package struct ByteBuffer: ~Copyable {
    private let pool: BufferPool
    private var memory: UnsafeMutableRawBufferPointer
    private var start = 0
    private var end = 0

    /// An empty buffer that takes its memory from `pool`.
    package init(pool: BufferPool) {
        self.pool = pool
        unsafe memory = UnsafeMutableRawBufferPointer(start: nil, count: 0)
    }

    deinit { unsafe pool.give(memory) }

    /// How many bytes wait in the buffer.
    package var count: Int { end - start }

    /// Whether nothing waits.
    package var isEmpty: Bool { start == end }

    /// The waiting bytes; valid until the next mutating call.
    package var bytes: UnsafeRawBufferPointer {
        unsafe UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(memory)[start..<end])
    }

    /// Drops `count` bytes from the front.
    package mutating func consume(_ count: Int) {
        precondition(count <= end - start, "a buffer can't give more than it holds")
        start += count
        if start == end { release() }
    }

    /// Drops everything and gives the memory back.
    package mutating func removeAll() {
        start = end
        release()
    }

    /// Makes room for `count` more bytes and returns where they go.
    ///
    /// Write at most `count` bytes there, then call ``commit(_:)`` with how many were written. The
    /// pointer is valid until the next mutating call.
    package mutating func reserve(_ count: Int) -> UnsafeMutablePointer<UInt8> {
        if unsafe memory.count - end < count { grow(by: count) }
        return unsafe memory.baseAddress.unsafelyUnwrapped
            .assumingMemoryBound(to: UInt8.self) + end
    }

    /// Counts `count` bytes written to the place ``reserve(_:)`` returned.
    package mutating func commit(_ count: Int) {
        unsafe precondition(end + count <= memory.count, "more was written than was reserved")
        end += count
    }

    /// Appends a copy of `source`.
    package mutating func append(_ source: UnsafeRawBufferPointer) {
        guard let from = source.baseAddress, source.count > 0 else { return }
        let to = unsafe reserve(source.count)
        unsafe UnsafeMutableRawPointer(to).copyMemory(from: from, byteCount: source.count)
        end += source.count
    }

    /// Appends a copy of `source`.
    package mutating func append(_ source: [UInt8]) {
        unsafe source.withUnsafeBytes { unsafe append($0) }
    }

    /// Appends the UTF-8 bytes of `text`; for literals and cold paths.
    package mutating func append(_ text: StaticString) {
        unsafe append(UnsafeRawBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount))
    }

    /// Appends the UTF-8 bytes of `text`.
    package mutating func append(_ text: String) {
        var text = text
        text.withUTF8 { unsafe append(UnsafeRawBufferPointer($0)) }
    }

    /// Appends one byte.
    package mutating func append(byte: UInt8) {
        unsafe reserve(1).pointee = byte
        end += 1
    }

    private mutating func release() {
        start = 0
        end = 0
        unsafe pool.give(memory)
        unsafe memory = UnsafeMutableRawBufferPointer(start: nil, count: 0)
    }

    private mutating func grow(by count: Int) {
        let live = end - start
        // Sliding down is enough when at least half of the memory is free already.
        if let base = unsafe memory.baseAddress, unsafe live + count <= memory.count / 2 {
            unsafe base.copyMemory(from: base + start, byteCount: live)
        } else {
            let larger = unsafe pool.take(
                minimum: Swift.max(live + count, Swift.min(2 * memory.count, 1 << 22)))
            if let base = unsafe memory.baseAddress, let target = larger.baseAddress {
                unsafe target.copyMemory(from: base + start, byteCount: live)
            }
            unsafe pool.give(memory)
            unsafe memory = larger
        }
        start = 0
        end = live
    }
}
