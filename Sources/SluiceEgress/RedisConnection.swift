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
//                                                           │ PING not answered: the session ends
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
/// Tokens are the worker's and come back as they are; they must be below 2^62.
@safe
package final class RedisConnection: StreamHandler, TimerTarget {
    /// Where it goes.
    package let endpoint: RedisEndpoint
    /// What it has seen.
    package private(set) var counters = RedisCounters()

    let loop: EventLoop
    unowned let receiver: any RedisReceiver
    private var random: RandomSource
    private var breaker = RedisBreaker()
    private var stream: TCPStream?
    /// Stands from the moment the stream does.
    var session: RedisSession?
    private var addressIndex = 0
    /// Addresses that this attempt may still try.
    private var addressesLeft = 0
    private var attemptDeadline = Instant.distantFuture
    private var timer = TimerID.none
    private var timerDeadline = Instant.distantFuture
    private var isPostponed = false
    private var probeTimer = TimerID.none
    var purges: [RedisPurge] = []
    /// Whether the session's greeting was answered.
    private var isGreeted = false
    private var wasEverGreeted = false
    private var wasUp = false
    private var isClosed = false

    private static let deadlineTag: UInt = 0
    private static let probeTag: UInt = 1

    /// Who is answered, in a token's uppermost bits.
    enum Asker: UInt64 { case lookUp, write, housekeeping }
    /// What was asked, in the lower bits of housekeeping's tokens.
    enum Errand: UInt64 { case probe, scan, unlink }

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
    }

    /// Begins to connect.
    package func start() { beginAttempt() }

    /// Whether look-ups are sent at all.
    package var isUp: Bool { breaker.admits && session?.canAnswer == true }

    /// Commands sent and not yet answered, given up or not.
    package var pendingCount: Int { session?.pendingCount ?? 0 }

    /// Closes for good: look-ups and purges under way have failed when it returns.
    package func close() {
        guard !isClosed else { return }
        isClosed = true
        loop.cancelTimer(&probeTimer)
        session?.connectionEnded()
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
            unsafe session?.get(
                key,
                token: RedisConnection.mark(token, .lookUp),
                at: loop.now,
                deadline: patience(until: deadline)
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
            unsafe session?.getMany(
                keys,
                keyByteCount: keyByteCount,
                token: RedisConnection.mark(token, .lookUp),
                at: loop.now,
                deadline: patience(until: deadline)
            )
        )
    }

    private func canLookUp() -> Bool {
        counters.lookUps += 1
        if isUp { return true }
        counters.skipped += 1
        return false
    }

    private func isSent(_ isTaken: Bool?) -> Bool {
        guard isTaken == true else {
            counters.crowded += 1
            return false
        }
        sendSoon()
        return true
    }

    /// When to give up, so that the timer, which may be late, isn't later than `deadline`.
    private func patience(until deadline: Instant) -> Instant {
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
            ? unsafe session?.set(
                key,
                header: header,
                body: body,
                expiresInMilliseconds: milliseconds,
                token: RedisConnection.mark(0, .write),
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
            ? session?.remove(
                keys,
                lazily: true,
                token: RedisConnection.mark(0, .write),
                at: loop.now,
                deadline: .distantFuture
            ) : false
        countWrite(isTaken)
    }

    // Writes have no deadline of their own: the stall limit ends what isn't answered.
    private var canWrite: Bool {
        unsafe isUp && (session?.outputBytes.count ?? 0) < endpoint.writeBacklogMaximum
    }

    private func countWrite(_ isTaken: Bool?) {
        guard isTaken == true else {
            counters.droppedWrites += 1
            return
        }
        counters.writes += 1
        sendSoon()
    }

    // MARK: - Events

    private func drain() {
        while let event = session?.nextEvent() { handle(event) }
        armTimer()
    }

    private func handle(_ event: RedisEvent) {
        switch event {
        case .ready: becameReady()
        case .ended(let failure): ended(failure)
        case .reply(let token, let reply):
            switch RedisConnection.asker(of: token) {
            case .lookUp: answered(RedisConnection.unmark(token), reply)
            case .write: if case .error = reply { counters.failedWrites += 1 }
            case .housekeeping: ranErrand(RedisConnection.unmark(token), reply)
            }
        case .timedOut(let token), .lost(let token):
            var failure = RedisLookupFailure.lost
            if case .timedOut = event { failure = .timedOut }
            switch RedisConnection.asker(of: token) {
            case .lookUp: cameToNothing(RedisConnection.unmark(token), failure)
            case .write: counters.failedWrites += 1
            case .housekeeping:
                // A probe that isn't answered ends the connection, which ends the purges as well.
                session?.connectionEnded()
            }
        }
    }

    private func answered(_ token: UInt64, _ reply: RedisReply) {
        switch reply {
        case .error:
            cameToNothing(token, .refused)
            return
        case .array(let elements):
            count(success: true)
            counters.answered += 1
            for place in elements.indices { tell(token, place, elements[place]) }
        default:
            count(success: true)
            counters.answered += 1
            tell(token, 0, reply)
        }
    }

    private func tell(_ token: UInt64, _ place: Int, _ value: RedisReply) {
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
        guard breaker.admits else { return }
        breaker.record(success: success, at: loop.now)
        guard !breaker.admits else { return }
        tellChange("look-ups come to nothing")
        scheduleProbe()
    }

    private func ranErrand(_ number: UInt64, _ reply: RedisReply) {
        switch Errand(rawValue: number) {
        case .scan: scanned(reply)
        case .unlink: unlinked(reply)
        case .probe:
            var isAnswer = true
            if case .error = reply { isAnswer = false }
            breaker.record(success: isAnswer, at: loop.now)
            scheduleProbe()
            tellChange("the probe was answered by an error")
        case nil: preconditionFailure("an errand nobody was sent on")
        }
    }

    // MARK: - Connecting

    private func beginAttempt() {
        addressesLeft = endpoint.addresses.count
        tryAddress()
    }

    private func tryAddress() {
        addressesLeft -= 1
        let share = endpoint.attemptTimeout.nanoseconds / Int64(endpoint.addresses.count)
        attemptDeadline = loop.now.advanced(byNanoseconds: share)
        do throws(KernelFailure) {
            let stream = try TCPStream(
                loop: loop,
                connectingTo: endpoint.addresses[addressIndex],
                tls: nil
            )
            self.stream = stream
            stream.handler = self
            armTimer()
            stream.start()
        } catch {
            attemptFailed(error.description)
        }
    }

    /// Another address is tried at once; otherwise it's time to wait.
    private func attemptFailed(_ reason: String) {
        addressIndex = (addressIndex + 1) % endpoint.addresses.count
        if addressesLeft > 0 {
            tryAddress()
        } else {
            counters.failedAttempts += 1
            waitAfter(reason)
        }
    }

    private func becameReady() {
        isGreeted = true
        if wasEverGreeted { counters.reconnects += 1 }
        wasEverGreeted = true
        breaker.record(success: true, at: loop.now)
        tellChange(nil)
    }

    /// The session is over; its look-ups have been told.
    private func ended(_ failure: RedisFailure) {
        if !isGreeted { counters.failedAttempts += 1 }
        switch failure {
        case .malformed, .tooLarge, .unexpectedReply: counters.nonsense += 1
        case .disconnected, .refused, .stalled: break
        }
        disconnect()
        guard !isClosed else { return }
        waitAfter(failure.description)
        endPurge(isComplete: false)
    }

    private func disconnect() {
        session = nil
        stream?.close()
        stream = nil
        loop.cancelTimer(&timer)
        timerDeadline = .distantFuture
    }

    private func waitAfter(_ reason: String) {
        breaker.trip(at: loop.now)
        tellChange(reason)
        scheduleProbe()
    }

    // MARK: - Probing

    private func scheduleProbe() {
        guard breaker.nextProbe < .distantFuture, probeTimer == .none else { return }
        let pause = max(0, breaker.nextProbe.nanoseconds(since: loop.now))
        // Up to a quarter more, so that workers and gateways come one after the other.
        let jitter = Int64(random.next(below: Int(pause / 4) + 1))
        probeTimer = loop.setTimer(
            at: breaker.nextProbe.advanced(byNanoseconds: jitter),
            target: self,
            tag: RedisConnection.probeTag
        )
    }

    /// Without a connection, making one is the probe.
    private func probe(at now: Instant) {
        guard breaker.startProbe(at: now) else {
            scheduleProbe()
            return
        }
        guard session != nil else {
            beginAttempt()
            return
        }
        let isTaken = session?.ping(
            token: RedisConnection.mark(Errand.probe.rawValue, .housekeeping),
            at: now,
            deadline: now + endpoint.probeTimeout
        )
        if isTaken == true {
            sendSoon()
        } else {
            session?.connectionEnded()
            drain()
        }
    }

    // MARK: - Stream events

    package func streamOpened(_ stream: TCPStream) {
        isGreeted = false
        session = RedisSession(
            endpoint.settings,
            pool: loop.buffers,
            at: loop.now,
            greetingDeadline: attemptDeadline
        )
        sendSoon()
    }

    package func streamReceived(_ bytes: UnsafeRawBufferPointer) {
        isPostponed = false
        unsafe session?.receive(bytes)
        drain()
    }

    package func streamEnded() { connectionEnded("closed at once") }

    package func streamFailed(_ failure: StreamFailure) {
        stream = nil
        connectionEnded(failure.description)
    }

    package var streamOutput: UnsafeRawBufferPointer {
        unsafe session?.outputBytes ?? UnsafeRawBufferPointer(start: nil, count: 0)
    }

    package func streamWrote(_ count: Int) { session?.outputWritten(count) }

    private func connectionEnded(_ reason: String) {
        guard session == nil else {
            session?.connectionEnded()
            drain()
            return
        }
        disconnect()
        attemptFailed(reason)
    }

    func sendSoon() {
        stream?.touch()
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
        if session != nil {
            session?.deadlineReached(at: now)
            drain()
        } else if stream != nil, attemptDeadline <= now {
            connectionEnded("connect timed out")
        } else {
            armTimer()
        }
    }

    /// Sees to it that the timer fires when the session or the attempt wants it, or before.
    private func armTimer() {
        let deadline = session?.deadline ?? (stream == nil ? .distantFuture : attemptDeadline)
        guard deadline < timerDeadline else { return }
        loop.cancelTimer(&timer)
        timer = loop.setTimer(at: deadline, target: self, tag: RedisConnection.deadlineTag)
        timerDeadline = deadline
    }

    // MARK: - Telling

    private func tellChange(_ problem: String?) {
        guard isUp != wasUp else { return }
        wasUp = isUp
        receiver.redisChanged(isUp ? nil : problem)
    }

    static func mark(_ token: UInt64, _ asker: Asker) -> UInt64 {
        precondition(token < 1 << 62, "a token has 62 bits")
        return asker.rawValue << 62 | token
    }

    private static func unmark(_ token: UInt64) -> UInt64 { token & (1 << 62 - 1) }

    private static func asker(of token: UInt64) -> Asker {
        Asker(rawValue: token >> 62) ?? .housekeeping
    }
}
