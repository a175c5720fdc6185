package import SluiceIO
package import SluiceRedis
package import SluiceTLS
import Synchronization

/// Where Redis is and what opens it, as known now; shared by the workers' connections.
///
/// A connection that can't be made wishes for a new look, and another thread has it: looking up a name
/// and reading a file may take long.
package final class RedisDirectory: Sendable {
    /// What is known.
    package struct Entry: Sendable {
        /// Tried in turn; four at most.
        package var addresses: [SocketAddress] = []
        /// Nil: no AUTH is sent.
        package var password: String?
        /// Nil: in the clear.
        package var tls: TLSClientContext?
        /// The name that its certificate must have, where that isn't configured.
        package var serverName: String?
        /// Why nothing is known; nil while all is well, or the first look isn't over.
        package var complaint: RedisComplaint?

        /// Nothing, yet.
        package init() {}
    }

    private let entry = Mutex(Entry())
    private let isLookRequested = Atomic(true)

    /// A directory that wants its first look.
    package init() {}

    /// What is known now.
    package var current: Entry { entry.withLock { $0 } }

    /// Asks for a new look.
    package func requestLook() { isLookRequested.store(true, ordering: .relaxed) }

    /// Whether a look is wanted; asking takes the wish.
    package func takeLookRequest() -> Bool { isLookRequested.exchange(false, ordering: .relaxed) }

    /// Takes the outcome of a look.
    package func put(_ new: Entry) { entry.withLock { $0 = new } }
}
