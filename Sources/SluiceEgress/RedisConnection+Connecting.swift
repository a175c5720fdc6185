import SluiceCore
import SluiceIO
import SluiceRedis
import SluiceTLS

/// Attempts to connect, and the probes that find out when Redis is back.
extension RedisConnection {
    func beginAttempt() {
        if let directory = endpoint.directory { known = directory.current }
        addressesLeft = known.addresses.count
        addressIndex = addressIndex < addressesLeft ? addressIndex : 0
        guard addressesLeft > 0 else {
            counters.failedAttempts += 1
            endpoint.directory?.requestLook()
            waitAfter(known.complaint, "its name is being looked up")
            return
        }
        tryAddress()
    }

    private func tryAddress() {
        addressesLeft -= 1
        let share = endpoint.attemptTimeout.nanoseconds / Int64(known.addresses.count)
        attemptDeadline = loop.now.advanced(byNanoseconds: share)
        do throws(KernelFailure) {
            let stream = try TCPStream(
                loop: loop,
                connectingTo: known.addresses[addressIndex],
                tls: known.tls?.makeSession(
                    serverName: known.serverName ?? endpoint.serverName
                )
            )
            self.stream = stream
            stream.handler = self
            armTimer()
            stream.start()
        } catch {
            attemptFailed(RedisComplaint(.connect, error.description))
        }
    }

    /// Another address is tried at once; otherwise it's time to wait.
    func attemptFailed(_ complaint: RedisComplaint) {
        addressIndex = (addressIndex + 1) % max(1, known.addresses.count)
        if addressesLeft > 0 {
            tryAddress()
        } else {
            counters.failedAttempts += 1
            // The name may lead elsewhere by now, and the password may be another.
            endpoint.directory?.requestLook()
            let told = sentinelTrouble ?? complaint
            waitAfter(told, told.words)
        }
    }

    /// Why no Sentinel says where the master is by now, which is why it isn't found where it was.
    private var sentinelTrouble: RedisComplaint? {
        endpoint.settings.requiresMaster ? endpoint.directory?.current.complaint : nil
    }

    func becameReady() {
        isGreeted = true
        if wasEverGreeted { counters.reconnects += 1 }
        wasEverGreeted = true
        breaker.record(success: true, at: loop.now)
        tellChange(nil)
        receiver.redisRecovered(.connection, at: loop.now)
    }

    /// The session is over; its look-ups have been told.
    func ended(_ failure: RedisFailure) {
        switch failure {
        case .malformed, .tooLarge, .unexpectedReply: counters.nonsense += 1
        case .disconnected, .refused, .stalled, .notMaster: break
        }
        disconnect()
        guard !isClosed else { return }
        let complaint = RedisComplaint(failure, secret: known.password)
        if let leaving {
            self.leaving = nil
            waitAfter(nil, leaving.words)
        } else if isGreeted {
            endpoint.directory?.requestLook()
            waitAfter(complaint, complaint.words)
        } else {
            attemptFailed(complaint)
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

    /// Told as a complaint only where there's one to tell.
    private func waitAfter(_ complaint: RedisComplaint?, _ reason: String) {
        breaker.trip(at: loop.now)
        tellChange(reason)
        if let complaint {
            receiver.redisComplained(complaint, about: .connection, at: loop.now)
        }
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
            token: CommandOrigin.probe.token,
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
