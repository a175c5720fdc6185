import SluiceCore
import SluiceHTTP
import SluiceIO
import SluiceIngress

/// A handler that writes down what it is told, and answers when a test says so.
///
/// Requests are numbered from 1 in the order in which they begin.
final class RecordingHandler: RequestHandler {
    let arena: HTTPArena
    /// What it was told, in order: `began 1 GET /a end`, `body 1 5`, `aborted 1 clientGone`.
    private(set) var events: [String] = []
    /// Bytes of the request's body by number.
    private(set) var bodies: [Int: Int] = [:]
    /// Bytes of answers that have moved on after they were left over.
    private(set) var drained: [Int: Int] = [:]
    /// Whether body bytes count as moved on at once.
    var consumes = true
    private var exchanges: [Int: Exchange] = [:]

    init(arena: HTTPArena) { self.arena = arena }

    /// A request's exchange; only while it lives.
    subscript(number: Int) -> Exchange? { exchanges[number] }

    /// What was told about one request.
    func events(of number: Int) -> [String] {
        events.filter { $0.split(separator: " ").dropFirst().first == "\(number)" }
    }

    /// Answers request `number` with 200 and `body`; how many bytes of it went at once.
    @discardableResult
    func answer(_ number: Int, _ body: String = "hello") -> Int {
        guard let exchange = exchanges.removeValue(forKey: number) else { return -1 }
        unsafe exchange.context = nil
        let head = arena.blocks.take()
        head.append(status: 200)
        head.append(.contentLength, decimal: body.utf8.count)
        exchange.sendHead(head, endStream: body.isEmpty)
        guard !body.isEmpty else { return 0 }
        return unsafe Array(body.utf8).withUnsafeBytes { unsafe exchange.send($0, endStream: true) }
    }

    /// Begins an answer of `count` bytes, whose end is still to come; how many went at once.
    func begin(_ number: Int, count: Int) -> Int {
        guard let exchange = exchanges[number] else { return -1 }
        let head = arena.blocks.take()
        head.append(status: 200)
        exchange.sendHead(head, endStream: false)
        let bytes = [UInt8](repeating: UInt8(ascii: "x"), count: count)
        return unsafe bytes.withUnsafeBytes { unsafe exchange.send($0, endStream: false) }
    }

    private func number(of exchange: Exchange) -> Int {
        Int(bitPattern: unsafe exchange.context)
    }

    // MARK: - Events

    func requestBegan(_ exchange: Exchange, _ head: FieldBlock, endStream: Bool) {
        let number = events.count { $0.hasPrefix("began ") } + 1
        let (method, path) = (head.text(.method) ?? "-", head.text(.path) ?? "-")
        events.append("began \(number) \(method) \(path)" + (endStream ? " end" : ""))
        arena.blocks.give(head)
        unsafe exchange.context = UnsafeMutableRawPointer(bitPattern: number)
        exchanges[number] = exchange
    }

    func requestOversized(_ exchange: Exchange, _ head: FieldBlock) {
        events.append("oversized")
        arena.blocks.give(head)
        exchange.abort(.enhanceYourCalm)
    }

    func requestBody(_ exchange: Exchange, _ bytes: UnsafeRawBufferPointer, endStream: Bool) {
        let number = number(of: exchange)
        bodies[number, default: 0] += bytes.count
        if endStream { events.append("body \(number) \(bodies[number] ?? 0) end") }
        if consumes { exchange.consumed(bytes.count) }
    }

    func requestTrailers(_ exchange: Exchange, _ trailers: FieldBlock) {
        events.append("trailers \(number(of: exchange)) \(trailers.count)")
        arena.blocks.give(trailers)
    }

    func requestAborted(_ exchange: Exchange, _ reason: AbortReason) {
        let number = number(of: exchange)
        exchanges[number] = nil
        events.append("aborted \(number) \(reason)")
    }

    func responseDrained(_ exchange: Exchange, _ count: Int) {
        drained[number(of: exchange), default: 0] += count
    }

    func requestUnreadable(_ connection: ServerConnection, status: Int, sentence: StaticString) {
        events.append("unreadable - \(status)")
    }
}
