private import Synchronization

/// How many client connections the process has open, counted over all loops.
///
/// It also keeps descriptors in reserve. A kernel gives the lowest descriptor that is free (POSIX,
/// "File Descriptor Allocation"), so one as high as the ceiling says that all below are in use; it
/// is closed at once, and what is above stays for backends, Redis and the admin port.
package final class ConnectionCount: Sendable {
    private let open = Atomic<Int>(0)
    private let maximum: Int
    private let descriptorCeiling: Int32

    /// A count that admits up to `maximum`, with descriptors below `descriptorCeiling`.
    package init(maximum: Int, descriptorCeiling: Int32 = .max) {
        self.maximum = maximum
        self.descriptorCeiling = descriptorCeiling
    }

    /// Whether a connection may have this descriptor.
    func admits(_ descriptor: Int32) -> Bool { descriptor < descriptorCeiling }

    /// Takes a place; false when all are taken.
    package func enter() -> Bool {
        if open.wrappingAdd(1, ordering: .relaxed).newValue <= maximum { return true }
        leave()
        return false
    }

    /// Gives a place back.
    package func leave() { open.wrappingSubtract(1, ordering: .relaxed) }

    /// Places taken now.
    package var current: Int { open.load(ordering: .relaxed) }
}
