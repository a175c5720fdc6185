import SluiceCore
import SluiceIO

// Connections that rest make room for new ones when places or descriptors run short: those that have
// rested longest first, and none that has been in use within the last second, since that is likely
// to be used again. A client that keeps a connection must expect its end at any time (RFC 9112 §9.5).
extension IngressListener {
    /// How long a connection rests at least before another may have its place.
    static let restMinimum = Duration.seconds(1)
    /// Between two looks at all connections, so that a crowd at the door costs no more than that.
    static let roomInterval = Duration.milliseconds(50)

    /// Closes some of this loop's connections that rest: a 32nd, or 16.
    func makeRoom(among connections: some Collection<ServerConnection>) {
        let now = loop.now
        var resting = connections.filter {
            $0.isResting && $0.idleSince + IngressListener.restMinimum <= now
        }
        resting.sort { ($0.idleSince, $0.number) < ($1.idleSince, $1.number) }
        for connection in resting.prefix(max(16, connections.count / 32)) {
            evictedIdle()
            connection.endNow()
        }
    }
}
