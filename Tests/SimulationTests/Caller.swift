import SluiceCore
import SluiceEgress
import SluiceHTTP

/// Somebody who makes calls and notes what becomes of each.
final class Caller: ResponseReceiver {
    let arena: HTTPArena
    /// The body of every request to come.
    var body: [UInt8] = []
    /// What each call heard, by its number.
    private(set) var heard: [Int: [String]] = [:]
    private(set) var calls: [Int: Call] = [:]

    init(arena: HTTPArena) { self.arena = arena }

    func call(_ number: Int, by pool: ConnectionPool) {
        guard let context = unsafe UnsafeMutableRawPointer(bitPattern: number) else { return }
        switch unsafe pool.acquire(context) {
        case .ready(let connection):
            unsafe callReady(context, connection.takeUnretainedValue())
        case .waiting: break
        case .full: heard[number, default: []].append("full")
        }
    }

    private func note(_ call: Call, _ sentence: String) {
        let number = unsafe call.context.map { Int(bitPattern: $0) } ?? 0
        heard[number, default: []].append(sentence)
    }

    func callReady(_ context: UnsafeMutableRawPointer, _ connection: ClientConnection) {
        let head = arena.blocks.take()
        head.append(.method, "POST")
        head.append(.scheme, "http")
        head.append(.authority, "a")
        head.append(.path, "/")
        let call = unsafe connection.begin(head, endStream: body.isEmpty, context: context)
        calls[Int(bitPattern: context)] = call
        if !body.isEmpty {
            unsafe body.withUnsafeBytes { unsafe _ = call?.send($0, endStream: true) }
        }
    }

    func connectFailed(_ context: UnsafeMutableRawPointer, _ failure: CallFailure) {
        heard[Int(bitPattern: context), default: []].append("refused")
    }

    func responseHead(_ call: Call, _ head: FieldBlock, endStream: Bool) {
        note(call, "\(head.status)")
        arena.blocks.give(head)
    }

    func responseInterim(_ call: Call, _ head: FieldBlock) { arena.blocks.give(head) }

    func responseBody(_ call: Call, _ bytes: UnsafeRawBufferPointer, endStream: Bool) {
        if endStream { note(call, "end") } else { call.consumed(bytes.count) }
    }

    func responseTrailers(_ call: Call, _ trailers: FieldBlock) {
        note(call, "end")
        arena.blocks.give(trailers)
    }

    func requestDrained(_ call: Call, _ count: Int) { note(call, "drained") }

    func callFailed(_ call: Call, _ failure: CallFailure) {
        note(call, failure.isUnprocessed ? "untouched" : "failed")
    }
}
