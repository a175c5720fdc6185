/// A piece of memory with access lines in it, held by exactly one thread at a time.
///
/// A piece moves from a worker to the channel to the writer and back; being noncopyable, it has
/// one owner by construction, which is also why it's Sendable.
@safe
package struct AccessFragment: ~Copyable, @unchecked Sendable {
    /// What a piece is made of, once nobody's `deinit` stands guard; the channel's own form.
    @safe
    struct Memory: @unchecked Sendable {
        let start: UnsafeMutablePointer<UInt8>?
        let capacity: Int
        var count: Int

        static func allocate(_ capacity: Int) -> Memory {
            unsafe Memory(start: .allocate(capacity: capacity), capacity: capacity, count: 0)
        }
    }

    private var memory: Memory

    init(_ memory: Memory) { self.memory = memory }

    /// A piece without room, for whoever has none.
    static var none: AccessFragment {
        unsafe AccessFragment(Memory(start: nil, capacity: 0, count: 0))
    }

    deinit { unsafe memory.start?.deallocate() }

    /// The bytes of the lines; they live as long as the piece isn't given away.
    package var bytes: UnsafeRawBufferPointer {
        unsafe UnsafeRawBufferPointer(start: memory.start, count: memory.count)
    }

    /// How many bytes still fit.
    var room: Int { memory.capacity - memory.count }

    /// Whether there's memory behind the piece.
    var isReal: Bool { unsafe memory.start != nil }

    /// Appends what `record` says; there must be room for the line's bound.
    mutating func append(_ record: AccessRecord, with line: inout AccessLine) {
        guard let start = unsafe memory.start else {
            preconditionFailure("there's no piece to fill")
        }
        // The writer starts at the first free byte and ends with the piece.
        var writer = unsafe TextWriter(start: start + memory.count, capacity: room)
        line.write(record, into: &writer)
        memory.count += writer.count
    }

    /// Gives up the guard over the memory.
    consuming func release() -> Memory {
        let memory = self.memory
        discard self
        return memory
    }
}
