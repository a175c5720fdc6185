import SluiceCore
import SluiceHTTP
import SluiceIO
import SluiceIngress

/// A server on one loop that answers every request alike, after a while or at its head.
final class Answerer: RequestHandler, TimerTarget {
    enum Reply {
        /// `hello`, with 200.
        case hello
        /// 500 in the caller's dialect.
        case failure
        /// `hello`, broken off after its second byte.
        case half
        /// 200 with the body that is given for the path, 404 for any other.
        case paths([String: String])
        /// 405 for these paths, 404 for any other.
        case methods([String])
        /// The status that is given for the path, 404 for any other.
        case statuses([String: Int])
    }

    private let loop: EventLoop
    var reply: Reply
    /// What was asked for, in order.
    private(set) var paths: [String] = []
    let arena: HTTPArena
    /// How long an answer takes; nil answers at the request's head.
    private let delay: Duration?
    private var listener: IngressListener?
    private var waiting: [UInt: (exchange: Exchange, isGRPC: Bool)] = [:]
    private var timers: [UInt: TimerID] = [:]
    private var nextTicket: UInt = 1
    /// Requests that came, and those that were aborted.
    private(set) var requestCount = 0
    private(set) var abortCount = 0
    /// What became of its connections.
    private(set) var events: [ConnectionEvent] = []

    init(
        loop: EventLoop,
        on address: SocketAddress,
        reply: Reply = .hello,
        delay: Duration?,
        count: ConnectionCount = ConnectionCount(maximum: 100)
    ) throws {
        self.loop = loop
        self.reply = reply
        self.delay = delay
        arena = HTTPArena(buffers: loop.buffers)
        let listener = try IngressListener(
            loop: loop,
            arena: arena,
            address: address,
            name: "answerer",
            tls: nil,
            limits: IngressLimits(),
            count: count,
            handler: self
        ) { [unowned self] in events.append($0) }
        self.listener = listener
        listener.start()
    }

    var connectionCount: Int { listener?.connectionCount ?? 0 }

    func close() {
        listener?.closeAll()
        listener = nil
    }

    func requestBegan(_ exchange: Exchange, _ head: FieldBlock, endStream: Bool) {
        let isGRPC =
            unsafe head.first(.contentType).map {
                unsafe ASCII.hasPrefix($0, "application/grpc")
            } ?? false
        let path = unsafe head.first(.path).map { unsafe String(decoding: $0, as: UTF8.self) }
        paths.append(path ?? "-")
        arena.blocks.give(head)
        requestCount += 1
        guard let delay else {
            answer(exchange, isGRPC: isGRPC)
            return
        }
        let ticket = nextTicket
        nextTicket += 1
        unsafe exchange.context = UnsafeMutableRawPointer(bitPattern: ticket)
        waiting[ticket] = (exchange, isGRPC)
        timers[ticket] = loop.setTimer(after: delay, target: self, tag: ticket)
    }

    func timerFired(_ tag: UInt, at now: Instant) {
        timers[tag] = nil
        guard let (exchange, isGRPC) = waiting.removeValue(forKey: tag) else { return }
        answer(exchange, isGRPC: isGRPC)
    }

    private var isHello: Bool {
        if case .hello = reply { return true }
        return false
    }

    private func answer(_ exchange: Exchange, isGRPC: Bool) {
        unsafe exchange.context = nil
        let head = arena.blocks.take()
        if isGRPC {
            head.append(status: 200)
            head.append(.contentType, "application/grpc")
            head.append(.grpcStatus, decimal: isHello ? 0 : 13)
            exchange.sendHead(head, endStream: true)
            return
        }
        if case .half = reply {
            head.append(status: 200)
            exchange.sendHead(head, endStream: false)
            unsafe Array("he".utf8).withUnsafeBytes {
                unsafe _ = exchange.send($0, endStream: false)
            }
            exchange.abort(.internalError)
            return
        }
        var (status, text) = isHello ? (200, "hello") : (500, "{\"error\":\"no\"}")
        if case .paths(let known) = reply {
            (status, text) = known[paths.last ?? ""].map { (200, $0) } ?? (404, "no such path")
        }
        let path = paths.last ?? ""
        if case .methods(let known) = reply { status = known.contains(path) ? 405 : 404 }
        if case .statuses(let known) = reply { status = known[path] ?? 404 }
        let body = Array(text.utf8)
        head.append(status: status)
        head.append(.contentLength, decimal: body.count)
        exchange.sendHead(head, endStream: false)
        unsafe body.withUnsafeBytes { unsafe _ = exchange.send($0, endStream: true) }
    }

    func requestOversized(_ exchange: Exchange, _ head: FieldBlock) {
        arena.blocks.give(head)
        exchange.abort(.enhanceYourCalm)
    }

    func requestBody(_ exchange: Exchange, _ bytes: UnsafeRawBufferPointer, endStream: Bool) {
        exchange.consumed(bytes.count)
    }

    func requestTrailers(_ exchange: Exchange, _ trailers: FieldBlock) {
        arena.blocks.give(trailers)
    }

    func requestAborted(_ exchange: Exchange, _ reason: AbortReason) {
        abortCount += 1
        guard let context = unsafe exchange.context else { return }
        let ticket = UInt(bitPattern: context)
        waiting[ticket] = nil
        if var timer = timers.removeValue(forKey: ticket) { loop.cancelTimer(&timer) }
    }

    func responseDrained(_ exchange: Exchange, _ count: Int) {}

    func requestUnreadable(
        _ connection: ServerConnection,
        status: Int,
        sentence: StaticString
    ) {}
}
