import SluiceIO
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
    /// Absent where an address may have as many as there are.
    private let addresses: AddressCount?

    /// A count that admits up to `maximum`, with descriptors below `descriptorCeiling`.
    ///
    /// With `perAddress`, up to so many from one address; 0 is no limit.
    package init(maximum: Int, descriptorCeiling: Int32 = .max, perAddress: Int = 0) {
        self.maximum = maximum
        self.descriptorCeiling = descriptorCeiling
        addresses = perAddress > 0 ? AddressCount(maximum: perAddress) : nil
    }

    /// Whether so many places or descriptors are taken that those who rest should go: 15 of 16.
    func isShort(_ descriptor: Int32) -> Bool {
        open.load(ordering: .relaxed) >= maximum - maximum / 16
            || descriptor >= descriptorCeiling - descriptorCeiling / 16
    }

    /// Whether a connection may have this descriptor.
    func admits(_ descriptor: Int32) -> Bool { descriptor < descriptorCeiling }

    /// Takes one of the places that an address has for its own; false when it has all of them.
    func enter(_ peer: SocketAddress) -> Bool { addresses?.enter(peer) ?? true }

    /// Gives back a place, and the address's.
    func leave(_ peer: SocketAddress) {
        leave()
        addresses?.leave(peer)
    }

    /// Gives back the address's place alone.
    func forget(_ peer: SocketAddress) { addresses?.leave(peer) }

    /// How many addresses are told apart now; 0 without a limit for each.
    package var addressCount: Int { addresses?.addressCount ?? 0 }

    /// Takes a place; false when all are taken.
    package func enter() -> Bool {
        if open.wrappingAdd(1, ordering: .relaxed).newValue <= maximum { return true }
        leave()
        return false
    }

    /// Gives a place back.
    package func leave() {
        let before = open.wrappingSubtract(1, ordering: .relaxed).oldValue
        precondition(before > 0, "a place is given back once")
    }

    /// Places taken now.
    package var current: Int { open.load(ordering: .relaxed) }
}
