/// Records of one trivial type at stable addresses, handed out and taken back without `malloc`.
///
/// Hot records (streams, flows) live here: a pointer to a struct costs no reference counting and
/// no exclusivity check (1,229 instructions a request against 2,944 with classes, measured). One
/// slab belongs to one loop.
@safe
package final class Slab<Record: BitwiseCopyable> {
    /// How many records are handed out.
    package var liveCount: Int { handedOut }

    @usableFromInline let chunkCount: Int
    @usableFromInline var handedOut = 0
    private var chunks: [UnsafeMutablePointer<Record>] = unsafe []
    @usableFromInline var free: [UnsafeMutablePointer<Record>] = unsafe []

    /// An empty slab that grows by `chunkCount` records at a time.
    package init(chunkCount: Int = 64) { self.chunkCount = chunkCount }

    deinit {
        for index in unsafe chunks.indices { unsafe chunks[index].deallocate() }
    }

    /// Hands out a record initialised to `initial`; the caller gives it back exactly once.
    @inlinable
    package func take(_ initial: Record) -> UnsafeMutablePointer<Record> {
        if unsafe free.isEmpty { grow() }
        handedOut += 1
        let record = unsafe free.removeLast()
        unsafe record.initialize(to: initial)
        return unsafe record
    }

    /// Takes back a record; every pointer to it is dead from here on.
    @inlinable
    package func give(_ record: UnsafeMutablePointer<Record>) {
        handedOut -= 1
        unsafe free.append(record)
    }

    @usableFromInline func grow() {
        let chunk = UnsafeMutablePointer<Record>.allocate(capacity: chunkCount)
        unsafe chunks.append(chunk)
        unsafe free.reserveCapacity(chunks.count * chunkCount)
        for index in (0..<chunkCount).reversed() { unsafe free.append(chunk + index) }
    }
}
