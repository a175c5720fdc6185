import SluiceCore
import SluiceHTTP
import SluiceIO
import SluiceIngress

/// A server on one loop that answers every request with `hello`, after a while or at once.
final class Answerer: RequestHandler, TimerTarget {
    let loop: EventLoop
    let kernel: any Kernel
    let arena: HTTPArena
    /// How long an answer takes; nil answers at the request's head.
    var delay: Duration?
    private var listener: IngressListener?
    private var waiting: [UInt: Exchange] = [:]
    private var timers: [UInt: TimerID] = [:]
    private var nextTicket: UInt = 1
    /// Requests that came, and those that were aborted.
    private(set) var requestCount = 0
    private(set) var abortCount = 0

    init(loop: EventLoop, on address: SocketAddress, delay: Duration?) throws {
        self.loop = loop
        self.delay = delay
        kernel = loop.kernel
        arena = HTTPArena(buffers: loop.buffers)
        let listener = try IngressListener(
            loop: loop,
            arena: arena,
            address: address,
            name: "answerer",
            tls: nil,
            limits: IngressLimits(),
            count: ConnectionCount(maximum: 100),
            handler: self
        ) { _ in }
        self.listener = listener
        listener.start()
    }

    var connectionCount: Int { listener?.connectionCount ?? 0 }

    func close() {
        listener?.closeAll()
        listener = nil
    }

    func requestBegan(_ exchange: Exchange, _ head: FieldBlock, endStream: Bool) {
        arena.blocks.give(head)
        requestCount += 1
        guard let delay else {
            answer(exchange)
            return
        }
        let ticket = nextTicket
        nextTicket += 1
        unsafe exchange.user = UnsafeMutableRawPointer(bitPattern: ticket)
        waiting[ticket] = exchange
        timers[ticket] = loop.setTimer(after: delay, target: self, tag: ticket)
    }

    func timerFired(_ tag: UInt, at now: Instant) {
        timers[tag] = nil
        if let exchange = waiting.removeValue(forKey: tag) { answer(exchange) }
    }

    private func answer(_ exchange: Exchange) {
        unsafe exchange.user = nil
        let head = arena.blocks.take()
        head.append(status: 200)
        head.append(.contentLength, decimal: 5)
        exchange.sendHead(head, endStream: false)
        let body = Array("hello".utf8)
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
        guard let user = unsafe exchange.user else { return }
        let ticket = UInt(bitPattern: user)
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
