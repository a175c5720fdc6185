import SluiceCore
import SluiceIO
import SluiceRedis

/// Attempts to connect, and the probes that find out when Redis is back.
extension RedisConnection {
    func beginAttempt() {
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
    func attemptFailed(_ reason: String) {
        addressIndex = (addressIndex + 1) % endpoint.addresses.count
        if addressesLeft > 0 {
            tryAddress()
        } else {
            counters.failedAttempts += 1
            waitAfter(reason)
        }
    }

    func becameReady() {
        isGreeted = true
        if wasEverGreeted { counters.reconnects += 1 }
        wasEverGreeted = true
        breaker.record(success: true, at: loop.now)
        tellChange(nil)
    }

    /// The session is over; its look-ups have been told.
    func ended(_ failure: RedisFailure) {
        switch failure {
        case .malformed, .tooLarge, .unexpectedReply: counters.nonsense += 1
        case .disconnected, .refused, .stalled: break
        }
        disconnect()
        guard !isClosed else { return }
        if isGreeted {
            waitAfter(failure.description)
        } else {
            attemptFailed(failure.description)
        }
        endPurge(isComplete: false)
    }

    func disconnect() {
        hasSession = false
        session = RedisSession(over: endpoint.settings, pool: loop.buffers)
        stream?.close()
        stream = nil
        loop.cancelTimer(&timer)
        timerDeadline = .distantFuture
        isPostponed = false
    }

    private func waitAfter(_ reason: String) {
        breaker.trip(at: loop.now)
        tellChange(reason)
        scheduleProbe()
    }

    // MARK: - Probing

    func scheduleProbe() {
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
    func probe(at now: Instant) {
        guard breaker.startProbe(at: now) else {
            scheduleProbe()
            return
        }
        guard hasSession else {
            beginAttempt()
            return
        }
        let isTaken = session.ping(
            token: RedisAsker.probe.token,
            at: now,
            deadline: .distantFuture
        )
        if isTaken {
            sendSoon()
        } else {
            session.connectionEnded()
            drain()
        }
    }

    func probeAnswered(_ reply: RedisReply) {
        var isAnswer = true
        if case .error = reply { isAnswer = false }
        breaker.record(success: isAnswer, at: loop.now)
        scheduleProbe()
        tellChange("the probe was answered by an error")
    }
}
