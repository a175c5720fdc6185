/// Free lists of raw memory by power-of-two size, from 512 bytes to 4 MiB.
///
/// Steady traffic takes and returns the same few pieces and never reaches `malloc`. One pool
/// belongs to one loop; it isn't safe to share. At most `retainedMaximum` bytes lie idle; what
/// comes back above that goes to the allocator.
@safe
public final class BufferPool {
    /// Bytes of idle memory the pool keeps for later, at most.
    public let retainedMaximum: Int
    /// Bytes of idle memory the pool holds now.
    public private(set) var retained = 0

    private static let smallestShift = 9
    private static let classCount = 14
    // Each idle piece stores the address of the next one in its first word.
    private var heads = unsafe InlineArray<14, UnsafeMutableRawPointer?>(repeating: nil)

    /// An empty pool that will keep up to `retainedMaximum` bytes.
    public init(retainedMaximum: Int = 16 << 20) {
        self.retainedMaximum = retainedMaximum
    }

    deinit {
        for sizeClass in 0..<BufferPool.classCount {
            while let fragment = unsafe heads[sizeClass] {
                unsafe heads[sizeClass] = fragment.load(as: UnsafeMutableRawPointer?.self)
                unsafe fragment.deallocate()
            }
        }
    }

    /// Takes a piece of at least `minimum` bytes; its count is the whole usable size.
    ///
    /// The caller owns it until ``give(_:)``.
    public func take(minimum: Int) -> UnsafeMutableRawBufferPointer {
        let sizeClass = BufferPool.sizeClass(for: minimum)
        guard sizeClass < BufferPool.classCount else {
            return .allocate(byteCount: minimum, alignment: 16)
        }
        let size = 1 << (sizeClass + BufferPool.smallestShift)
        guard let fragment = unsafe heads[sizeClass] else {
            return .allocate(byteCount: size, alignment: 16)
        }
        unsafe heads[sizeClass] = fragment.load(as: UnsafeMutableRawPointer?.self)
        retained -= size
        return unsafe UnsafeMutableRawBufferPointer(start: fragment, count: size)
    }

    /// Returns a piece that ``take(minimum:)`` of any pool handed out.
    public func give(_ fragment: UnsafeMutableRawBufferPointer) {
        guard let base = fragment.baseAddress else { return }
        let sizeClass = BufferPool.sizeClass(for: fragment.count)
        guard sizeClass < BufferPool.classCount, retained + fragment.count <= retainedMaximum
        else {
            unsafe fragment.deallocate()
            return
        }
        unsafe base.storeBytes(of: heads[sizeClass], as: UnsafeMutableRawPointer?.self)
        unsafe heads[sizeClass] = base
        retained += fragment.count
    }

    private static func sizeClass(for minimum: Int) -> Int {
        let size = max(minimum, 1 << smallestShift)
        return Int.bitWidth - (size - 1).leadingZeroBitCount - smallestShift
    }
}
