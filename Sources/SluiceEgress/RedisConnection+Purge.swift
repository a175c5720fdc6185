import SluiceCore
import SluiceIO
import SluiceRedis

/// Removing keys by what they begin with: SCAN and UNLINK in turn, one purge after the other.
extension RedisConnection {
    /// Removes every key that begins with `prefix`, page by page, after the purges before it.
    ///
    /// The receiver hears when it is over. False when Redis isn't in use or too many purges wait. One
    /// worker's purge is enough.
    package func purge(prefix: String, token: UInt64) -> Bool {
        guard isUp, purges.count < RedisPurge.waitingMaximum else { return false }
        let deadline = loop.now + endpoint.purgeTimeout
        purges.append(RedisPurge(token: token, prefix: prefix, deadline: deadline))
        guard purges.count == 1, !scan() else { return true }
        purges.removeFirst()
        return false
    }

    /// Asks for the first purge's next page; false when that can't be.
    private func scan() -> Bool {
        guard let purge = purges.first else { return false }
        let isTaken = session.scan(
            cursor: purge.cursor,
            prefix: purge.prefix,
            count: RedisPurge.pageKeyCount,
            token: CommandOrigin.scan.token,
            at: loop.now,
            deadline: .distantFuture
        )
        guard isTaken else { return false }
        sendSoon()
        return true
    }

    func scanned(_ reply: RedisReply) {
        guard !purges.isEmpty, purges[0].deadline > loop.now, let page = RedisPage(reply),
            let keys = purges[0].read(page)
        else {
            endPurge(isComplete: false)
            return
        }
        guard !keys.isEmpty else {
            goOnPurging()
            return
        }
        let isTaken = session.remove(
            keys,
            lazily: true,
            token: CommandOrigin.unlink.token,
            at: loop.now,
            deadline: .distantFuture
        )
        if isTaken { sendSoon() } else { endPurge(isComplete: false) }
    }

    func unlinked(_ reply: RedisReply) {
        guard !purges.isEmpty, case .integer(let count) = reply else {
            endPurge(isComplete: false)
            return
        }
        purges[0].countRemoved(count)
        goOnPurging()
    }

    private func goOnPurging() {
        if purges[0].isAtEnd {
            endPurge(isComplete: true)
        } else if !scan() {
            endPurge(isComplete: false)
        }
    }

    /// The first purge is over, and so are those after it that can't begin.
    func endPurge(isComplete: Bool) {
        guard !purges.isEmpty else { return }
        tellPurge(isComplete: isComplete)
        while !purges.isEmpty, !scan() { tellPurge(isComplete: false) }
    }

    private func tellPurge(isComplete: Bool) {
        let purge = purges.removeFirst()
        receiver.redisPurged(purge.token, removed: purge.removed, isComplete: isComplete)
    }
}
