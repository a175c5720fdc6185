private import Glibc

/// Whole pages straight from the system: addresses are set aside at once, memory is taken when a page
/// is first touched, and is zero then.
///
/// Unchecked: who owns it says who may touch it.
@safe
public struct PageMemory: ~Copyable, @unchecked Sendable {
    /// The first byte.
    public let base: UnsafeMutableRawPointer
    private let byteCount: Int

    /// Pages for `byteCount` bytes, at least one.
    public init(byteCount: Int) {
        let memory = unsafe mmap(
            nil,
            max(1, byteCount),
            PROT_READ | PROT_WRITE,
            MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
            -1,
            0
        )
        guard let memory = unsafe memory, unsafe memory != MAP_FAILED else {
            let reason = unsafe String(cString: strerror(errno))
            fatalError("no \(byteCount) bytes of addresses from the system: \(reason)")
        }
        unsafe base = unsafe memory
        self.byteCount = max(1, byteCount)
    }

    deinit { unsafe munmap(base, byteCount) }
}
