import SluiceCore
import SluiceIO
import SluiceRedis

/// Whether something of Redis goes wrong, and since when it goes well again.
struct RedisTrouble {
    /// Answers in a row after which it goes well: a server at its limits refuses now and then.
    private static let recovery = 16

    let use: RedisUse
    private(set) var isTold = false
    private var inARow = 0

    init(_ use: RedisUse) { self.use = use }

    mutating func failed() {
        isTold = true
        inARow = 0
    }

    /// Whether that was the answer after which it goes well.
    mutating func succeeded() -> Bool {
        guard isTold else { return false }
        inARow += 1
        guard inARow >= RedisTrouble.recovery else { return false }
        self = RedisTrouble(use)
        return true
    }
}

/// What Redis refuses, and what is done about it.
extension RedisConnection {
    func complain(_ complaint: RedisComplaint, _ trouble: inout RedisTrouble) {
        trouble.failed()
        receiver.redisComplained(complaint, about: trouble.use, at: loop.now)
    }

    func wentWell(_ trouble: inout RedisTrouble) {
        if trouble.succeeded() { receiver.redisRecovered(trouble.use, at: loop.now) }
    }

    func written(_ reply: RedisReply) {
        guard case .error(let text) = reply else {
            leavePause = RedisConnection.leavePauseMinimum
            wentWell(&writeTrouble)
            return
        }
        counters.failedWrites += 1
        let complaint = RedisComplaint(error: text, secret: known.password)
        complain(complaint, &writeTrouble)
        if complaint.reason == .readonly { leave(complaint) }
    }

    /// After a failover the connection leads to what is now a replica; the name, or what stands
    /// before Redis, leads to the new master by now.
    ///
    /// Who has named a replica on purpose keeps its look-ups: the pauses grow to a minute.
    private func leave(_ complaint: RedisComplaint) {
        guard leaving == nil, loop.now >= nextLeave else { return }
        nextLeave = loop.now + leavePause
        leavePause = min(leavePause * 2, RedisConnection.leavePauseMaximum)
        leaving = complaint
        endpoint.directory?.requestLook()
        // Not within a session's event: the loop ends it soon.
        session.connectionEnded()
    }
}
