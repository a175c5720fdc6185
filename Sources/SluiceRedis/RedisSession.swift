package import SluiceCore

/// What a session has to tell.
package enum RedisEvent: Hashable, Sendable {
    /// AUTH, SELECT and the first PING were answered; commands may be sent before that, too.
    case ready
    /// The value that the GET with this token asked for, lent by ``RedisSession/value``.
    case value(token: UInt64)
    /// The answer to any other command, and a GET's where there is no value; in the order they were
    /// sent, values included.
    case reply(token: UInt64, RedisReply)
    /// The command's deadline came first; if a reply follows, it is dropped.
    case timedOut(token: UInt64)
    /// The session ended before the command was answered.
    case lost(token: UInt64)
    /// The session is over; comes once, after the last `lost`.
    case ended(RedisFailure)
}

/// One conversation with Redis without a socket: commands in, bytes out; bytes in, events out.
///
/// Commands are pipelined: all that are sent before ``outputBytes`` are written leave together. RESP2 keeps replies in order, so the n-th reply belongs to the n-th command; a reply of a
/// kind its command can't have ends the session, because then the count is off. Every command gets
/// exactly one of `value`, `reply`, `timedOut` and `lost`. One session belongs to one loop.
package struct RedisSession: ~Copyable {
    private let settings: RedisSettings
    private let stallNanoseconds: Int64
    private let reader: RESPReader
    private var output: ByteBuffer
    private var pending: PendingQueue
    private var greetingsLeft = 0
    private var isReady = false
    private var failure: RedisFailure?
    // What to tell besides replies: time-outs, losses, the end. Bounded by `pending`.
    private var events: [RedisEvent] = []
    private var nextEventIndex = 0
    /// Not later than the earliest deadline of a command still waited for.
    private var nextDeadline = Instant.distantFuture

    // MARK: - Making one

    /// A session at the moment its connection stands; the greeting waits in the output.
    ///
    /// `greetingDeadline` bounds the wait for ``RedisEvent/ready``.
    package init(
        _ settings: RedisSettings,
        pool: BufferPool,
        at now: Instant,
        greetingDeadline: Instant
    ) {
        self.settings = settings
        stallNanoseconds = settings.stallLimit.nanoseconds
        reader = RESPReader(maximumBytes: settings.maximumReplyBytes, pool: pool)
        output = ByteBuffer(pool: pool)
        pending = PendingQueue(capacity: max(settings.maximumPending, 8))
        if let password = settings.password {
            output.beginCommand(settings.user == nil ? 2 : 3)
            output.appendPart("AUTH")
            if let user = settings.user { output.appendPart(text: user) }
            output.appendPart(text: password)
            greet(at: now, greetingDeadline)
        }
        if settings.database != 0 {
            output.beginCommand(2)
            output.appendPart("SELECT")
            output.appendPart(text: String(settings.database))
            greet(at: now, greetingDeadline)
        }
        if settings.requiresMaster {
            output.beginCommand(1)
            output.appendPart("ROLE")
            greetingsLeft += 1
            expect(.role, token: 0, at: now, deadline: greetingDeadline)
        }
        // Asked always: it proves that somebody there speaks RESP, and finds a server that is
        // still loading its data (`-LOADING`) or wants a password (`-NOAUTH`).
        output.beginCommand(1)
        output.appendPart("PING")
        greet(at: now, greetingDeadline)
    }

    /// A session that is over and has nothing to tell: it takes no command and sends nothing.
    package init(over settings: RedisSettings, pool: BufferPool) {
        self.settings = settings
        stallNanoseconds = settings.stallLimit.nanoseconds
        reader = RESPReader(maximumBytes: settings.maximumReplyBytes, pool: pool)
        output = ByteBuffer(pool: pool)
        pending = PendingQueue(capacity: 8)
        failure = .disconnected
    }

    private mutating func greet(at now: Instant, _ deadline: Instant) {
        greetingsLeft += 1
        expect(.greeting, token: 0, at: now, deadline: deadline)
    }

    /// Why the session ended; nil while it goes on.
    package var ending: RedisFailure? { failure }

    /// Whether the greeting was answered and the session hasn't ended.
    package var canAnswer: Bool { isReady && failure == nil }

    /// Commands written and not answered, those given up included.
    package var pendingCount: Int { pending.count }

    // MARK: - Commands

    /// Asks for a value; answered by `value`, or by `null`.
    ///
    /// As all commands do, it returns false when the session takes no more: it has ended, too
    /// many commands wait for their answers, or too many bytes for the socket.
    package mutating func get(
        _ key: UnsafeRawBufferPointer,
        token: UInt64,
        at now: Instant,
        deadline: Instant
    ) -> Bool {
        guard hasRoom else { return false }
        unsafe output.appendGet(key)
        expect(.value, token: token, at: now, deadline: deadline)
        return true
    }

    /// Asks for several values at once; answered by an array of `bytes` or `null`, in order.
    ///
    /// `keys` are equally long, one after the other without anything between: as digests are.
    package mutating func getMany(
        _ keys: UnsafeRawBufferPointer,
        keyByteCount: Int,
        token: UInt64,
        at now: Instant,
        deadline: Instant
    ) -> Bool {
        precondition(
            keyByteCount > 0 && keys.count > 0 && keys.count % keyByteCount == 0,
            "MGET needs whole keys, and at least one"
        )
        guard hasRoom else { return false }
        let count = keys.count / keyByteCount
        guard count <= RESPReader.maximumNodes / 2 else { return false }
        output.beginCommand(1 + count)
        output.appendPart("MGET")
        for start in stride(from: 0, to: keys.count, by: keyByteCount) {
            let key = unsafe keys[start..<(start + keyByteCount)]
            unsafe output.appendPart(UnsafeRawBufferPointer(rebasing: key))
        }
        expect(.values(count), token: token, at: now, deadline: deadline)
        return true
    }

    /// Stores a value that expires by itself; answered by a status.
    ///
    /// The value is `header` followed by `body`, so that a header needn't be copied before its body.
    package mutating func set(
        _ key: UnsafeRawBufferPointer,
        header: UnsafeRawBufferPointer,
        body: UnsafeRawBufferPointer,
        expiresInMilliseconds milliseconds: Int,
        token: UInt64,
        at now: Instant,
        deadline: Instant
    ) -> Bool {
        precondition(milliseconds > 0, "Redis refuses a SET that expires at once")
        guard hasRoom, output.count + header.count + body.count <= settings.maximumOutputBytes
        else { return false }
        output.beginCommand(5)
        output.appendPart("SET")
        unsafe output.appendPart(key)
        output.append(byte: 0x24)
        output.append(decimal: header.count + body.count)
        output.append("\r\n")
        unsafe output.append(header)
        unsafe output.append(body)
        output.append("\r\n")
        output.appendPart("PX")
        output.appendPart(text: String(milliseconds))
        expect(.status, token: token, at: now, deadline: deadline)
        return true
    }

    /// Removes keys; answered by how many there were.
    ///
    /// `lazily` is UNLINK, which frees large values on another thread of the server.
    package mutating func remove(
        _ keys: [[UInt8]],
        lazily: Bool,
        token: UInt64,
        at now: Instant,
        deadline: Instant
    ) -> Bool {
        precondition(!keys.isEmpty, "DEL needs at least one key")
        guard hasRoom else { return false }
        output.beginCommand(1 + keys.count)
        if lazily { output.appendPart("UNLINK") } else { output.appendPart("DEL") }
        for key in keys { unsafe key.withUnsafeBytes { unsafe output.appendPart($0) } }
        expect(.count, token: token, at: now, deadline: deadline)
        return true
    }

    /// Asks for one page of the keys that begin with `prefix`, for a purge.
    ///
    /// Begin with cursor `0` and go on with the one each page brings until that is `0`. `count` is
    /// how many keys the server looks at for a page. Answered by an array of the next cursor and
    /// the keys; ``RedisPage`` reads it.
    package mutating func scan(
        cursor: String,
        prefix: String,
        count: Int,
        token: UInt64,
        at now: Instant,
        deadline: Instant
    ) -> Bool {
        guard hasRoom else { return false }
        output.beginCommand(6)
        output.appendPart("SCAN")
        output.appendPart(text: cursor)
        output.appendPart("MATCH")
        output.appendPart(text: RedisPage.pattern(prefix: prefix))
        output.appendPart("COUNT")
        output.appendPart(text: String(count))
        expect(.page, token: token, at: now, deadline: deadline)
        return true
    }

    /// Asks a Sentinel where the master of that name is; answered by an array of host and port, or `null`.
    package mutating func masterAddress(
        of name: String,
        token: UInt64,
        at now: Instant,
        deadline: Instant
    ) -> Bool {
        guard hasRoom else { return false }
        output.beginCommand(3)
        output.appendPart("SENTINEL")
        output.appendPart("GET-MASTER-ADDR-BY-NAME")
        output.appendPart(text: name)
        expect(.address, token: token, at: now, deadline: deadline)
        return true
    }

    /// Asks for a sign of life; answered by a status.
    package mutating func ping(token: UInt64, at now: Instant, deadline: Instant) -> Bool {
        guard hasRoom else { return false }
        output.beginCommand(1)
        output.appendPart("PING")
        expect(.status, token: token, at: now, deadline: deadline)
        return true
    }

    private var hasRoom: Bool {
        failure == nil && !pending.isFull && output.count < settings.maximumOutputBytes
    }

    private mutating func expect(
        _ expectation: RedisExpectation,
        token: UInt64,
        at now: Instant,
        deadline: Instant
    ) {
        // What was answered long ago has nothing to say about when to wake up.
        if pending.count == 0 { nextDeadline = .distantFuture }
        pending.append(
            PendingCommand(token: token, expectation: expectation, sent: now, deadline: deadline)
        )
        nextDeadline = min(nextDeadline, deadline)
    }

    // MARK: - Bytes

    /// What is to be written; valid until the session is next called.
    package var outputBytes: UnsafeRawBufferPointer { unsafe output.bytes }

    /// Notes that the first `count` of ``outputBytes`` have been written.
    package mutating func outputWritten(_ count: Int) { output.consume(count) }

    /// Takes bytes that came; ask ``nextEvent()`` until it is nil before the next call.
    package mutating func receive(_ bytes: UnsafeRawBufferPointer) {
        guard failure == nil else { return }
        do { unsafe try reader.feed(bytes) } catch { end(error) }
    }

    /// Notes that the connection has ended.
    package mutating func connectionEnded() { end(.disconnected) }

    // MARK: - Events

    /// The value of the event that was told last, if that was ``RedisEvent/value(token:)``; valid until
    /// the session is next called.
    package var value: UnsafeRawBufferPointer {
        unsafe reader.value ?? UnsafeRawBufferPointer(start: nil, count: 0)
    }

    /// What happened next, or nil.
    package mutating func nextEvent() -> RedisEvent? {
        while true {
            if nextEventIndex < events.count {
                defer { nextEventIndex += 1 }
                return events[nextEventIndex]
            }
            events.removeAll(keepingCapacity: true)
            nextEventIndex = 0
            guard failure == nil else { return nil }
            do {
                guard try reader.next() else { return nil }
                if unsafe reader.value != nil, let command = pending.oldest,
                    case .value = command.expectation
                {
                    pending.dropOldest()
                    if command.isGivenUp { continue }
                    return .value(token: command.token)
                }
                if let event = match(reader.reply) { return event }
            } catch { end(error) }
        }
    }

    /// The event a reply makes; nil when it makes none, or has ended the session.
    private mutating func match(_ reply: RedisReply) -> RedisEvent? {
        guard let command = pending.oldest, command.expectation.accepts(reply) else {
            end(.unexpectedReply)
            return nil
        }
        pending.dropOldest()
        if command.expectation.isGreeting {
            if let refusal = command.expectation.refusal(in: reply) {
                end(refusal)
                return nil
            }
            greetingsLeft -= 1
            guard greetingsLeft == 0 else { return nil }
            isReady = true
            return .ready
        }
        return command.isGivenUp ? nil : .reply(token: command.token, reply)
    }

    private mutating func end(_ reason: RedisFailure) {
        guard failure == nil else { return }
        failure = reason
        output.removeAll()
        while let command = pending.oldest {
            pending.dropOldest()
            if command.expectation.isGreeting { continue }
            if !command.isGivenUp { events.append(.lost(token: command.token)) }
        }
        events.append(.ended(reason))
    }

    // MARK: - Time

    /// When ``deadlineReached(at:)`` wants to be called; may be early, never late.
    package var deadline: Instant {
        guard failure == nil, let oldest = pending.oldest else { return .distantFuture }
        return min(nextDeadline, oldest.sent.advanced(byNanoseconds: stallNanoseconds))
    }

    /// Gives up commands whose deadline has come, and the session when it is dead.
    ///
    /// A greeting that isn't answered in time ends the session.
    package mutating func deadlineReached(at now: Instant) {
        guard failure == nil, deadline <= now else { return }
        if let oldest = pending.oldest {
            let isGreeting = oldest.expectation.isGreeting
            if oldest.sent.advanced(byNanoseconds: stallNanoseconds) <= now
                || isGreeting && oldest.deadline <= now
            {
                end(.stalled)
                return
            }
        }
        for token in pending.giveUp(at: now) { events.append(.timedOut(token: token)) }
        nextDeadline = pending.earliestDeadline
    }
}
