import SluiceIO
private import Synchronization

/// How many connections each client address has open, counted over all loops.
///
/// One entry for each address that has any: there are no more of them than connections, and an
/// address that closes its last is forgotten. A place is taken at accept and given back at the
/// close, a lock each; requests never come by here.
final class AddressCount: Sendable {
    private let open = Mutex<[UInt64: Int]>([:])
    private let maximum: Int

    /// A count that admits up to `maximum` for each address.
    init(maximum: Int) { self.maximum = maximum }

    /// Takes a place; false when the address has all of its own.
    func enter(_ peer: SocketAddress) -> Bool {
        guard let network = peer.network else { return true }
        return open.withLock { open in
            let count = open[network, default: 0]
            guard count < maximum else { return false }
            open[network] = count + 1
            return true
        }
    }

    /// Gives a place back.
    func leave(_ peer: SocketAddress) {
        guard let network = peer.network else { return }
        open.withLock { open in
            guard let count = open[network] else { return }
            open[network] = count > 1 ? count - 1 : nil
        }
    }

    /// How many addresses have connections.
    var addressCount: Int { open.withLock { $0.count } }
}
