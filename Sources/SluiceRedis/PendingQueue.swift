import SluiceCore

/// A command that has been written and not yet answered.
struct PendingCommand: BitwiseCopyable {
    let token: UInt64
    let expectation: RedisExpectation
    let sent: Instant
    let deadline: Instant
    /// Whether its caller has been told already; the reply is then dropped when it comes.
    var isGivenUp = false
}

/// Commands in the order of the wire, which is the order of their replies.
///
/// A bounded ring: a full one refuses the next command.
struct PendingQueue {
    private var ring: [PendingCommand?]
    private var first = 0
    private(set) var count = 0

    init(capacity: Int) { ring = Array(repeating: nil, count: capacity) }

    var isFull: Bool { count == ring.count }
    var oldest: PendingCommand? { count == 0 ? nil : ring[first] }

    mutating func append(_ command: PendingCommand) {
        precondition(!isFull, "a full queue takes no command")
        ring[(first + count) % ring.count] = command
        count += 1
    }

    mutating func popOldest() -> PendingCommand? {
        guard count > 0 else { return nil }
        defer {
            ring[first] = nil
            first = (first + 1) % ring.count
            count -= 1
        }
        return ring[first]
    }

    /// Marks those whose deadline has come and returns their tokens, oldest first.
    mutating func giveUp(at now: Instant) -> [UInt64] {
        var tokens: [UInt64] = []
        for offset in 0..<count {
            let place = (first + offset) % ring.count
            guard let command = ring[place], !command.isGivenUp, command.deadline <= now else {
                continue
            }
            ring[place]?.isGivenUp = true
            tokens.append(command.token)
        }
        return tokens
    }

    /// The earliest deadline of those still waited for.
    var earliestDeadline: Instant {
        var earliest = Instant.distantFuture
        for offset in 0..<count {
            if let command = ring[(first + offset) % ring.count], !command.isGivenUp {
                earliest = min(earliest, command.deadline)
            }
        }
        return earliest
    }
}
