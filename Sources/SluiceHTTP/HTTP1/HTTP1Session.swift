package import SluiceCore

// One exchange at a time, each side of it a small machine:
//
//   reading   head ─→ length | untilClose ──────────────────────────────┐
//              ↑  └─→ chunkSize ⇄ chunkData → chunkEnd, chunkSize → trailers ─→ done
//              └────────────────── when writing is done as well ────────┘
//   writing   idle → head → length | chunked | untilClose | nothing → done
//
// A server's session is moved from idle to head by a request, a client's by `sendRequest`. When
// both sides are done they return to the left together, or the connection is to be closed. What
// ends badly goes to `lost`, where reading discards and writing swallows.

/// An HTTP/1.1 connection's state, for either side.
///
/// Framing is the session's own in both directions: what the peer said about it is checked and
/// consumed, and what is written is decided here. Source: RFC 9112.
@safe
package struct HTTP1Session: ~Copyable {
    /// Which side of the connection we are.
    package enum Role: Sendable { case server, client }

    enum Reading {
        case head
        case length(remaining: Int)
        case untilClose
        case chunkSize
        case chunkData(remaining: Int)
        case chunkEnd(seen: Int)
        case trailers
        case done
        case lost
    }

    enum Writing {
        case idle
        case head
        case length(remaining: Int)
        case chunked
        case untilClose
        case nothing
        case done
        case lost
    }

    let role: Role
    let arena: HTTPArena
    let maxHeadBytes: Int
    let isSecure: Bool
    /// Bytes to be written; the owner writes from the front and consumes.
    package var output: ByteBuffer

    var reading = Reading.head
    var writing = Writing.idle
    var input: UnsafeRawBufferPointer
    /// Whether `input` lies in `stash`.
    var isReplaying = false
    /// Requests that came before the answer to the one before them.
    var stash: ByteBuffer
    /// A line whose end hasn't arrived yet, or that was put together there.
    var partial: ByteBuffer
    var hasWholeLine = false

    var head = HTTP1Head()
    var block: FieldBlock?
    var hasSkippedLine = false
    var interimCount = 0
    /// Bytes of chunk extensions and of chunks in this message.
    var extensionBytes = 0
    var chunkBytes = 0

    /// The `x` of the peer's HTTP/1.x, in the current exchange or the last.
    var peerMinorVersion = 1
    /// Whether the current exchange's method is HEAD.
    var isHeadExchange = false
    var isPersistent = true
    var isLastExchange = false
    /// Whether the peer has said that its current message is its last, or speaks HTTP/1.0.
    ///
    /// A server's peer may then close its sending side and still read the answer.
    package internal(set) var isRequestTheLast = false
    var hasPeerEnded = false
    /// Bytes of ours that weren't accepted at once and haven't been reported since.
    var owed = 0

    /// Whether the request waits for a 100 (Continue) before it sends its body.
    package internal(set) var expectsContinue = false
    /// Whether the connection must be closed once ``output`` has drained.
    package internal(set) var shouldClose = false
    /// Whether the body we were given can't be what its `content-length` promised.
    ///
    /// The message stays incomplete on the wire, so that the peer takes it for the failure it is
    /// when the owner closes the connection.
    package internal(set) var bodyMismatch = false
    /// Why the request we were given can't be written; thrown by the next ``nextEvent()``.
    var refusal: HTTP1Failure?

    /// More than this in ``output``, and what is sent counts as owed.
    package static let outputHighWater = 256 << 10
    /// Owed bytes are reported when ``output`` has fallen below this.
    package static let outputLowWater = 128 << 10
    /// Interim responses to one request, at most.
    static let interimMaximum = 32

    /// A session that has said nothing yet.
    ///
    /// `maxHeadBytes` bounds a head, and a trailer section, as it stands on the wire. With
    /// `isSecure` received requests carry the scheme `https`.
    package init(
        role: Role,
        arena: HTTPArena,
        maxHeadBytes: Int = 64 << 10,
        isSecure: Bool = false
    ) {
        self.role = role
        self.arena = arena
        self.maxHeadBytes = maxHeadBytes
        self.isSecure = isSecure
        output = ByteBuffer(pool: arena.buffers)
        stash = ByteBuffer(pool: arena.buffers)
        partial = ByteBuffer(pool: arena.buffers)
        unsafe input = unsafe UnsafeRawBufferPointer(start: nil, count: 0)
    }

    deinit {
        if let block { arena.blocks.give(block) }
    }

    // MARK: - State

    // The questions asked of every exchange are `mutating`: a caller in another module would else
    // make a copy of the whole session to put them.

    /// Whether the session can use more bytes from the socket.
    ///
    /// False while a pipelined request waits for the answer before it: reading on would only
    /// pile up requests.
    package var wantsInput: Bool { mutating get { stash.isEmpty || isReplaying } }

    /// Whether no exchange is under way and no part of a head has arrived.
    ///
    /// A client's connection may then be reused; a server's is between requests.
    package var isIdle: Bool {
        mutating get {
            guard case .head = reading, case .idle = writing else { return false }
            return unsafe !isReceivingHead && stash.isEmpty && input.isEmpty && owed == 0
                && !shouldClose
        }
    }

    /// Whether some bytes of a head have arrived but not all.
    package var isReceivingHead: Bool {
        mutating get {
            guard case .head = reading else { return false }
            return head.byteCount > 0 || !partial.isEmpty
        }
    }

    /// Whether all of the body that a head has just announced lies there to be read.
    package var hasWholeBody: Bool {
        mutating get {
            guard case .length(let remaining) = reading else { return false }
            return unsafe input.count >= remaining
        }
    }

    /// Whether a request has begun and nothing of its answer has been written.
    package var owesWholeAnswer: Bool {
        mutating get { if case .head = writing { true } else { false } }
    }

    /// Whether the end of the connection will be the end of the answer under way.
    package var endsByClosing: Bool {
        mutating get { if case .untilClose = writing { true } else { false } }
    }

    /// Makes the current exchange the connection's last; an idle connection is to be closed.
    ///
    /// A response head that is still to be written says `connection: close` (RFC 9112 §9.6).
    package mutating func closeAfterThisExchange() {
        if isIdle {
            shouldClose = true
            reading = .lost
        }
        isLastExchange = true
    }

    // MARK: - Events

    /// Hands in bytes from the peer; they must stay valid until ``nextEvent()`` returns nil.
    package mutating func receive(_ bytes: UnsafeRawBufferPointer) {
        unsafe precondition(input.isEmpty, "the last input has not been read to its end")
        if stash.isEmpty { unsafe input = unsafe bytes } else { unsafe stash.append(bytes) }
    }

    /// Tells the session that the peer has closed its side; ask ``nextEvent()`` afterwards.
    ///
    /// That ends a response delimited by closing. Throws ``HTTP1Failure/Kind/truncated`` when
    /// any other message was under way, or a client still waits for its response. A server's
    /// peer may close its side and wait for the answer.
    package mutating func receiveEnd() throws(HTTP1Failure) {
        unsafe precondition(input.isEmpty, "the last input has not been read to its end")
        hasPeerEnded = true
        guard stash.isEmpty else { return }
        do { try endReading() } catch {
            lose()
            throw role == .client ? error.ofResponse : error
        }
    }

    /// The next event, or nil when the input is used up.
    ///
    /// A server's session doesn't look at a further request before the response to the one under
    /// way has been sent; ask again then, without new input. Throws once, when the peer broke
    /// the rules: a server may still answer with the failure's status if it hasn't answered yet,
    /// and then closes.
    package mutating func nextEvent() throws(HTTP1Failure) -> HTTP1Event? {
        if owed > 0, output.count < HTTP1Session.outputLowWater {
            let count = owed
            owed = 0
            return .drained(count)
        }
        if let refusal {
            self.refusal = nil
            lose()
            throw refusal
        }
        do throws(HTTP1Failure) {
            if unsafe input.isEmpty, !stash.isEmpty, canBegin {
                // A replay whose last request has been answered is over; it mustn't begin again.
                if isReplaying {
                    keepInput()
                } else {
                    unsafe input = unsafe stash.bytes
                    isReplaying = true
                }
            }
            if let event = try parse() { return event }
            keepInput()
            if hasPeerEnded, stash.isEmpty { try endReading() }
            return nil
        } catch {
            lose()
            throw role == .client ? error.ofResponse : error
        }
    }

    /// Whether a server's session may look at the next request.
    var canBegin: Bool {
        guard case .idle = writing else { return false }
        return owed == 0 && !shouldClose
    }

    /// Keeps what the input still holds; its memory is about to go.
    private mutating func keepInput() {
        if isReplaying {
            unsafe stash.consume(stash.count - input.count)
            isReplaying = false
        } else {
            unsafe stash.append(input)
        }
        unsafe input = unsafe UnsafeRawBufferPointer(start: nil, count: 0)
    }

    private mutating func endReading() throws(HTTP1Failure) {
        switch reading {
        case .head:
            if case .idle = writing, !isReceivingHead {
                shouldClose = true
                reading = .lost
            } else if role == .client, !isReceivingHead {
                throw HTTP1Failure(.truncated, "the connection ended before the response")
            } else {
                throw HTTP1Failure(.truncated, "the connection ended in the middle of a head")
            }
        case .untilClose, .done, .lost: break
        default: throw HTTP1Failure(.truncated, "the connection ended in the middle of a body")
        }
    }

    /// Gives up on the peer's side of the connection.
    private mutating func lose() {
        reading = .lost
        unsafe input = unsafe UnsafeRawBufferPointer(start: nil, count: 0)
        isReplaying = false
        stash.removeAll()
        partial.removeAll()
        if let block {
            arena.blocks.give(block)
            self.block = nil
        }
        isPersistent = false
        expectsContinue = false
        shouldClose = true
        if role == .client {
            writing = .lost
        } else if case .idle = writing {
            // The owner may still say what was wrong.
            writing = .head
            isHeadExchange = false
            peerMinorVersion = head.minorVersion
        }
    }

    // MARK: - The end of an exchange

    /// Notes that the peer's message is complete.
    mutating func finishReading() {
        reading = .done
        expectsContinue = false
        if role == .client, !isWritingDone {
            // Nobody will read the rest of our request (RFC 9112 §9.3).
            shouldClose = true
            writing = .lost
            reading = .lost
        } else {
            finishExchange()
        }
    }

    /// Notes that our message is complete.
    mutating func finishWriting() {
        writing = .done
        if role == .server, !isReadingDone {
            // The rest of the request would have to be read to find the next (RFC 9112 §9.3).
            shouldClose = true
            reading = .lost
            expectsContinue = false
        } else {
            finishExchange()
        }
    }

    var isReadingDone: Bool {
        if case .done = reading { return true }
        return false
    }

    private var isWritingDone: Bool {
        if case .done = writing { return true }
        return false
    }

    private mutating func finishExchange() {
        guard isReadingDone, isWritingDone else { return }
        let hasMore = unsafe !input.isEmpty || (!stash.isEmpty && !isReplaying)
        if isPersistent, !isLastExchange, !hasPeerEnded || hasMore {
            reading = .head
            writing = .idle
        } else {
            shouldClose = true
            reading = .lost
            if !isReplaying { stash.removeAll() }
        }
        head = HTTP1Head()
        hasSkippedLine = false
        interimCount = 0
    }
}
