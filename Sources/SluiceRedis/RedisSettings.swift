/// Who we are to Redis, and the bounds of the conversation.
package struct RedisSettings: Sendable {
    /// The ACL user; nil is Redis's `default` user.
    package var user: String?
    /// The password; nil sends no AUTH.
    package var password: String?
    /// The database to SELECT; zero is where every connection begins.
    package var database = 0
    /// Whether only a master will do: a server that says it is something else ends the session.
    package var requiresMaster = false
    /// The largest reply, in bytes of values; a larger one ends the session.
    package var maximumReplyBytes = 16 << 20
    /// Commands written and not answered; a further one is refused.
    package var maximumPending = 4096
    /// Bytes of commands not yet taken by the socket; a command that finds more is refused.
    package var maximumOutputBytes = 8 << 20
    /// How long the oldest command may stay unanswered before the connection counts as dead.
    package var stallLimit = Duration.seconds(5)

    /// The settings of a Redis without password, at their defaults.
    package init() {}
}
