private import Glibc
import SluiceCore

/// Elements that never move, up to a number that is known from the start.
///
/// Memory for all of them is asked for at once, and the system gives it page by page as elements come.
/// Growing copies nothing, leaves no slack, and code that knows an element's number can have it fetched
/// without a lock. It begins where a line of the processor's cache does, so that an element of a line's
/// size is one wait; in an array, whose elements begin behind its head, it lies on two.
///
/// Unchecked: it is the only owner of its memory, as an array would be.
@safe
struct SlotTable<Element: Sendable>: ~Copyable, @unchecked Sendable {
    private let base: UnsafeMutablePointer<Element>
    private let maximum: Int
    private(set) var count = 0
    private static var lineByteCount: Int { 64 }

    /// A table without elements that takes `maximum` of them.
    init(maximum: Int) {
        self.maximum = maximum
        // Bound once; as large as the elements it is bound for.
        unsafe base = UnsafeMutableRawPointer.allocate(
            byteCount: maximum * MemoryLayout<Element>.stride,
            alignment: max(SlotTable.lineByteCount, MemoryLayout<Element>.alignment)
        ).bindMemory(to: Element.self, capacity: maximum)
        unsafe SlotTable.takeSmallPages(base, maximum * MemoryLayout<Element>.stride)
    }

    /// Asks for no huge pages, where the system has them for everybody: they would take memory for many
    /// elements at the first.
    private static func takeSmallPages(_ base: UnsafeMutableRawPointer, _ byteCount: Int) {
        let page = Int(getpagesize())
        let start = (Int(bitPattern: base) + page - 1) / page * page
        let end = (Int(bitPattern: base) + byteCount) / page * page
        guard start < end, let first = unsafe UnsafeMutableRawPointer(bitPattern: start) else {
            return
        }
        // A hint: a kernel without huge pages refuses it.
        _ = unsafe madvise(first, end - start, MADV_NOHUGEPAGE)
    }

    deinit {
        unsafe base.deinitialize(count: count)
        unsafe base.deallocate()
    }

    /// What its elements take.
    var byteCount: Int { count * MemoryLayout<Element>.stride }

    /// Where the elements lie, for who wants one fetched ahead.
    var places: SlotPlaces {
        unsafe SlotPlaces(base: base, stride: MemoryLayout<Element>.stride, maximum: maximum)
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
        precondition(count < maximum, "a table takes no more elements than it was made for")
        // There is room for one more.
        unsafe (base + count).initialize(to: element)
        count += 1
    }
}

/// Where the elements of a ``SlotTable`` lie; good for hints only, and as long as the table lives.
@safe
struct SlotPlaces: @unchecked Sendable {
    private let base: UnsafeRawPointer
    private let stride: Int
    private let maximum: Int

    init(base: UnsafeRawPointer, stride: Int, maximum: Int) {
        unsafe self.base = unsafe base
        self.stride = stride
        self.maximum = maximum
    }

    /// Has the processor fetch element number `index`, which may not be there.
    func fetch(_ index: UInt32) {
        guard Int(index) < maximum else { return }
        unsafe Prefetch.line(at: base + Int(index) &* stride)
    }
}
