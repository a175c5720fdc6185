/// Bytes at an address that stays the same for as long as their owner lives.
///
/// For names that each request reads: an array's buffer is counted up and down on every look.
@safe
public struct KeptBytes: ~Copyable {
    /// The bytes; valid while this value lives.
    public let bytes: UnsafeRawBufferPointer

    /// A copy of the text's UTF-8 bytes.
    public init(_ text: String) {
        let memory = UnsafeMutableRawBufferPointer.allocate(
            byteCount: text.utf8.count,
            alignment: 1
        )
        unsafe memory.copyBytes(from: text.utf8)
        unsafe bytes = UnsafeRawBufferPointer(memory)
    }

    deinit { unsafe bytes.deallocate() }
}
