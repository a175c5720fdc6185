/// Why a conversation with Redis ended; never a client's fault, and always survivable.
package enum RedisFailure: Error, Hashable, Sendable, CustomStringConvertible {
    /// The connection ended.
    case disconnected
    /// AUTH or SELECT was refused, or PING before the first command; the text is the server's.
    case refused(String)
    /// It was to be a master, and says that it is something else; the text is its word for that.
    case notMaster(String)
    /// What came isn't RESP2; the text is hiredis's.
    case malformed(String)
    /// A reply, or the unread part of one, passed the limit.
    case tooLarge
    /// A reply that nobody asked for, or of a kind the command can't have.
    case unexpectedReply
    /// The oldest command has waited longer than ``RedisSettings/stallLimit``.
    case stalled

    package var description: String {
        switch self {
        case .disconnected: "Redis closed the connection"
        case .refused(let text): "Redis refused us (\(text))"
        case .notMaster(let role): "Redis is no master, but a \(role)"
        case .malformed(let text): "what came isn't RESP (\(text))"
        case .tooLarge: "a reply is too large"
        case .unexpectedReply: "a reply came that wasn't asked for"
        case .stalled: "Redis has fallen silent"
        }
    }
}
