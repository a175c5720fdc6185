private import Synchronization

/// The newest ring of one revision, for all workers and for as long as its hosts stay.
///
/// A ring of a thousand hosts is half a million points to sort. What publishes a snapshot asks for it
/// first, so that no worker sorts, and all have the same memory.
package final class RingRegistry: Sendable {
    private struct Kept {
        let hosts: [(name: String, weight: Int)]
        let ring: HashRing
    }

    private let kept = Mutex<Kept?>(nil)

    init() {}

    /// The ring of these hosts; made if it isn't the one that is kept.
    package func ring(of hosts: [(name: String, weight: Int)]) -> HashRing {
        if let known = known(hosts) { return known }
        let made = HashRing(hosts)
        kept.withLock { $0 = Kept(hosts: hosts, ring: made) }
        return made
    }

    /// The kept ring, if it is that of these hosts.
    package func known(_ hosts: [(name: String, weight: Int)]) -> HashRing? {
        kept.withLock { kept in
            guard let kept, kept.hosts.elementsEqual(hosts, by: ==) else { return nil }
            return kept.ring
        }
    }
}
