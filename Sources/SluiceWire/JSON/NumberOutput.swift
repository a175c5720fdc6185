import SluiceCore

/// Where the elements of an array go: memory of a given size, or the end of a buffer that grows.
@safe
struct NumberOutput: BitwiseCopyable {
    /// Where the next element goes.
    var next: UnsafeMutableRawPointer
    /// Where there is room no more.
    private(set) var limit: UnsafeMutableRawPointer

    private var committed: UnsafeMutableRawPointer
    // The reader's caller holds the buffer for as long as the reading lasts.
    private let growing: UnsafeMutablePointer<ByteBuffer>?
    private let size: Int
    private var written = 0

    /// Output to `memory`, or to the end of `growing`, of elements of `size` bytes.
    init(
        _ memory: UnsafeMutableRawBufferPointer,
        _ growing: UnsafeMutablePointer<ByteBuffer>?,
        _ size: Int
    ) {
        unsafe self.growing = unsafe growing
        self.size = size
        let count = memory.count / size * size
        // Where there is no room, any address will do: it's never written to.
        unsafe next =
            unsafe memory.baseAddress
            ?? UnsafeMutableRawPointer(mutating: StaticString("").utf8Start)
        unsafe limit = unsafe next + count
        unsafe committed = unsafe next
    }

    /// Makes room for another element, if that is possible; `read` bytes of text are behind
    /// us and `ahead` to come.
    @inline(never)
    mutating func hasRoom(_ read: Int, ahead: Int) -> Bool {
        if unsafe next < limit { return true }
        guard let buffer = unsafe growing else { return false }
        commit()
        // As many as follow if the text goes on as it began, but at most eight times as many.
        let room = size * max(64, min(8 * written, ahead / max(1, read / max(1, written)) + 1))
        unsafe next = unsafe UnsafeMutableRawPointer(buffer.pointee.reserve(room))
        unsafe limit = unsafe next + room
        unsafe committed = unsafe next
        return true
    }

    /// Counts what was written in the growing buffer.
    mutating func commit() {
        guard let buffer = unsafe growing else { return }
        unsafe buffer.pointee.commit(next - committed)
        unsafe written += (next - committed) / size
        unsafe committed = unsafe next
    }
}
