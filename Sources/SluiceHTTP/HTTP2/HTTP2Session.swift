// One HTTP/2 connection without a socket (RFC 9113).
//
// Bytes go in by `receive`, events come out of `nextEvent`, commands append frames to `output`.
// The session reads no clock and never waits. DATA is not held: a frame's payload is handed on
// as it arrives, cut wherever the bytes were cut. Everything else is small and is handled whole.
//
//      input ── preface ── frame header ─┬─ DATA payload ──────────► .data (borrowed)
//                                        ├─ HEADERS, CONTINUATION ─► HPACK ─► .head .trailers
//                                        └─ the small ones ────────► windows, settings, .reset
//
// Sending: DATA that finds window and room is framed at once into `output`; the rest waits in the
// stream and goes out by `pump`, streams taking turns frame by frame. HPACK has state, so heads
// are encoded in the order in which they are written, never earlier.
package import SluiceCore

/// A connection's HTTP/2 state, for either side.
@safe
package struct HTTP2Session: ~Copyable {
    /// Which side of the connection we are.
    package enum Role: Sendable { case server, client }

    enum Reading {
        case preface(Int)
        case frameHeader
        case data(HTTP2Stream, remaining: Int, padding: Int, endStream: Bool)
        case padLength(HTTP2FrameHeader)
        case skip(Int)
        case payload(HTTP2FrameHeader)
        /// After a failure: whatever else arrives is dropped.
        case nothing
    }

    /// What a HEADERS frame began; its CONTINUATION frames may still be to come.
    struct HeaderBlock {
        let streamID: UInt32
        var stream: HTTP2Stream?
        let endStream: Bool
        let isRefused: Bool
        let isSelfDependent: Bool
        var fragments = 1
    }

    let role: Role
    let arena: HTTPArena
    // Two of the arena's pools once more: reaching them through the class counts references.
    let blocks: FieldBlockPool
    let records: Slab
    var coder = HeaderCoder()
    var local: HTTP2Settings
    /// What the peer allows us.
    package internal(set) var remote = HTTP2Settings.assumedOfPeer
    /// Whether the peer's SETTINGS have arrived.
    package internal(set) var hasRemoteSettings = false
    /// Whether the peer has acknowledged ours.
    package internal(set) var isSettingsAcknowledged = false
    /// Frames to be written; the owner writes from the front and consumes.
    package var output: ByteBuffer
    var streams = StreamTable()
    /// How many open streams have had all they get from us, while the peer hasn't ended its side.
    package private(set) var answeredStreamCount = 0

    var input: UnsafeRawBufferPointer
    var reading: Reading
    var partial: ByteBuffer
    /// A header block that needs CONTINUATION frames, and what has arrived of it.
    var headerBlock: HeaderBlock?
    var fragments: ByteBuffer
    var sawFirstFrame = false
    var guardian = AbuseGuard()

    var sendWindow = 65_535
    var receiveWindow = 65_535
    var receiveTarget = 65_535
    var uncredited = 0
    /// The highest stream the peer has opened (server) or we have (client).
    package internal(set) var lastStreamID: UInt32 = 0
    /// Identifiers below ``lastStreamID`` that the peer skipped when it last jumped.
    var skippedIDs: Range<UInt32> = 0..<0
    var goAwaySentLast: UInt32?
    var awaitedPings = 0
    /// Counts frames as they begin; a header block with its continuations is one.
    package internal(set) var fragmentCount: UInt64 = 0
    /// The last stream the peer's GOAWAY allows, once it has sent one.
    package internal(set) var goAwayReceivedLast: UInt32?

    // Streams with pending bytes and window, in turn order.
    var readyHead: UnsafeMutablePointer<HTTP2StreamRecord>?
    var readyTail: UnsafeMutablePointer<HTTP2StreamRecord>?
    // Closed records whose handles may still be in somebody's hands.
    var closed: UnsafeMutablePointer<HTTP2StreamRecord>?
    // Records of lost streams whose owner hasn't been told yet, first lost first.
    var untoldHead: UnsafeMutablePointer<HTTP2StreamRecord>?
    var untoldTail: UnsafeMutablePointer<HTTP2StreamRecord>?
    /// Streams we reset lately; frames for them are ignored, not answered (RFC 9113 §5.1).
    var recentlyReset = RecentStreams()

    /// DATA isn't framed while this many bytes wait to be written.
    static let outputHighWater = 256 << 10
    /// A stream's window after its first refill, when the body turned out to be large.
    static let grownWindow = 1 << 20

    /// A session that has written its preface and SETTINGS to ``output``.
    ///
    /// `connectionWindow` is what the peer may send on all streams together before we pass
    /// some of it on.
    package init(
        role: Role,
        arena: HTTPArena,
        settings: HTTP2Settings = HTTP2Settings(),
        connectionWindow: Int = 16 << 20
    ) {
        precondition(
            (16_384...16_777_215).contains(settings.maxFrameSize)
                && (0...0x7FFF_FFFF).contains(settings.initialWindowSize)
                && connectionWindow <= 0x7FFF_FFFF,
            "settings outside the bounds of RFC 9113 §6.5.2"
        )
        self.role = role
        self.arena = arena
        blocks = arena.blocks
        records = arena.streams
        local = settings
        output = ByteBuffer(pool: arena.buffers)
        partial = ByteBuffer(pool: arena.buffers)
        fragments = ByteBuffer(pool: arena.buffers)
        unsafe input = UnsafeRawBufferPointer(start: nil, count: 0)
        reading = role == .server ? .preface(0) : .frameHeader
        unsafe readyHead = nil
        unsafe readyTail = nil
        unsafe closed = nil
        unsafe untoldHead = nil
        unsafe untoldTail = nil
        if role == .client { output.append("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n") }
        writeSettings()
        if connectionWindow > receiveWindow {
            writeWindowUpdate(0, connectionWindow - receiveWindow)
            receiveWindow = connectionWindow
            receiveTarget = connectionWindow
        }
    }

    deinit {
        for stream in streams.all { HTTP2Session.release(stream, arena) }
        unsafe HTTP2Session.give(closed, arena)
        unsafe HTTP2Session.give(untoldHead, arena)
    }

    // MARK: - State

    // The questions asked once a request are `mutating`: a caller in another module would else
    // make a copy of the whole session to put them.

    /// How many streams are open.
    package var openStreamCount: Int { mutating get { streams.count } }

    /// Every open stream; a walk over the table, for closing and draining.
    package var openStreams: [HTTP2Stream] { streams.all }

    /// What the peer has said that a head may count for at most (``FieldBlock/listSize``); `Int.max` before.
    package var peerHeadListMaximum: Int { remote.maxHeaderListSize }

    /// Whether the client may open another stream now.
    package var canOpenStream: Bool {
        mutating get {
            goAwayReceivedLast == nil && !isFailed && streams.count < remote.maxConcurrentStreams
                && lastStreamID < 0x7FFF_FFFD
        }
    }

    /// Whether the peer has been told to open nothing more, and nothing is open but requests that are
    /// answered and that their client doesn't end.
    package var isFinished: Bool {
        mutating get {
            (goAwaySentLast != nil && goAwaySentLast != 0x7FFF_FFFF || goAwayReceivedLast != nil)
                && streams.count == answeredStreamCount
        }
    }

    /// Whether bytes of a frame, or a header block, have begun and not ended.
    ///
    /// While ``fragmentCount`` stands still it is still the same one.
    package var isMidFrame: Bool {
        mutating get {
            if headerBlock != nil || !partial.isEmpty { return true }
            if case .frameHeader = reading { return false }
            return true
        }
    }

    // MARK: - Events

    /// Hands in bytes from the peer; they must stay valid until ``nextEvent()`` returns nil.
    ///
    /// `now` is any clock's nanoseconds; by it what a peer may send without need is renewed.
    package mutating func receive(_ bytes: UnsafeRawBufferPointer, at now: Int64 = 0) {
        unsafe precondition(input.isEmpty, "the last input has not been read to its end")
        guardian.note(now)
        unsafe input = bytes
    }

    /// The next event, or nil when the input is used up and nothing more can be sent.
    ///
    /// Throws once, when the peer broke the connection's rules; GOAWAY is then in ``output`` and
    /// every open stream is lost.
    package mutating func nextEvent() throws(HTTP2Failure) -> HTTP2Event? {
        reap()
        if let event = tellReset() { return event }
        do {
            if let event = try parse() { return event }
        } catch {
            unsafe input = UnsafeRawBufferPointer(start: nil, count: 0)
            partial.removeAll()
            reading = .nothing
            writeGoAway(last: lastPeerStreamID, error.code)
            throw error
        }
        if let event = tellReset() { return event }
        return isFailed ? nil : pump()
    }

    /// The first reset nobody has been told of; its record may be reaped from here on.
    private mutating func tellReset() -> HTTP2Event? {
        guard let record = unsafe untoldHead, let code = unsafe record.pointee.untoldReset else {
            return nil
        }
        unsafe untoldHead = record.pointee.next
        if unsafe untoldHead == nil { unsafe untoldTail = nil }
        unsafe record.pointee.untoldReset = nil
        unsafe record.pointee.next = closed
        unsafe closed = record
        return unsafe .reset(HTTP2Stream(record), code)
    }

    /// Ends the connection: a peer that hasn't acknowledged our SETTINGS by now never will
    /// (RFC 9113 §6.5.3).
    package mutating func giveUpOnSettings() {
        writeGoAway(last: lastPeerStreamID, .settingsTimeout)
    }

    /// Whether the connection has ended by the peer's mistake.
    var isFailed: Bool {
        if case .nothing = reading { return true }
        return false
    }

    /// Frees the records of closed streams; handles to them are dead from here on.
    package mutating func reap() {
        while let dead = unsafe closed {
            unsafe closed = dead.pointee.next
            unsafe records.give(dead)
        }
    }

    /// The highest stream of the peer's that we have seen, for GOAWAY.
    var lastPeerStreamID: UInt32 { role == .server ? lastStreamID : 0 }

    // MARK: - Streams

    /// The window the peer believes in when a stream begins.
    ///
    /// A client that hasn't read our SETTINGS yet assumes 65,535; its acknowledgement takes what
    /// was too much from the open streams (RFC 9113 §6.9.3).
    private var firstWindow: Int {
        role == .client || isSettingsAcknowledged
            ? local.initialWindowSize : max(65_535, local.initialWindowSize)
    }

    /// Applies those settings of ours that hold once the peer knows them.
    mutating func settingsWereAcknowledged() {
        isSettingsAcknowledged = true
        coder.decoder.limit(to: local.headerTableSize)
        guard role == .server, local.initialWindowSize < 65_535 else { return }
        for stream in streams.all {
            unsafe stream.record.pointee.receiveWindow -= 65_535 - local.initialWindowSize
        }
    }

    /// Takes a record for a stream that begins now.
    mutating func open(_ id: UInt32) -> HTTP2Stream {
        let record = unsafe records.take()
            .bindMemory(to: HTTP2StreamRecord.self, capacity: 1)
        unsafe record.initialize(
            to: HTTP2StreamRecord(
                id: id,
                sendWindow: remote.initialWindowSize,
                receiveWindow: firstWindow,
                receiveTarget: local.initialWindowSize
            )
        )
        let stream = unsafe HTTP2Stream(record)
        streams.insert(stream)
        return stream
    }

    /// Forgets a stream; its record lives until ``reap()``.
    ///
    /// With `telling`, the owner still believes in the stream: the record is kept until the reset
    /// has been told, because other sessions take their records from the same arena.
    mutating func close(_ stream: HTTP2Stream, telling code: HTTP2ErrorCode? = nil) {
        let record = unsafe stream.record
        // What is still arriving for the stream must not find its record in another's hands.
        if case .data(stream, let remaining, let padding, _) = reading {
            reading = .skip(remaining + padding)
        }
        if headerBlock?.stream == stream { headerBlock?.stream = nil }
        if unsafe record.pointee.isLocalClosed, unsafe !record.pointee.isRemoteClosed {
            answeredStreamCount -= 1
        }
        unsafe streams.remove(record.pointee.id)
        if unsafe record.pointee.isQueued { unqueue(stream) }
        if role == .server { unsafe creditConnection(record.pointee.unconsumed) }
        unsafe record.pointee.unconsumed = 0
        if unsafe !record.pointee.pending.isEmpty {
            unsafe record.pointee.pending.release(to: arena.buffers)
        }
        if let trailers = unsafe record.pointee.trailers { blocks.give(trailers) }
        unsafe record.pointee.trailers = nil
        unsafe record.pointee.isLocalClosed = true
        unsafe record.pointee.isRemoteClosed = true
        guard let code else {
            unsafe record.pointee.next = closed
            unsafe closed = record
            return
        }
        unsafe record.pointee.untoldReset = code
        unsafe record.pointee.next = nil
        if let tail = unsafe untoldTail {
            unsafe tail.pointee.next = record
        } else {
            unsafe untoldHead = record
        }
        unsafe untoldTail = record
    }

    private static func give(_ list: UnsafeMutablePointer<HTTP2StreamRecord>?, _ arena: HTTPArena) {
        var record = unsafe list
        while let dead = unsafe record {
            unsafe record = dead.pointee.next
            unsafe arena.streams.give(dead)
        }
    }

    private static func release(_ stream: HTTP2Stream, _ arena: HTTPArena) {
        unsafe stream.record.pointee.pending.release(to: arena.buffers)
        if let trailers = unsafe stream.record.pointee.trailers { arena.blocks.give(trailers) }
        unsafe arena.streams.give(stream.record)
    }

    mutating func closeRemote(_ stream: HTTP2Stream) {
        unsafe stream.record.pointee.isRemoteClosed = true
        if unsafe stream.record.pointee.isLocalClosed {
            answeredStreamCount -= 1
            close(stream)
        }
    }

    mutating func closeLocal(_ stream: HTTP2Stream) {
        unsafe stream.record.pointee.isLocalClosed = true
        if unsafe stream.record.pointee.isRemoteClosed {
            close(stream)
        } else {
            answeredStreamCount += 1
        }
    }
}

/// The last 256 streams that were reset from our side: a full connection at our default limit.
///
/// Takes no memory before the first reset; asked only about streams that are over.
struct RecentStreams {
    private static let countMaximum = 256
    private var ids: [UInt32] = []
    private var next = 0

    mutating func insert(_ id: UInt32) {
        if ids.count < RecentStreams.countMaximum {
            ids.append(id)
        } else {
            ids[next] = id
            next = (next + 1) % RecentStreams.countMaximum
        }
    }

    func contains(_ id: UInt32) -> Bool { ids.contains(id) }
}
