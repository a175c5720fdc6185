/// Elements in memory that begins where a line of the processor's cache does.
///
/// An array's elements begin behind its head, so that one of a line's size lies on two of them, and each
/// is a wait where many are asked for in no order. Only grows.
///
/// Unchecked: it is the only owner of its memory, as an array would be.
@safe
struct SlotTable<Element: Sendable>: ~Copyable, @unchecked Sendable {
    private var base: UnsafeMutablePointer<Element>
    private(set) var count = 0
    private(set) var capacity = 64
    private static var lineByteCount: Int { 64 }

    init() { unsafe base = SlotTable.memory(capacity) }

    deinit {
        unsafe base.deinitialize(count: count)
        unsafe base.deallocate()
    }

    private static func memory(_ capacity: Int) -> UnsafeMutablePointer<Element> {
        // Bound once; as large as the elements it is bound for.
        unsafe UnsafeMutableRawPointer.allocate(
            byteCount: capacity * MemoryLayout<Element>.stride,
            alignment: max(lineByteCount, MemoryLayout<Element>.alignment)
        ).bindMemory(to: Element.self, capacity: capacity)
    }

    subscript(_ index: UInt32) -> Element {
        unsafeAddress {
            precondition(Int(index) < count, "no such slot")
            return unsafe UnsafePointer(base + Int(index))
        }
        unsafeMutableAddress {
            precondition(Int(index) < count, "no such slot")
            return unsafe base + Int(index)
        }
    }

    mutating func append(_ element: Element) {
        if count == capacity { grow() }
        // There is room for one more.
        unsafe (base + count).initialize(to: element)
        count += 1
    }

    /// By a quarter instead of a doubling: slack is memory outside of the cache's budget.
    private mutating func grow() {
        let larger = capacity + capacity / 4
        let place = unsafe SlotTable.memory(larger)
        // All elements move; the old memory has none left.
        unsafe place.moveInitialize(from: base, count: count)
        unsafe base.deallocate()
        unsafe base = place
        capacity = larger
    }
}
