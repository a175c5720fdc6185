import SluiceCore
import SluiceHTTP
import SluiceTestKit
import Testing

/// How input is cut into pieces on its way in.
enum Cut: Sendable, CustomTestStringConvertible {
    case whole
    case bytewise
    case random(seed: UInt64)
    case at(Int)

    func fragments(of bytes: [UInt8]) -> [ArraySlice<UInt8>] {
        switch self {
        case .whole: return [bytes[...]]
        case .bytewise: return bytes.indices.map { bytes[$0...$0] }
        case .at(let position):
            let position = min(position, bytes.count)
            return [bytes[..<position], bytes[position...]]
        case .random(let seed):
            var random = RandomSource(seed: seed)
            var fragments: [ArraySlice<UInt8>] = []
            var start = 0
            while start < bytes.count {
                // Short cuts find the seams, long ones get on.
                let bound = random.next(below: 3) == 0 ? 4000 : 12
                let end = min(bytes.count, start + 1 + random.next(below: bound))
                fragments.append(bytes[start..<end])
                start = end
            }
            return fragments
        }
    }

    var testDescription: String { "\(self)" }
}

/// A session of ours with an owner that keeps books.
///
/// It writes down every event, checks what must hold after each, gives every block back and feeds
/// bodies in chunks, one at a time, as the gateway does.
@safe
final class TestSession {
    enum Event: Equatable {
        case head(UInt32, [HeaderField], end: Bool)
        case oversizedHead(UInt32, end: Bool)
        case interim(UInt32, [HeaderField])
        case data(UInt32, [UInt8], end: Bool)
        case trailers(UInt32, [HeaderField])
        case reset(UInt32, HTTP2ErrorCode)
        case goAway(UInt32, HTTP2ErrorCode)
        case settings
        case failed(HTTP2ErrorCode)
    }

    struct Outgoing {
        var bytes: [UInt8]
        var trailers: [HeaderField]?
        var offset = 0
        var drained = 0
        var sentAtOnce = 0
    }

    let arena: HTTPArena
    var session: HTTP2Session
    var events: [Event] = []
    var messages: [UInt32: ReceivedMessage] = [:]
    var streams: [UInt32: HTTP2Stream] = [:]
    var outgoing: [UInt32: Outgoing] = [:]
    var failure: HTTP2Failure?
    /// Bytes delivered but kept, where ``consumesAtOnce`` is false.
    var unconsumed: [UInt32: Int] = [:]
    var consumesAtOnce = true
    var chunk = 64 << 10
    /// Every byte that came in, for a second session to hear.
    var heard: [UInt8] = []
    var onEvent: (TestSession, Event) -> Void = { _, _ in }
    var violations: [String] = []

    init(
        _ role: HTTP2Session.Role,
        settings: HTTP2Settings = HTTP2Settings(),
        connectionWindow: Int = 16 << 20,
        arena: HTTPArena = HTTPArena()
    ) {
        self.arena = arena
        session = HTTP2Session(
            role: role,
            arena: arena,
            settings: settings,
            connectionWindow: connectionWindow
        )
    }

    // The session can't be copied, so `#expect` asks here.
    var openStreamCount: Int { session.openStreamCount }
    var isFinished: Bool { session.isFinished }
    var isMidFrame: Bool { session.isMidFrame }
    var canOpenStream: Bool { session.canOpenStream }
    var isSettingsAcknowledged: Bool { session.isSettingsAcknowledged }
    var remote: HTTP2Settings { session.remote }
    var outputCount: Int { session.output.count }

    // MARK: - The line

    func receive(_ bytes: [UInt8], cut: Cut = .whole, at now: Int64 = 0) {
        heard += bytes
        for fragment in cut.fragments(of: bytes) {
            unsafe fragment.withUnsafeBytes { bytes in
                unsafe session.receive(bytes, at: now)
                drainEvents()
            }
        }
    }

    /// At most `maximum` bytes of output, as a socket with little room takes them.
    func takeOutput(maximum: Int = .max) -> [UInt8] {
        let bytes = unsafe [UInt8](session.output.bytes.prefix(maximum))
        session.output.consume(bytes.count)
        drainEvents()
        return bytes
    }

    /// Works through all events there are.
    func drainEvents() {
        do throws(HTTP2Failure) {
            while let event = try session.nextEvent() { note(event) }
        } catch {
            if failure != nil { violations.append("failed twice") }
            failure = error
            events.append(.failed(error.code))
        }
    }

    private func note(_ event: HTTP2Event) {
        switch event {
        case .head(let stream, let block, let end):
            let fields = take(block)
            streams[stream.id] = stream
            messages[stream.id, default: ReceivedMessage()].head = fields
            add(.head(stream.id, fields, end: end), stream, ends: end)
        case .oversizedHead(let stream, let block, let end):
            _ = take(block)
            streams[stream.id] = stream
            messages[stream.id] = ReceivedMessage()
            add(.oversizedHead(stream.id, end: end), stream, ends: end)
        case .interim(let stream, let block):
            let fields = take(block)
            messages[stream.id, default: ReceivedMessage()].interims.append(fields)
            add(.interim(stream.id, fields), stream)
        case .data(let stream, let bytes, let end):
            expectKnown(stream, "data")
            let copy = unsafe [UInt8](bytes)
            messages[stream.id]?.body += copy
            if consumesAtOnce {
                session.consumed(copy.count, by: stream)
            } else {
                unconsumed[stream.id, default: 0] += copy.count
            }
            if case .data(stream.id, let before, false) = events.last {
                events.removeLast()
                events.append(.data(stream.id, before + copy, end: end))
                finish(stream, ends: end)
                onEvent(self, .data(stream.id, copy, end: end))
            } else {
                add(.data(stream.id, copy, end: end), stream, ends: end)
            }
        case .trailers(let stream, let block):
            expectKnown(stream, "trailers")
            let fields = take(block)
            messages[stream.id]?.trailers = fields
            add(.trailers(stream.id, fields), stream, ends: true)
        case .reset(let stream, let code):
            expectKnown(stream, "reset")
            let id = stream.id
            messages[id]?.resetCode = code.rawValue
            streams[id] = nil
            outgoing[id] = nil
            events.append(.reset(id, code))
            onEvent(self, .reset(id, code))
        case .drained(let stream, let count):
            expectKnown(stream, "drained")
            let id = stream.id
            outgoing[id]?.drained += count
            forgetIfOver(stream)
            feed(id)
        case .goAway(let last, let code):
            events.append(.goAway(last, code))
            onEvent(self, .goAway(last, code))
        case .settings:
            events.append(.settings)
            onEvent(self, .settings)
        }
    }

    private func add(_ event: Event, _ stream: HTTP2Stream, ends: Bool = false) {
        events.append(event)
        finish(stream, ends: ends)
        onEvent(self, event)
    }

    private func finish(_ stream: HTTP2Stream, ends: Bool) {
        guard ends else { return }
        messages[stream.id]?.isComplete = true
        if !stream.isRemoteClosed { violations.append("ended but open: \(stream.id)") }
        forgetIfOver(stream)
    }

    private func expectKnown(_ stream: HTTP2Stream, _ what: String) {
        guard streams[stream.id] == stream else {
            violations.append("\(what) for a stream nobody knows: \(stream.id)")
            return
        }
    }

    private func forgetIfOver(_ stream: HTTP2Stream) {
        guard stream.isLocalClosed, stream.isRemoteClosed else { return }
        streams[stream.id] = nil
        unconsumed[stream.id] = nil
    }

    // MARK: - Speaking

    /// The fields of a block, which goes back to its pool.
    private func take(_ block: FieldBlock) -> [HeaderField] {
        defer { arena.blocks.give(block) }
        return (0..<block.count).map { index in
            let field = block[index]
            return unsafe HeaderField(
                String(decoding: block.name(of: field), as: UTF8.self),
                String(decoding: block.value(of: field), as: UTF8.self)
            )
        }
    }

    func block(_ fields: [HeaderField]) -> FieldBlock {
        let block = arena.blocks.take()
        for field in fields { block.append(named: field.name, text: field.value) }
        return block
    }

    @discardableResult
    func request(
        _ head: [HeaderField],
        body: [UInt8]? = nil,
        trailers: [HeaderField]? = nil
    ) -> UInt32? {
        let end = body == nil && trailers == nil
        let made = unsafe session.openStream(block(head), endStream: end, context: nil)
        guard let stream = made else { return nil }
        streams[stream.id] = stream
        if !end { send(stream.id, body ?? [], trailers) }
        return stream.id
    }

    /// Opens a stream and says no more than its head.
    func open(_ head: [HeaderField]) -> UInt32? {
        let made = unsafe session.openStream(block(head), endStream: false, context: nil)
        guard let stream = made else { return nil }
        streams[stream.id] = stream
        return stream.id
    }

    func respond(
        _ id: UInt32,
        _ head: [HeaderField],
        body: [UInt8]? = nil,
        trailers: [HeaderField]? = nil
    ) {
        guard let stream = streams[id] else { return }
        let end = body == nil && trailers == nil
        session.sendHead(block(head), endStream: end, on: stream)
        forgetIfOver(stream)
        if !end { send(id, body ?? [], trailers) }
    }

    func interim(_ id: UInt32, _ head: [HeaderField]) {
        guard let stream = streams[id] else { return }
        session.sendHead(block(head), endStream: false, on: stream)
    }

    func send(_ id: UInt32, _ body: [UInt8], _ trailers: [HeaderField]?) {
        outgoing[id] = Outgoing(bytes: body, trailers: trailers)
        feed(id)
    }

    /// Hands on the next chunks while nothing waits in the stream.
    private func feed(_ id: UInt32) {
        while var source = outgoing[id], let stream = streams[id] {
            guard stream.pendingCount == 0, !stream.isLocalClosed else { return }
            let end = min(source.offset + chunk, source.bytes.count)
            let fragment = source.bytes[source.offset..<end]
            let isLast = end == source.bytes.count
            source.offset = end
            outgoing[id] = source
            let sent = unsafe fragment.withUnsafeBytes {
                unsafe session.send($0, endStream: isLast && source.trailers == nil, on: stream)
            }
            outgoing[id]?.sentAtOnce += sent
            if isLast {
                if let trailers = source.trailers {
                    session.sendTrailers(block(trailers), on: stream)
                }
                forgetIfOver(stream)
                // Another send would be a mistake of ours: the side has ended.
                if stream.pendingCount == 0 { return }
                return
            }
            if stream.pendingCount > chunk { violations.append("pending beyond one chunk") }
        }
    }

    func reset(_ id: UInt32, _ code: HTTP2ErrorCode) {
        guard let stream = streams.removeValue(forKey: id) else { return }
        session.reset(stream, code)
        outgoing[id] = nil
        unconsumed[id] = nil
    }

    func consume(_ count: Int, _ id: UInt32) {
        guard let stream = streams[id], let kept = unconsumed[id] else { return }
        let count = min(count, kept)
        unconsumed[id] = kept - count
        session.consumed(count, by: stream)
    }

    // MARK: - What a request and a response look like

    static func get(_ path: String = "/") -> [HeaderField] {
        [
            HeaderField(":method", "GET"), HeaderField(":scheme", "http"),
            HeaderField(":authority", "sluice.test"), HeaderField(":path", path),
        ]
    }

    static func post(_ path: String = "/", length: Int? = nil) -> [HeaderField] {
        var fields = get(path)
        fields[0].value = "POST"
        if let length { fields.append(HeaderField("content-length", "\(length)")) }
        return fields
    }

    static func status(_ code: Int, _ more: [HeaderField] = []) -> [HeaderField] {
        [HeaderField(":status", "\(code)")] + more
    }

    /// Bytes in which a lost, doubled or moved piece shows.
    static func body(_ count: Int, seed: UInt64 = 1) -> [UInt8] {
        var random = RandomSource(seed: seed)
        return (0..<count).map { _ in UInt8(truncatingIfNeeded: random.next()) }
    }
}

/// Carries bytes both ways until both sides are silent.
func exchange(
    _ ours: TestSession,
    _ peer: NghttpPeer,
    cut: Cut = .whole,
    hearing: ([UInt8], _ fromPeer: Bool) -> Void = { _, _ in }
) {
    while true {
        let out = ours.takeOutput()
        hearing(out, false)
        for fragment in cut.fragments(of: out) { peer.receive(Array(fragment)) }
        let back = peer.takeOutput()
        hearing(back, true)
        ours.receive(back, cut: cut)
        if out.isEmpty && back.isEmpty { return }
    }
}
