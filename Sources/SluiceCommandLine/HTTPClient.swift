import SluiceCore
import SluiceEgress
import SluiceGRPC
import SluiceHTTP
import SluiceIO

/// One request at a time over the gateway's own client code, for commands.
///
/// Runs a loop of its own on the calling thread until the answer is there.
final class HTTPClient: ResponseReceiver, TimerTarget {
    /// An answer, whole.
    struct Answer {
        var status = 0
        var fields: [String: String] = [:]
        var trailers: [String: String] = [:]
        var body: [UInt8] = []
    }

    /// Why there is no answer.
    struct Failure: Error {
        let sentence: String
    }

    private let loop: EventLoop
    private let arena: HTTPArena
    private var answer = Answer()
    private var failure: String?
    private var isDone = false
    private var head: FieldBlock?
    private var body: [UInt8] = []

    init() throws(Failure) {
        do throws(KernelFailure) {
            loop = EventLoop(kernel: try LinuxKernel())
        } catch {
            throw Failure(sentence: error.description)
        }
        arena = HTTPArena(buffers: loop.buffers)
    }

    /// Sends one request to `http://HOST:PORT` (HTTP/1.1) or `h2c://HOST:PORT`, or to the same at a Unix
    /// socket, `unix:///PATH` or `h2c+unix:///PATH`, and waits.
    func send(
        to base: String,
        method: String,
        path: String,
        fields: [(String, String)] = [],
        body: [UInt8] = [],
        timeout: Duration = .seconds(30)
    ) throws(Failure) -> Answer {
        let url = try ClientURL(base)
        let addresses: [SocketAddress]
        do throws(KernelFailure) {
            addresses = try url.name.resolve()
        } catch {
            throw Failure(sentence: error.description)
        }
        guard let address = addresses.first else {
            throw Failure(sentence: "\(url.name.host) has no address")
        }
        var endpoint = Endpoint(
            address: address,
            httpVersion: url.isHTTP2 ? .http2 : .http1,
            tls: nil,
            serverName: url.name.host
        )
        // Whoever listens at one of `localhost`'s addresses listens at `localhost`.
        endpoint.alternates = Array(addresses.dropFirst())
        let pool = ConnectionPool(loop: loop, arena: arena, endpoint: endpoint, receiver: self)
        answer = Answer()
        (failure, isDone) = (nil, false)
        let head = arena.blocks.take()
        head.append(.method, text: method)
        head.append(.scheme, "http")
        head.append(.authority, text: url.name.isSocketFile ? "localhost" : url.name.text)
        head.append(.path, text: path)
        for (name, value) in fields { head.append(named: name, text: value) }
        if !body.isEmpty, !url.isHTTP2 { head.append(.contentLength, decimal: body.count) }
        self.head = head
        self.body = body
        var timer = loop.setTimer(after: timeout, target: self, tag: 0)
        let context = unsafe Unmanaged.passUnretained(self).toOpaque()
        if case .ready(let connection) = unsafe pool.acquire(context) {
            unsafe callReady(context, connection.takeUnretainedValue())
        }
        while !isDone { loop.tick(until: nil) }
        loop.cancelTimer(&timer)
        pool.closeAll()
        loop.tick(until: loop.now)
        if let failure { throw Failure(sentence: "\(url.name.text): \(failure)") }
        return answer
    }

    // MARK: - Events

    func callReady(_ context: UnsafeMutableRawPointer, _ connection: ClientConnection) {
        guard let head else { return }
        self.head = nil
        let call = unsafe connection.begin(head, endStream: body.isEmpty, context: context)
        if !body.isEmpty, let call {
            unsafe body.withUnsafeBytes { unsafe _ = call.send($0, endStream: true) }
        }
    }

    func connectFailed(_ context: UnsafeMutableRawPointer, _ failure: CallFailure) { fail(failure) }

    func responseHead(_ call: Call, _ head: FieldBlock, endStream: Bool) {
        answer.status = head.status
        answer.fields = fields(of: head)
        if endStream { isDone = true }
    }

    func responseInterim(_ call: Call, _ head: FieldBlock) { arena.blocks.give(head) }

    func responseBody(_ call: Call, _ bytes: UnsafeRawBufferPointer, endStream: Bool) {
        unsafe answer.body.append(contentsOf: bytes)
        if endStream { isDone = true } else { call.consumed(bytes.count) }
    }

    func responseTrailers(_ call: Call, _ trailers: FieldBlock) {
        answer.trailers = fields(of: trailers)
        isDone = true
    }

    func requestDrained(_ call: Call, _ count: Int) {}

    func callFailed(_ call: Call, _ failure: CallFailure) { fail(failure) }

    func timerFired(_ tag: UInt, at now: Instant) {
        failure = "no answer in time"
        isDone = true
    }

    private func fail(_ failure: CallFailure) {
        guard !isDone else { return }
        self.failure =
            switch failure {
            case .connectFailed(let text), .connectionLost(let text), .staleConnection(let text),
                .malformed(let text):
                text
            case .poolFull: "too many calls"
            case .refused: "the server refused the request"
            case .reset(let code): "the server reset the request (\(code))"
            case .resetByUs(let code, let reason): "the request was reset (\(code)): \(reason)"
            }
        isDone = true
    }

    private func fields(of block: FieldBlock) -> [String: String] {
        var result: [String: String] = [:]
        for index in 0..<block.count {
            let name = unsafe String(decoding: block.name(of: block[index]), as: UTF8.self)
            result[name] = unsafe String(decoding: block.value(of: block[index]), as: UTF8.self)
        }
        arena.blocks.give(block)
        return result
    }
}

/// The few URLs that commands take.
struct ClientURL {
    let name: HostName
    let isHTTP2: Bool

    init(_ text: String) throws(HTTPClient.Failure) {
        let refusal = HTTPClient.Failure(
            sentence:
                "'\(Redaction.value(text))' is not http://HOST:PORT, h2c://HOST:PORT or unix:///PATH"
        )
        isHTTP2 = text.hasPrefix("h2c://") || text.hasPrefix("h2c+unix")
        var rest = text[...]
        for scheme in ["http+", "h2c+"] where rest.hasPrefix(scheme + "unix") {
            rest = rest.dropFirst(scheme.count)
        }
        switch SocketFile.read(String(rest)) {
        case .path(let path):
            name = HostName(host: path, port: 0)
            return
        case .wrong(let sentence):
            throw HTTPClient.Failure(sentence: "'\(Redaction.value(text))': \(sentence)")
        case .other: break
        }
        for scheme in ["http://", "h2c://"] where rest.hasPrefix(scheme) {
            rest = rest.dropFirst(scheme.count)
        }
        guard !rest.contains("://") else { throw refusal }
        if rest.hasSuffix("/") { rest = rest.dropLast() }
        guard let colon = rest.lastIndex(of: ":"),
            let port = UInt16(rest[rest.index(after: colon)...])
        else { throw refusal }
        var host = rest[..<colon]
        if host.hasPrefix("["), host.hasSuffix("]") { host = host.dropFirst().dropLast() }
        guard !host.isEmpty, !host.contains("/") else { throw refusal }
        name = HostName(host: String(host), port: port)
    }

    /// The same place, spoken to over HTTP/2.
    static func overHTTP2(_ text: String) -> String {
        for scheme in ["http+unix:", "h2c+unix:", "unix:"] where text.hasPrefix(scheme) {
            return "h2c+unix:" + text.dropFirst(scheme.count)
        }
        return "h2c://" + text.replacing("http://", with: "").replacing("h2c://", with: "")
    }
}
