import SluiceCore
import SluiceHTTP

/// What a session reported, in a form that doesn't depend on how its input was cut.
enum HTTP1Heard: Equatable, CustomStringConvertible {
    case head([String])
    case interim([String])
    case body(String)
    case trailers([String])
    case end
    case drained(Int)
    case failure(HTTP1Failure.Kind, Int)

    var description: String {
        switch self {
        case .head(let fields): "head(\(fields.joined(separator: " | ")))"
        case .interim(let fields): "interim(\(fields.joined(separator: " | ")))"
        case .body(let text): "body(\(text))"
        case .trailers(let fields): "trailers(\(fields.joined(separator: " | ")))"
        case .end: "end"
        case .drained(let count): "drained(\(count))"
        case .failure(let kind, let status): "failure(\(kind), \(status))"
        }
    }
}

/// A session in a test's hands: bytes in, what it said and wrote out.
final class HTTP1TestSession {
    let arena: HTTPArena
    var session: HTTP1Session
    let role: HTTP1Session.Role
    private(set) var heard: [HTTP1Heard] = []
    /// Called after each event; may send.
    var onEvent: (HTTP1TestSession, HTTP1Heard) -> Void = { _, _ in }

    init(
        _ role: HTTP1Session.Role,
        maxHeadBytes: Int = 64 << 10,
        isSecure: Bool = false,
        arena: HTTPArena = HTTPArena()
    ) {
        self.role = role
        self.arena = arena
        session = HTTP1Session(
            role: role,
            arena: arena,
            maxHeadBytes: maxHeadBytes,
            isSecure: isSecure
        )
    }

    /// A server that answers each request at its end with an empty 200.
    static func answering(isSecure: Bool = false, maxHeadBytes: Int = 64 << 10) -> HTTP1TestSession
    {
        let server = HTTP1TestSession(.server, maxHeadBytes: maxHeadBytes, isSecure: isSecure)
        server.onEvent = { server, heard in
            if heard == .end { server.respond([":status: 200"]) }
        }
        return server
    }

    /// A client that has sent requests with these methods, each after the response before it.
    static func asking(_ methods: [String]) -> HTTP1TestSession {
        let client = HTTP1TestSession(.client)
        var rest = methods[1...]
        client.request(method: methods[0])
        client.onEvent = { client, heard in
            if heard == .end, client.session.isIdle, let method = rest.popFirst() {
                client.request(method: method)
            }
        }
        return client
    }

    // MARK: - In

    func receive(_ bytes: [UInt8]) {
        // A copy of its own, so that a session that keeps a pointer too long is caught.
        let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: bytes.count, alignment: 1)
        unsafe memory.copyBytes(from: bytes)
        unsafe session.receive(UnsafeRawBufferPointer(memory))
        pump()
        unsafe memory.initializeMemory(as: UInt8.self, repeating: 0xEE)
        unsafe memory.deallocate()
    }

    func receive(_ text: String) { receive(Array(text.utf8)) }

    func receiveEnd() {
        do throws(HTTP1Failure) { try session.receiveEnd() } catch { note(error) }
        pump()
    }

    /// Reads events until there are none.
    func pump() {
        do throws(HTTP1Failure) {
            while let event = try session.nextEvent() { take(event) }
        } catch {
            note(error)
        }
    }

    private func note(_ failure: HTTP1Failure) {
        hear(.failure(failure.kind, failure.status))
    }

    private func take(_ event: HTTP1Event) {
        switch event {
        case .head(let block, let endStream):
            hear(.head(lines(block)))
            if endStream { hear(.end) }
        case .interim(let block): hear(.interim(lines(block)))
        case .data(let bytes, let endStream):
            let text = unsafe String(decoding: bytes, as: UTF8.self)
            if case .body(let before) = heard.last {
                heard[heard.count - 1] = .body(before + text)
            } else if !text.isEmpty {
                hear(.body(text))
            }
            if endStream { hear(.end) }
        case .trailers(let block):
            hear(.trailers(lines(block)))
            hear(.end)
        case .drained(let count): hear(.drained(count))
        }
    }

    private func hear(_ item: HTTP1Heard) {
        heard.append(item)
        onEvent(self, item)
    }

    private func lines(_ block: FieldBlock) -> [String] {
        var lines: [String] = []
        for index in 0..<block.count where !block[index].isRemoved {
            let name = unsafe String(decoding: block.name(of: block[index]), as: UTF8.self)
            let value = unsafe String(decoding: block.value(of: block[index]), as: UTF8.self)
            lines.append("\(name): \(value)")
        }
        arena.blocks.give(block)
        return lines
    }

    // MARK: - Out

    func block(_ lines: [String]) -> FieldBlock {
        let block = arena.blocks.take()
        for line in lines {
            // A pseudo-field's name begins with a colon of its own.
            let colon = line.dropFirst().firstIndex(of: ":") ?? line.endIndex
            block.append(
                named: String(line[..<colon]),
                text: String(line[colon...].dropFirst(2))
            )
        }
        return block
    }

    func respond(_ lines: [String], endStream: Bool = true) {
        session.sendHead(block(lines), endStream: endStream)
    }

    func request(_ lines: [String], endStream: Bool = true) {
        session.sendRequest(block(lines), endStream: endStream)
    }

    func request(method: String, endStream: Bool = true) {
        request(
            [":method: \(method)", ":scheme: http", ":authority: a.example", ":path: /"],
            endStream: endStream
        )
    }

    @discardableResult
    func send(_ text: String, endStream: Bool = false) -> Int {
        var text = text
        return text.withUTF8 {
            unsafe session.send(UnsafeRawBufferPointer($0), endStream: endStream)
        }
    }

    var isIdle: Bool { session.isIdle }
    var shouldClose: Bool { session.shouldClose }
    var wantsInput: Bool { session.wantsInput }
    var isReceivingHead: Bool { session.isReceivingHead }
    var expectsContinue: Bool { session.expectsContinue }
    var bodyMismatch: Bool { session.bodyMismatch }
    var outputCount: Int { session.output.count }
    var hasWrittenNothing: Bool { session.output.isEmpty }

    func trailers(_ lines: [String]) { session.sendTrailers(block(lines)) }

    /// Takes what the session has written.
    func written() -> [UInt8] {
        let bytes = unsafe [UInt8](session.output.bytes)
        session.output.consume(bytes.count)
        return bytes
    }

    func writtenText() -> String { String(decoding: written(), as: UTF8.self) }
}

/// All ways a test cuts `bytes`: whole, byte by byte, and in two at each position.
func http1Cuts(_ bytes: [UInt8]) -> [[[UInt8]]] {
    var cuts = [[bytes], bytes.map { [$0] }]
    for place in 1..<max(1, bytes.count) {
        cuts.append([Array(bytes[..<place]), Array(bytes[place...])])
    }
    return cuts
}

/// What a fresh session hears of `wire`, for each way to cut it; all must be equal.
///
/// Returns what it heard when fed whole, and a description of the first cut that differed.
func http1Hear(
    _ wire: String,
    thenEnd: Bool = false,
    _ make: () -> HTTP1TestSession
) -> (heard: [HTTP1Heard], difference: String?) {
    var whole: [HTTP1Heard]?
    for cut in http1Cuts(Array(wire.utf8)) {
        let test = make()
        for fragment in cut { test.receive(fragment) }
        if thenEnd { test.receiveEnd() }
        guard let expected = whole else {
            whole = test.heard
            continue
        }
        if test.heard != expected {
            return (expected, "cut \(cut.map(\.count)): \(test.heard) instead of \(expected)")
        }
        if test.arena.blocks.liveCount > (test.session.isReceivingHead ? 1 : 0) {
            return (expected, "cut \(cut.map(\.count)): a block is missing")
        }
    }
    return (whole ?? [], nil)
}
