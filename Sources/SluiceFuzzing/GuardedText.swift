import Glibc

/// A piece of text that ends where memory ends: reading one byte too far is a crash.
@safe
package final class GuardedText {
    private let base: UnsafeMutableRawPointer
    private let size: Int
    private static let page = 4096

    /// Room for texts of up to `capacity` bytes.
    package init(capacity: Int) {
        size = (capacity + GuardedText.page) / GuardedText.page * GuardedText.page
        let flags = MAP_PRIVATE | MAP_ANONYMOUS
        guard
            let memory = unsafe mmap(
                nil,
                size + GuardedText.page,
                PROT_READ | PROT_WRITE,
                flags,
                -1,
                0
            ),
            unsafe memory != MAP_FAILED,
            unsafe mprotect(memory + size, GuardedText.page, PROT_NONE) == 0
        else { fatalError("no memory for a guarded text") }
        unsafe base = unsafe memory
    }

    deinit { unsafe munmap(base, size + GuardedText.page) }

    /// All the memory there is before the end.
    package var memory: UnsafeMutableRawBufferPointer {
        unsafe UnsafeMutableRawBufferPointer(start: base, count: size)
    }

    /// Runs `body` on a copy of `text` whose last byte is the last one that can be read.
    package func with<Result>(_ text: [UInt8], _ body: (UnsafeRawBufferPointer) -> Result) -> Result
    {
        precondition(text.count <= size)
        let start = unsafe base + (size - text.count)
        unsafe text.withUnsafeBytes { bytes in
            unsafe UnsafeMutableRawBufferPointer(start: start, count: text.count).copyMemory(
                from: bytes
            )
        }
        return unsafe body(UnsafeRawBufferPointer(start: start, count: text.count))
    }
}
