import SluiceCore
import SluiceIO
import SluiceTelemetry
private import Synchronization

// Long bodies are translated, digested and cut on helper threads, so that one request never holds a loop:
//
//   loop      gathered ──► lent, with its body ┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄► goes on with the result
//                              │ deadline, caller gone: forgotten            ▲
//   helper                     └────────► reads, writes in memory of its own ┘
//
// What is at most a turn (1 MiB) stays in place and costs nothing more than a comparison.
extension Worker {
    /// Bytes that a loop works on in one go: about a millisecond.
    static let turnMaximum = 1 << 20

    /// The body that work is about; it is lent while the work is done.
    enum OffloadedBody: Sendable {
        /// The request, as it was gathered.
        case buffered
        /// The answer, as it was gathered.
        case captured
    }

    /// What kind of work it is, as metrics say it.
    enum OffloadedWork: String, Sendable {
        /// A request's key, or keys.
        case key
        case request
        /// A compressed request that must be read.
        case decoding
        case answer
        /// What the cache keeps of an answer.
        case capture
    }

    /// Has `work` done on a helper thread, and then `then` here, unless the request is over by then.
    ///
    /// Until then the request waits, with nothing but its deadline and its caller to wake it. `then` gets no request when
    /// that is over; what the result owns must be given back all the same. Refuses a request for which there is no
    /// room.
    func offload<Made>(
        _ request: Request,
        _ kind: OffloadedWork,
        on place: OffloadedBody,
        _ work:
            @escaping @Sendable (inout PredictCodec, UnsafeRawBufferPointer) -> Handed<Made>,
        then: @escaping @Sendable (Worker, Request?, Made) -> Void
    ) {
        guard let pool = shared.offload else { preconditionFailure("there are no helper threads") }
        unsafe beginWaiting(request)
        let body = Handed(
            unsafe place == .buffered
                ? request.pointee.body.buffered : request.lookup.pointee.captured
        )
        let (home, worker) = (loop.handle, Handed(self))
        nextToken += 1
        let token = nextToken
        let isGone = Flag()
        let isTaken = pool.submit(isRefusable: kind != .answer) {
            guard !isGone.isSet else {
                home.submit { worker.value.releaseOffloaded(body.value) }
                return
            }
            var codec = PredictCodec(pool: BufferPool(retainedMaximum: 0))
            let made = unsafe work(&codec, body.value.bytes)
            home.submit {
                unsafe worker.value.offloaded(token, place, body.value, made.value, then)
            }
        }
        countOffload(kind, isTaken: isTaken)
        guard isTaken else {
            unsafe replyWithError(request, .overloaded("the queue of long bodies"))
            return
        }
        gone[token] = isGone
        unsafe offloadBody(request, place, token)
    }

    /// The body of a request that was over before a helper thread came to it is back.
    private func releaseOffloaded(_ body: PooledBytes) {
        var body = body
        shard.add(shared.store.gauge(OffloadMetrics.active, []), -1)
        body.release(to: buffers)
    }

    /// Counts work that helper threads took, or had no room for.
    func countOffload(_ kind: OffloadedWork, isTaken: Bool) {
        let result = isTaken ? "taken" : "refused"
        shard.add(shared.store.counter(OffloadMetrics.tasks, [kind.rawValue, result]))
        if isTaken { shard.add(shared.store.gauge(OffloadMetrics.active, []), 1) }
    }

    private func offloadBody(_ request: Request, _ place: OffloadedBody, _ token: UInt64) {
        switch place {
        case .buffered: unsafe request.pointee.body.buffered = PooledBytes()
        case .captured: unsafe request.lookup.pointee.captured = PooledBytes()
        }
        if unsafe request.pointee.stage == .gathering { unsafe request.pointee.stage = .waiting }
        unsafe request.pointee.offloadToken = token
        unsafe offloaded.insert(token, request)
    }

    /// The work is done: its body is back.
    private func offloaded<Made>(
        _ token: UInt64,
        _ place: OffloadedBody,
        _ body: PooledBytes,
        _ made: Made,
        _ then: (Worker, Request?, Made) -> Void
    ) {
        gone[token] = nil
        guard
            let request = unsafe offloaded.remove(token)?.assumingMemoryBound(
                to: RequestRecord.self
            )
        else {
            releaseOffloaded(body)
            then(self, nil, made)
            return
        }
        shard.add(shared.store.gauge(OffloadMetrics.active, []), -1)
        unsafe request.pointee.offloadToken = 0
        switch place {
        case .buffered: unsafe request.pointee.body.buffered = body
        case .captured: unsafe request.lookup.pointee.captured = body
        }
        unsafe then(self, request, made)
    }

    /// Forgets work whose request is over: it isn't begun any more, and its body is given back.
    func forgetOffload(_ request: Request) {
        let token = unsafe request.pointee.offloadToken
        _ = unsafe offloaded.remove(token)
        gone.removeValue(forKey: token)?.set()
        unsafe request.pointee.offloadToken = 0
    }
}

/// Whether something has happened, told from one thread to another.
final class Flag: Sendable {
    private let value = Atomic(false)

    var isSet: Bool { value.load(ordering: .relaxed) }

    func set() { value.store(true, ordering: .relaxed) }
}

/// A value that one thread hands to another, and has no hold of any more.
///
/// Unchecked: who hands it over doesn't touch it again.
struct Handed<Value>: @unchecked Sendable {
    let value: Value

    init(_ value: Value) { self.value = value }
}
