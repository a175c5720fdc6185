import SluiceCore

/// One direction of a connection: bytes on their way, and bytes that wait to be read.
///
/// Nothing is ever delivered by an event: a piece knows when it arrives, and whoever asks says
/// what time it is.
struct Pipe {
    private struct Fragment {
        let arrival: Instant
        let bytes: [UInt8]
    }

    /// Bytes that fit, read or not yet arrived.
    let capacity: Int
    /// Bytes written and not read yet.
    private(set) var count = 0
    /// When the end arrives, once it has been sent.
    private(set) var end: Instant?
    /// When what was sent last arrives; nothing overtakes it.
    private var lastArrival = Instant.zero
    private var fragments: [Fragment] = []
    private var first = 0
    private var offset = 0

    init(capacity: Int) { self.capacity = capacity }

    var room: Int { max(0, capacity - count) }

    /// When something sent to arrive at `instant` does arrive.
    mutating func arrival(_ instant: Instant) -> Instant {
        lastArrival = max(lastArrival, instant)
        return lastArrival
    }

    mutating func push(_ bytes: [UInt8], arrival: Instant) {
        fragments.append(Fragment(arrival: arrival, bytes: bytes))
        count += bytes.count
    }

    mutating func close(arrival: Instant) { if end == nil { end = arrival } }

    /// Forgets what hasn't arrived.
    mutating func dropAfter(_ now: Instant) {
        while let last = fragments.last, fragments.count > first, last.arrival > now {
            count -= last.bytes.count
            fragments.removeLast()
        }
    }

    /// Whether a byte is there to be read.
    func isReadable(at now: Instant) -> Bool {
        first < fragments.count && fragments[first].arrival <= now
    }

    /// When the first piece that is still on its way arrives.
    func nextArrival(after now: Instant) -> Instant? {
        var index = first
        while index < fragments.count {
            if fragments[index].arrival > now { return fragments[index].arrival }
            index += 1
        }
        return nil
    }

    /// How many bytes could be read at once.
    func available(at now: Instant) -> Int {
        var total = -offset
        var index = first
        while index < fragments.count, fragments[index].arrival <= now {
            total += fragments[index].bytes.count
            index += 1
        }
        return max(0, total)
    }

    /// Moves `limit` bytes, all of them there, into `memory`.
    mutating func read(_ limit: Int, into memory: UnsafeMutableRawBufferPointer) {
        var done = 0
        while done < limit {
            let fragment = fragments[first].bytes
            let part = min(limit - done, fragment.count - offset)
            // `limit` is at most the memory's size; both ranges lie inside their buffers.
            unsafe fragment.withUnsafeBytes { source in
                unsafe UnsafeMutableRawBufferPointer(rebasing: memory[done..<(done + part)])
                    .copyMemory(
                        from: UnsafeRawBufferPointer(rebasing: source[offset..<(offset + part)])
                    )
            }
            done += part
            offset += part
            if offset == fragment.count {
                first += 1
                offset = 0
            }
        }
        count -= limit
        if first > 32 {
            fragments.removeFirst(first)
            first = 0
        }
    }
}
