// One worker's conversation with Redis: a session on a stream, a breaker that says when to use
// it, and timers that say when to stop waiting.
//
//                attempt failed, or the session ended
//        ┌──────────────────────────────────────────────────┐
//        ▼                                                  │
//     waiting ──probe timer──► connecting ──► greeting ──► open ◄──┐
//                                                           │      │ PING answered
//                          five look-ups in a row came to   ▼      │
//                          nothing, or half of a second's  open, not in use
//                                                           │ PING not answered for 750 ms:
//                                                           ▼ the session ends
//
// Only an open connection with a closed breaker is in use; otherwise a look-up is refused on the
// spot, without a system call, so a Redis that is away costs nobody anything. A look-up waits for
// its deadline at most, and for 750 ms of silence the whole connection ends: a rare look-up
// mustn't pay for a dead Redis five times over.
//
// Everything a tick asks for goes to the session's output and leaves in the one write that the
// loop makes at the tick's end.
package import SluiceCore
package import SluiceIO
import SluiceRedis

/// One worker's pipelined connection to Redis; reconnects by itself until closed.
///
/// Close it before letting it go: the loop's timers don't keep it alive.
/// Tokens are the worker's and come back as they are; they must be below 2^62.
@safe
package final class RedisConnection: StreamHandler, TimerTarget {
    /// Where it goes.
    package let endpoint: RedisEndpoint
    /// What it has seen.
    package internal(set) var counters = RedisCounters()

    let loop: EventLoop
    unowned let receiver: any RedisReceiver
    var random: RandomSource
    var breaker = RedisBreaker()
    var stream: TCPStream?
    /// One that is over where there is none: an optional one would be copied out and back for every call.
    var session: RedisSession
    /// Whether there is one: from the moment the stream stands.
    var hasSession = false
    var addressIndex = 0
    /// Addresses that this attempt may still try.
    var addressesLeft = 0
    var attemptDeadline = Instant.distantFuture
    var timer = TimerID.none
    var timerDeadline = Instant.distantFuture
    /// Whether the timer gave what was late another chance.
    var isPostponed = false
    var probeTimer = TimerID.none
    var purges: [RedisPurge] = []
    /// Whether the session's greeting was answered.
    var isGreeted = false
    var wasEverGreeted = false
    private var wasUp = false
    var isClosed = false
    /// As of the latest attempt.
    var known: RedisDirectory.Entry
    var lookUpTrouble = RedisTrouble(.lookUps)
    var writeTrouble = RedisTrouble(.writes)
    /// Why this connection is being left, when that's our own wish.
    var leaving: RedisComplaint?
    /// When a replica may next make us connect anew.
    var nextLeave = Instant.zero
    var leavePause = RedisConnection.leavePauseMinimum
    static let leavePauseMinimum = Duration.seconds(1)
    static let leavePauseMaximum = Duration.seconds(60)

    private static let deadlineTag: UInt = 0
    static let probeTag: UInt = 1

    // MARK: - Making one

    /// A connection that does nothing before ``start()``.
    ///
    /// `seed` is for the jitter of reconnects, so that workers don't all knock at once.
    package init(
        loop: EventLoop,
        endpoint: RedisEndpoint,
        receiver: any RedisReceiver,
        seed: UInt64
    ) {
        self.loop = loop
        self.endpoint = endpoint
        self.receiver = receiver
        random = RandomSource(seed: seed)
        session = RedisSession(over: endpoint.settings, pool: loop.buffers)
        known = RedisDirectory.Entry()
        known.addresses = endpoint.addresses
        known.password = endpoint.settings.password
    }

    /// Begins to connect.
    package func start() { beginAttempt() }

    /// Whether look-ups are sent at all.
    package var isUp: Bool { breaker.admits && session.canAnswer }

    /// Commands sent and not yet answered, given up or not.
    package var pendingCount: Int { session.pendingCount }

    /// Closes for good: look-ups and purges under way have failed when it returns.
    package func close() {
        guard !isClosed else { return }
        isClosed = true
        loop.cancelTimer(&probeTimer)
        session.connectionEnded()
        drain()
        // Without a session there is at most an attempt.
        disconnect()
        endPurge(isComplete: false)
        tellChange("closed")
    }

    // MARK: - Look-ups

    /// Looks a key up; false when Redis isn't asked: not in use, or too much waits already.
    ///
    /// A look-up is given up up to 10 ms early rather than late, because that's how coarse the
    /// loop's timers are; but never before half of its time.
    package func get(
        _ key: UnsafeRawBufferPointer,
        deadline: Instant,
        token: UInt64
    ) -> Bool {
        guard canLookUp() else { return false }
        return isSent(
            unsafe session.get(
                key,
                token: CommandOrigin.lookUp(token).token,
                at: loop.now,
                deadline: replyDeadline(until: deadline)
            )
        )
    }

    /// Looks several keys up in one command; false as for ``get(_:deadline:token:)``.
    ///
    /// `keys` are equally long, one after the other without anything between.
    package func getMany(
        _ keys: UnsafeRawBufferPointer,
        keyByteCount: Int,
        deadline: Instant,
        token: UInt64
    ) -> Bool {
        guard canLookUp() else { return false }
        return isSent(
            unsafe session.getMany(
                keys,
                keyByteCount: keyByteCount,
                token: CommandOrigin.lookUp(token).token,
                at: loop.now,
                deadline: replyDeadline(until: deadline)
            )
        )
    }

    private func canLookUp() -> Bool {
        counters.lookUps += 1
        if isUp { return true }
        counters.skipped += 1
        return false
    }

    private func isSent(_ isTaken: Bool) -> Bool {
        guard isTaken else {
            counters.crowded += 1
            return false
        }
        sendSoon()
        return true
    }

    /// When to give up, so that the timer, which may be late, isn't later than `deadline`.
    private func replyDeadline(until deadline: Instant) -> Instant {
        let wait = max(0, deadline.nanoseconds(since: loop.now))
        // A wait is rounded up to milliseconds, and the scheduler takes its own.
        let early = min(TimerWheel.resolution.nanoseconds + 2_000_000, wait / 2)
        return deadline.advanced(byNanoseconds: -early)
    }

    // MARK: - Writes

    /// Stores `header` and `body` as one value; nobody hears how it went.
    ///
    /// Dropped when Redis isn't in use or much waits for the socket already.
    package func set(
        _ key: UnsafeRawBufferPointer,
        header: UnsafeRawBufferPointer,
        body: UnsafeRawBufferPointer,
        expiresInMilliseconds milliseconds: Int
    ) {
        let isTaken =
            canWrite && milliseconds > 0
            ? unsafe session.set(
                key,
                header: header,
                body: body,
                expiresInMilliseconds: milliseconds,
                token: CommandOrigin.write.token,
                at: loop.now,
                deadline: .distantFuture
            ) : false
        countWrite(isTaken)
    }

    /// Removes keys; nobody hears how it went, and it is dropped as a value is.
    package func remove(_ keys: [[UInt8]]) {
        guard !keys.isEmpty else { return }
        let isTaken =
            canWrite
            ? session.remove(
                keys,
                lazily: true,
                token: CommandOrigin.write.token,
                at: loop.now,
                deadline: .distantFuture
            ) : false
        countWrite(isTaken)
    }

    // Look-ups wait behind writes, in our memory and in the server's; so few may be ahead of them.
    // Writes, purges and probes have no deadline: the stall limit ends what isn't answered.
    private var canWrite: Bool {
        guard isUp, pendingCount < endpoint.settings.maximumPending / 4 else { return false }
        return unsafe session.outputBytes.count < endpoint.writeBacklogMaximum
    }

    private func countWrite(_ isTaken: Bool) {
        guard isTaken else {
            counters.droppedWrites += 1
            return
        }
        counters.writes += 1
        sendSoon()
    }

    // MARK: - Events

    func drain() {
        while let event = session.nextEvent() { handle(event) }
        armTimer()
    }

    private func handle(_ event: RedisEvent) {
        switch event {
        case .ready: becameReady()
        case .ended(let failure): ended(failure)
        case .value(let token):
            if case .lookUp(let token) = CommandOrigin(token: token) { found(token) }
        case .reply(let token, let reply):
            switch CommandOrigin(token: token) {
            case .lookUp(let token): answered(token, reply)
            case .write: written(reply)
            case .probe: probeAnswered(reply)
            case .scan: scanned(reply)
            case .unlink: unlinked(reply)
            }
        case .timedOut(let token): unanswered(token, .timedOut)
        case .lost(let token): unanswered(token, .lost)
        }
    }

    private func unanswered(_ token: UInt64, _ failure: RedisLookupFailure) {
        switch CommandOrigin(token: token) {
        case .lookUp(let token): cameToNothing(token, failure)
        case .write: counters.failedWrites += 1
        // Without deadlines they can only be lost, and the session's end tells enough.
        case .probe, .scan, .unlink: break
        }
    }

    private func answered(_ token: UInt64, _ reply: RedisReply) {
        switch reply {
        case .error(let text):
            complain(RedisComplaint(error: text, secret: known.password), &lookUpTrouble)
            cameToNothing(token, .refused)
            return
        case .array(let elements):
            count(success: true)
            counters.answered += 1
            for place in elements.indices { deliver(token, place, elements[place]) }
        default:
            count(success: true)
            counters.answered += 1
            deliver(token, 0, reply)
        }
    }

    private func found(_ token: UInt64) {
        count(success: true)
        counters.answered += 1
        counters.hits += 1
        unsafe receiver.redisHit(token, place: 0, session.value)
    }

    private func deliver(_ token: UInt64, _ place: Int, _ value: RedisReply) {
        guard case .bytes(let bytes) = value else {
            counters.misses += 1
            receiver.redisMiss(token, place: place)
            return
        }
        counters.hits += 1
        unsafe bytes.withUnsafeBytes { unsafe receiver.redisHit(token, place: place, $0) }
    }

    private func cameToNothing(_ token: UInt64, _ failure: RedisLookupFailure) {
        switch failure {
        case .timedOut: counters.timeouts += 1
        case .lost: counters.lost += 1
        case .refused: counters.refused += 1
        }
        // A lost connection trips the breaker by itself.
        if failure != .lost { count(success: false) }
        receiver.redisFailed(token, failure)
    }

    /// Counts a look-up's outcome; a probe's is for the probe to tell.
    private func count(success: Bool) {
        if success, lookUpTrouble.isTold { wentWell(&lookUpTrouble) }
        guard breaker.admits else { return }
        breaker.record(success: success, at: loop.now)
        guard !breaker.admits else { return }
        tellChange("look-ups come to nothing")
        if !lookUpTrouble.isTold {
            complain(RedisComplaint(.silent, "look-ups aren't answered in time"), &lookUpTrouble)
        }
        scheduleProbe()
    }

    // MARK: - Stream events

    package func streamOpened(_ stream: TCPStream) {
        isGreeted = false
        hasSession = true
        var settings = endpoint.settings
        settings.password = known.password
        session = RedisSession(
            settings,
            pool: loop.buffers,
            at: loop.now,
            greetingDeadline: attemptDeadline
        )
        sendSoon()
    }

    package func streamReceived(_ bytes: UnsafeRawBufferPointer) {
        isPostponed = false
        unsafe session.receive(bytes)
        drain()
    }

    package func streamEnded() { connectionEnded("the connection was closed at once") }

    package func streamFailed(_ failure: StreamFailure) {
        stream = nil
        connectionEnded(failure.description)
    }

    package var streamOutput: UnsafeRawBufferPointer {
        unsafe session.outputBytes
    }

    package func streamWrote(_ count: Int) { session.outputWritten(count) }

    private func connectionEnded(_ reason: String) {
        guard !hasSession else {
            session.connectionEnded()
            drain()
            return
        }
        disconnect()
        attemptFailed(RedisComplaint(.connect, reason))
    }

    func sendSoon() {
        stream?.scheduleFlush()
        armTimer()
    }

    // MARK: - Time

    package func timerFired(_ tag: UInt, at now: Instant) {
        if tag == RedisConnection.probeTag {
            probeTimer = .none
            probe(at: now)
            return
        }
        timer = .none
        let isLate = timerDeadline + .nanoseconds(2 * TimerWheel.resolution.nanoseconds) < now
        timerDeadline = .distantFuture
        if isLate, !isPostponed {
            // This loop was busy, not Redis: what has come meanwhile is read first, later in this
            // tick. Only once while nothing comes, or a loop that is always late would never
            // give up.
            isPostponed = true
            timer = loop.setTimer(at: now, target: self, tag: tag)
            timerDeadline = now
            return
        }
        isPostponed = false
        if hasSession {
            session.deadlineReached(at: now)
            drain()
        } else if stream != nil, attemptDeadline <= now {
            connectionEnded("connect timed out")
        } else {
            armTimer()
        }
    }

    /// Sees to it that the timer fires when the session or the attempt wants it, or before.
    func armTimer() {
        let deadline =
            hasSession ? session.deadline : stream == nil ? .distantFuture : attemptDeadline
        guard deadline < timerDeadline else { return }
        loop.cancelTimer(&timer)
        timer = loop.setTimer(at: deadline, target: self, tag: RedisConnection.deadlineTag)
        timerDeadline = deadline
    }

    // MARK: - Telling

    func tellChange(_ problem: String?) {
        guard isUp != wasUp else { return }
        wasUp = isUp
        receiver.redisChanged(isUp ? nil : problem)
    }
}
