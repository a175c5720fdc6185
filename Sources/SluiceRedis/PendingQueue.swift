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
    // What lies outside of the queue means nothing.
    private var ring: [PendingCommand]
    private var first = 0
    private(set) var count = 0

    init(capacity: Int) {
        let nothing = PendingCommand(
            token: 0,
            expectation: .greeting,
            sent: .zero,
            deadline: .distantFuture
        )
        ring = Array(repeating: nothing, count: capacity)
    }

    var isFull: Bool { count == ring.count }
    var oldest: PendingCommand? { count == 0 ? nil : ring[first] }

    mutating func append(_ command: PendingCommand) {
        precondition(!isFull, "a full queue takes no command")
        ring[place(count)] = command
        count += 1
    }

    mutating func dropOldest() {
        precondition(count > 0, "there is one to drop")
        first = place(1)
        count -= 1
    }

    /// Where the command at `offset` from the oldest lies.
    private func place(_ offset: Int) -> Int {
        let place = first + offset
        return place < ring.count ? place : place - ring.count
    }

    /// Marks those whose deadline has come and returns their tokens, oldest first.
    mutating func giveUp(at now: Instant) -> [UInt64] {
        var tokens: [UInt64] = []
        for offset in 0..<count {
            let place = place(offset)
            guard !ring[place].isGivenUp, ring[place].deadline <= now else { continue }
            ring[place].isGivenUp = true
            tokens.append(ring[place].token)
        }
        return tokens
    }

    /// The earliest deadline of those still waited for.
    var earliestDeadline: Instant {
        var earliest = Instant.distantFuture
        for offset in 0..<count {
            let command = ring[place(offset)]
            if !command.isGivenUp { earliest = min(earliest, command.deadline) }
        }
        return earliest
    }
}
