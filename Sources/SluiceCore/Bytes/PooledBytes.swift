/// Growable bytes in one piece of pooled memory, for records that live behind slab pointers.
///
/// A trivial value: it frees nothing by itself. Whoever owns the record calls ``release(to:)``;
/// everybody else wants ``ByteBuffer``, which does that on its own. An empty value holds no memory.
@safe
public struct PooledBytes: BitwiseCopyable {
    @usableFromInline var base: UnsafeMutableRawPointer?
    @usableFromInline var capacity = 0
    @usableFromInline var start = 0
    @usableFromInline var end = 0

    /// No bytes and no memory.
    @inlinable
    public init() { unsafe base = nil }

    /// How many bytes wait.
    @inlinable
    public var count: Int { end - start }

    /// Whether nothing waits.
    @inlinable
    public var isEmpty: Bool { start == end }

    /// The waiting bytes; valid until the next mutating call.
    @inlinable
    public var bytes: UnsafeRawBufferPointer {
        guard let base = unsafe base else {
            return unsafe UnsafeRawBufferPointer(start: nil, count: 0)
        }
        return unsafe UnsafeRawBufferPointer(start: base + start, count: end - start)
    }

    /// Drops `count` bytes from the front; an emptied value returns its memory to `pool`.
    @inlinable
    public mutating func consume(_ count: Int, pool: BufferPool) {
        precondition(count <= end - start, "a buffer can't give more than it holds")
        start += count
        if start == end { release(to: pool) }
    }

    /// Drops everything and returns the memory to `pool`.
    public mutating func release(to pool: BufferPool) {
        if let memory = unsafe base {
            unsafe pool.give(UnsafeMutableRawBufferPointer(start: memory, count: capacity))
        }
        self = PooledBytes()
    }

    /// Makes room for `count` more bytes and returns where they go, valid until the next call.
    @inlinable
    public mutating func reserve(_ count: Int, pool: BufferPool) -> UnsafeMutablePointer<UInt8> {
        // Even room for nothing has a place.
        if capacity - end < Swift.max(count, 1) { grow(by: Swift.max(count, 1), pool: pool) }
        return unsafe base.unsafelyUnwrapped.assumingMemoryBound(to: UInt8.self) + end
    }

    /// Counts `count` bytes written to the place ``reserve(_:pool:)`` returned.
    @inlinable
    public mutating func commit(_ count: Int) {
        precondition(end + count <= capacity, "more was written than was reserved")
        end += count
    }

    /// The place of the waiting byte at `offset`, to patch what was appended before.
    ///
    /// Valid until the next mutating call; `offset` must be below ``count``.
    @inlinable
    public func place(at offset: Int) -> UnsafeMutablePointer<UInt8> {
        precondition(offset < count, "nothing has been written there yet")
        return unsafe base.unsafelyUnwrapped.assumingMemoryBound(to: UInt8.self) + start + offset
    }

    /// Takes the last `count` bytes back, as if they had never been appended.
    @inlinable
    public mutating func truncate(_ count: Int) {
        precondition(count <= end - start, "a buffer can't forget more than it holds")
        end -= count
    }

    /// Appends a copy of `source`.
    public mutating func append(_ source: UnsafeRawBufferPointer, pool: BufferPool) {
        guard let from = source.baseAddress, source.count > 0 else { return }
        let to = unsafe reserve(source.count, pool: pool)
        unsafe UnsafeMutableRawPointer(to).copyMemory(from: from, byteCount: source.count)
        end += source.count
    }

    @inline(never)
    @usableFromInline
    mutating func grow(by count: Int, pool: BufferPool) {
        let live = end - start
        // Sliding down is enough when at least half of the memory is free already.
        if let memory = unsafe base, live + count <= capacity / 2 {
            unsafe memory.copyMemory(from: memory + start, byteCount: live)
        } else {
            // Doubling makes the copies of all growth together no more than what was appended, at
            // any size. Memory of more than the pool's largest piece comes in pages that take no
            // room until they are written.
            let larger = unsafe pool.take(minimum: Swift.max(live + count, 2 * capacity))
            if let memory = unsafe base, let target = larger.baseAddress {
                unsafe target.copyMemory(from: memory + start, byteCount: live)
                unsafe pool.give(UnsafeMutableRawBufferPointer(start: memory, count: capacity))
            }
            unsafe base = larger.baseAddress
            capacity = larger.count
        }
        start = 0
        end = live
    }
}
