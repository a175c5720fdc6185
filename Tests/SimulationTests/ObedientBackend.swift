import SluiceCore
import SluiceHTTP
import SluiceIO
import SluiceIngress

/// A model server that does to each request, once that is whole, what its `x-act` says.
///
/// A status is answered with a JSON body, `grpc-N` with that status and no message, and `too-large` with
/// what gRPC's libraries say of a message beyond their limit. `large` is 200 with 3 MB, `reset`
/// breaks the exchange off, `hang` never answers, and `early-N` answers at the head.
final class ObedientBackend: RequestHandler {
    private struct Work {
        var act: String
        var hasEnded: Bool
    }

    private let arena: HTTPArena
    private var listener: IngressListener?
    private var works: [UInt: Work] = [:]
    private var nextTicket: UInt = 1
    private(set) var requestCount = 0
    private(set) var events: [ConnectionEvent] = []

    init(loop: EventLoop, on address: SocketAddress) throws {
        arena = HTTPArena(buffers: loop.buffers)
        let listener = try IngressListener(
            loop: loop,
            arena: arena,
            address: address,
            name: "model",
            tls: nil,
            limits: IngressLimits(),
            count: ConnectionCount(maximum: 1_000),
            handler: self
        ) { [unowned self] in events.append($0) }
        self.listener = listener
        listener.start()
    }

    func close() {
        listener?.closeAll()
        listener = nil
    }

    func requestBegan(_ exchange: Exchange, _ head: FieldBlock, endStream: Bool) {
        requestCount += 1
        let act = head.text(named: "x-act") ?? "200"
        arena.blocks.give(head)
        if act.hasPrefix("early-") {
            answer(exchange, String(act.dropFirst(6)))
            return
        }
        let ticket = nextTicket
        nextTicket += 1
        works[ticket] = Work(act: act, hasEnded: endStream)
        unsafe exchange.context = UnsafeMutableRawPointer(bitPattern: ticket)
        if endStream { ended(exchange) }
    }

    func requestBody(_ exchange: Exchange, _ bytes: UnsafeRawBufferPointer, endStream: Bool) {
        exchange.consumed(bytes.count)
        if endStream { ended(exchange) }
    }

    func requestTrailers(_ exchange: Exchange, _ trailers: FieldBlock) {
        arena.blocks.give(trailers)
        ended(exchange)
    }

    private func ended(_ exchange: Exchange) {
        guard let context = unsafe exchange.context,
            let work = works.removeValue(forKey: UInt(bitPattern: context))
        else { return }
        answer(exchange, work.act)
    }

    private func answer(_ exchange: Exchange, _ act: String) {
        if act == "hang" { return }
        unsafe exchange.context = nil
        if act == "reset" {
            exchange.abort(.internalError)
            return
        }
        let head = arena.blocks.take()
        if act.hasPrefix("grpc-") || act == "too-large" {
            head.append(status: 200)
            head.append(.contentType, "application/grpc")
            head.append(.grpcStatus, decimal: Int(act.dropFirst(5)) ?? 8)
            if act == "too-large" {
                head.append(.grpcMessage, "Received message larger than max (5 vs. 4)")
            }
            exchange.sendHead(head, endStream: true)
            return
        }
        let body = [UInt8](repeating: 0x20, count: act == "large" ? 3_000_000 : 2)
        head.append(status: Int(act) ?? 200)
        head.append(.contentType, "application/json")
        head.append(.contentLength, decimal: body.count)
        exchange.sendHead(head, endStream: false)
        unsafe body.withUnsafeBytes { unsafe _ = exchange.send($0, endStream: true) }
    }

    func requestOversized(_ exchange: Exchange, _ head: FieldBlock) {
        arena.blocks.give(head)
        exchange.abort(.enhanceYourCalm)
    }

    func requestAborted(_ exchange: Exchange, _ reason: AbortReason) {
        if let context = unsafe exchange.context { works[UInt(bitPattern: context)] = nil }
    }

    func responseDrained(_ exchange: Exchange, _ count: Int) {}

    func requestUnreadable(
        _ connection: ServerConnection,
        status: Int,
        sentence: StaticString
    ) {}
}
