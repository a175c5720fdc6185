// One connection: a descriptor, perhaps TLS over it, and a handler that speaks the protocol.
//
//      connecting ──► handshaking (TLS only) ──► open ──► lingering ──► closed
//
// Reading: one `read` a tick into the loop's shared memory; the handler takes what it wants before
// it returns. Writing: the handler's session owns the waiting bytes; the loop asks for them once a
// tick, so everything said in one tick leaves in one `write`. Pausing reads is how pressure
// travels back to a peer that sends too fast.
package import SluiceCore
package import SluiceTLS

/// Why a stream broke.
package enum StreamFailure: Error, Sendable, CustomStringConvertible {
    /// Connecting failed with this `errno`.
    case connect(Int32)
    /// Reading or writing failed with this `errno`; usually the peer reset the connection.
    case transfer(Int32)
    /// TLS refused to go on.
    case secure(TLSFailure)
    /// The peer closed during the handshake.
    case handshakeAborted

    package var description: String {
        switch self {
        case .connect(let code): "connect failed (\(Machine.describe(errno: code)))"
        case .transfer(let code): "connection broken (\(Machine.describe(errno: code)))"
        case .secure(let failure): "TLS failed (\(failure))"
        case .handshakeAborted: "the peer closed during the TLS handshake"
        }
    }
}

/// What speaks a protocol over a ``TCPStream``.
package protocol StreamHandler: AnyObject {
    /// The connection stands and, with TLS, the handshake is done.
    func streamOpened(_ stream: TCPStream)
    /// Bytes came in; valid during the call only.
    func streamReceived(_ bytes: UnsafeRawBufferPointer)
    /// The peer will send nothing more.
    func streamEnded()
    /// The stream broke and is closed; the last call.
    func streamFailed(_ failure: StreamFailure)
    /// The bytes that wait to be written; valid until the handler is next called.
    var streamOutput: UnsafeRawBufferPointer { get }
    /// That many of ``streamOutput`` have been written.
    func streamWrote(_ count: Int)
    /// From now on output waits for the peer to read (``TCPStream/blockedSince``); nothing else may ever happen.
    func streamBlocked()
}

extension StreamHandler {
    package func streamBlocked() {}
}

/// A non-blocking connection on one loop.
@safe
package final class TCPStream: ReadinessHandler, TimerTarget {
    private enum State { case connecting, handshaking, open, lingering, closed }

    /// The loop it lives on.
    package let loop: EventLoop
    /// Who is at the other end.
    package let peer: SocketAddress
    /// Who speaks over it; the stream keeps it alive until closed.
    package var handler: (any StreamHandler)?
    /// The TLS session, if there is one.
    package let tls: TLSSession?
    /// When output last moved.
    package private(set) var lastProgress: Instant
    /// Since when output has been waiting for the peer to read, if it is.
    package private(set) var blockedSince: Instant?

    private let descriptor: Int32
    /// Whether the connection was made from here, not accepted.
    private let isOurs: Bool
    /// What the loop knows it by, from ``start()`` on.
    private var token: UInt64?
    private var state: State
    private var cipher: ByteBuffer
    private var isDirty = false
    private var wantsRead = true
    private var wantsWrite = false
    private var interest: Interest = []
    private var hasEnded = false
    private var finishesWhenFlushed = false
    /// How long a peer may leave the last output unread.
    private var progressTimeout = Duration.zero
    private var lingerTimer = TimerID.none

    private static let cipherHighWater = 256 << 10
    // How long a finished stream waits for its peer's end.
    private static let lingerTime = Duration.seconds(1)

    /// A connection that was accepted; call ``start()`` once the handler is set.
    package init(loop: EventLoop, accepted descriptor: Int32, peer: SocketAddress, tls: TLSSession?)
    {
        self.loop = loop
        self.descriptor = descriptor
        self.peer = peer
        self.tls = tls
        isOurs = false
        state = tls == nil ? .open : .handshaking
        lastProgress = loop.now
        cipher = ByteBuffer(pool: loop.buffers)
    }

    /// A connection that is being made; call ``start()`` once the handler is set.
    package init(
        loop: EventLoop,
        connectingTo peer: SocketAddress,
        tls: TLSSession?
    )
        throws(KernelFailure)
    {
        self.loop = loop
        self.peer = peer
        self.tls = tls
        isOurs = true
        descriptor = try loop.kernel.connect(to: peer)
        state = .connecting
        lastProgress = loop.now
        cipher = ByteBuffer(pool: loop.buffers)
    }

    /// Begins to watch the descriptor; the loop keeps the stream alive until it is closed.
    package func start() {
        precondition(token == nil && state != .closed, "a stream starts once")
        interest = state == .connecting ? .write : .read
        token = loop.register(self, descriptor: descriptor, for: interest)
        if state == .open { handler?.streamOpened(self) }
        if state == .handshaking { scheduleFlush() }
    }

    // MARK: - What handlers ask for

    /// Asks for ``StreamHandler/streamOutput`` to be written at the tick's end.
    package func scheduleFlush() {
        guard !isDirty, state != .closed else { return }
        isDirty = true
        loop.markDirty(self)
    }

    /// Stops or resumes reading; pressure then reaches the peer through TCP.
    package func setReading(_ isReading: Bool) {
        guard wantsRead != isReading else { return }
        wantsRead = isReading
        scheduleFlush()
    }

    /// Whether the stream is past its end.
    package var isClosed: Bool { state == .closed }

    /// Whether the peer has nothing to say just now, and has neither ended nor broken off.
    ///
    /// Takes nothing of what is there. Costs a system call.
    package var isQuiet: Bool {
        state == .open && !hasEnded && loop.kernel.isQuiet(descriptor)
    }

    /// Writes what waits, says goodbye and closes; reads and drops until the peer has seen it.
    ///
    /// Closing at once while the peer still sends would make the kernel reset the connection and
    /// destroy the last answer on its way. A peer that takes nothing for `progressTimeout` is let go with
    /// its answer unread. From here on the handler hears no more bytes.
    package func finish(progressTimeout: Duration) {
        guard state != .closed, !finishesWhenFlushed else { return }
        finishesWhenFlushed = true
        self.progressTimeout = progressTimeout
        // The handler has done its part and watches no longer.
        lingerTimer = loop.setTimer(after: progressTimeout, target: self, tag: 0)
        scheduleFlush()
    }

    /// Closes at once; the handler is told nothing and let go at the tick's end.
    package func close() { close(resetting: false) }

    /// Closes by a TCP reset, for a peer that would take an ordinary end for a good one.
    package func reset() { close(resetting: true) }

    private func close(resetting: Bool) {
        guard state != .closed else { return }
        state = .closed
        loop.cancelTimer(&lingerTimer)
        if let token { loop.unregister(token, descriptor: descriptor) }
        if resetting { loop.kernel.reset(descriptor) } else { loop.kernel.close(descriptor) }
        cipher.removeAll()
        blockedSince = nil
        letHandlerGo()
    }

    /// The handler's own call may still be on the stack, so the loop keeps it to the tick's end.
    ///
    /// The stream mustn't: handlers hold their streams, and the two would hold each other for ever.
    private func letHandlerGo() {
        if let handler { loop.keepUntilTickEnds(handler) }
        handler = nil
    }

    // MARK: - Readiness

    package func ready(_ readiness: Readiness) {
        if state == .connecting {
            guard readiness.isWritable || readiness.isBroken else { return }
            finishConnecting()
            return
        }
        if readiness.isReadable || (readiness.isBroken && !hasEnded) { readOnce() }
        guard state != .closed else { return }
        if readiness.isWritable {
            scheduleFlush()
        } else if readiness.isBroken && hasEnded {
            fail(.transfer(0))
        }
    }

    package func timerFired(_ tag: UInt, at now: Instant) {
        lingerTimer = .none
        let end = lastProgress + progressTimeout
        if state != .lingering, now < end {
            lingerTimer = loop.setTimer(at: end, target: self, tag: 0)
        } else {
            close()
        }
    }

    private func finishConnecting() {
        if let code = loop.kernel.connectFailure(of: descriptor) {
            fail(.connect(code))
            return
        }
        lastProgress = loop.now
        wantsWrite = false
        if tls == nil {
            state = .open
            updateInterest()
            handler?.streamOpened(self)
        } else {
            state = .handshaking
            beginHandshake()
        }
        scheduleFlush()
    }

    /// Reads what is there, up to the shared memory's size; whether more may be.
    @discardableResult
    private func readOnce() -> Bool {
        switch unsafe loop.kernel.read(descriptor, into: loop.readMemory) {
        case .moved(let count):
            let bytes = unsafe UnsafeRawBufferPointer(rebasing: loop.readMemory[..<count])
            if finishesWhenFlushed { return true }
            if let tls {
                unsafe receiveCipher(bytes, tls)
            } else {
                unsafe handler?.streamReceived(bytes)
            }
            return true
        case .wouldBlock: return false
        case .ended:
            hasEnded = true
            if state == .lingering {
                close()
            } else if state == .handshaking {
                fail(.handshakeAborted)
            } else {
                scheduleFlush()
                handler?.streamEnded()
            }
        case .failed(let code): fail(.transfer(code))
        }
        return false
    }

    private func receiveCipher(_ bytes: UnsafeRawBufferPointer, _ tls: TLSSession) {
        do {
            unsafe try tls.receive(bytes)
            if state == .handshaking { advanceHandshake() }
            guard state == .open else { return }
            while true {
                let count = unsafe try tls.read(into: loop.plainMemory)
                guard count > 0 else { break }
                unsafe handler?.streamReceived(
                    UnsafeRawBufferPointer(rebasing: loop.plainMemory[..<count])
                )
                guard state == .open else { return }
            }
            if tls.peerClosed, !hasEnded {
                hasEnded = true
                handler?.streamEnded()
            }
            scheduleFlush()
        } catch {
            flushAlert(tls)
            fail(.secure(error))
        }
    }

    /// A client speaks first.
    private func beginHandshake() {
        do throws(TLSFailure) {
            try tls?.shakeHands()
        } catch {
            fail(.secure(error))
        }
    }

    private func advanceHandshake() {
        guard let tls else { return }
        scheduleFlush()
        guard tls.isHandshakeComplete else { return }
        state = .open
        handler?.streamOpened(self)
    }

    /// Sends the alert that tells the peer why, as far as the socket takes it.
    private func flushAlert(_ tls: TLSSession) {
        tls.drainOutput(into: &cipher)
        guard !cipher.isEmpty else { return }
        _ = unsafe loop.kernel.write(descriptor, cipher.bytes)
    }

    private func fail(_ failure: StreamFailure) {
        guard state != .closed else { return }
        let handler = handler
        close()
        handler?.streamFailed(failure)
    }

    // MARK: - Writing

    /// Writes what waits; the loop calls it once a tick for each dirty stream.
    func flush() {
        isDirty = false
        guard state != .closed, state != .connecting else { return }
        wantsWrite = false
        let isDone = tls == nil ? flushPlain() : flushSecure()
        guard state != .closed else { return }
        wantsWrite = !isDone
        if isDone {
            blockedSince = nil
            if finishesWhenFlushed { linger() }
        } else if blockedSince == nil {
            blockedSince = loop.now
            handler?.streamBlocked()
        }
        guard state != .closed else { return }
        updateInterest()
    }

    /// The peer takes no more, but what it has said before still counts.
    ///
    /// A server that leaves says which requests it hasn't seen (GOAWAY), or has answered early, and
    /// resets what goes on coming. A client that is gone has nothing to say that needs an answer.
    private func writingFailed(_ code: Int32) {
        while isOurs, state == .open, !hasEnded, readOnce() {}
        fail(.transfer(code))
    }

    private func flushPlain() -> Bool {
        while let handler {
            let output = unsafe handler.streamOutput
            guard unsafe !output.isEmpty else { return true }
            switch unsafe loop.kernel.write(descriptor, output) {
            case .moved(let count):
                lastProgress = loop.now
                let isPartial = count < output.count
                handler.streamWrote(count)
                if isPartial { return false }
                guard state != .closed else { return true }
            case .wouldBlock: return false
            case .ended, .failed(0): return true
            case .failed(let code):
                writingFailed(code)
                return true
            }
        }
        return true
    }

    private func flushSecure() -> Bool {
        guard let tls else { return true }
        do {
            while true {
                if state == .open, cipher.count < TCPStream.cipherHighWater, let handler {
                    let output = unsafe handler.streamOutput
                    if unsafe !output.isEmpty {
                        let taken = unsafe try tls.write(output)
                        if taken > 0 { handler.streamWrote(taken) }
                        guard state != .closed else { return true }
                    } else if finishesWhenFlushed {
                        tls.close()
                    }
                }
                tls.drainOutput(into: &cipher)
                guard !cipher.isEmpty else { return true }
                switch unsafe loop.kernel.write(descriptor, cipher.bytes) {
                case .moved(let count):
                    lastProgress = loop.now
                    cipher.consume(count)
                    if !cipher.isEmpty { return false }
                case .wouldBlock: return false
                case .ended, .failed(0): return true
                case .failed(let code):
                    writingFailed(code)
                    return true
                }
            }
        } catch {
            flushAlert(tls)
            fail(.secure(error))
            return true
        }
    }

    private func linger() {
        guard state != .lingering else { return }
        if hasEnded {
            close()
            return
        }
        state = .lingering
        wantsRead = true
        loop.kernel.shutdownWrite(descriptor)
        loop.cancelTimer(&lingerTimer)
        lingerTimer = loop.setTimer(after: TCPStream.lingerTime, target: self, tag: 0)
        letHandlerGo()
    }

    private func updateInterest() {
        var wanted: Interest = []
        if wantsRead && !hasEnded { wanted.insert(.read) }
        if wantsWrite { wanted.insert(.write) }
        guard wanted != interest, let token else { return }
        interest = wanted
        loop.kernel.rewatch(descriptor, for: wanted, token: token)
    }
}
