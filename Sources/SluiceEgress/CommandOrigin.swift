/// On whose behalf a command was sent; written into its token, so that nothing need be kept.
enum CommandOrigin {
    /// The worker, with its own token below 2^62.
    case lookUp(UInt64)
    /// A value or a removal that nobody waits for.
    case write
    /// The breaker's PING.
    case probe
    /// A purge, for a page of keys.
    case scan
    /// A purge, for their removal.
    case unlink

    private static let housekeeping: UInt64 = 1 << 62

    /// The command's token in the session.
    var token: UInt64 {
        switch self {
        case .lookUp(let token):
            precondition(token < CommandOrigin.housekeeping, "a token has 62 bits")
            return token
        case .write: return CommandOrigin.housekeeping
        case .probe: return CommandOrigin.housekeeping + 1
        case .scan: return CommandOrigin.housekeeping + 2
        case .unlink: return CommandOrigin.housekeeping + 3
        }
    }

    /// Who is meant by a token that ``token`` made.
    init(token: UInt64) {
        switch token {
        case ..<CommandOrigin.housekeeping: self = .lookUp(token)
        case CommandOrigin.housekeeping: self = .write
        case CommandOrigin.housekeeping + 1: self = .probe
        case CommandOrigin.housekeeping + 2: self = .scan
        default: self = .unlink
        }
    }
}
