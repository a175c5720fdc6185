package import SluiceBalancing
import SluiceCore
import SluiceGRPC
import SluiceHTTP
import SluiceIO
import SluiceIngress
import SluiceTelemetry

// Before anything is done for a request: does the process have the memory, the caller the rate, and
// later its revision the room?
//
// Rates are looked at before the cache and before the revision is chosen: a limit is a promise about
// requests, not about misses. A stream counts once. Tokens of several limits are taken together or
// not at all.
extension Worker {
    /// Whether the request may go on; else it has been refused.
    @inline(__always)
    func isAdmitted(_ request: Request) -> Bool {
        if isShedding {
            unsafe shedLoad(request)
            return false
        }
        guard let limits = unsafe request.pointee.model?._withUnsafeGuaranteedRef({ $0.rateLimits })
        else { return true }
        return unsafe isWithin(limits, request)
    }

    /// Refuses a request because the process is short of memory.
    @inline(never)
    func shedLoad(_ request: Request) {
        let model =
            unsafe request.pointee.model?._withUnsafeGuaranteedRef { $0.plan.name } ?? "-"
        shard.add(shared.store.counter(GatewayMetrics.rejected, [model, "-", "overload"]))
        unsafe replyWithError(request, .shortOfMemory)
    }

    @inline(never)
    private func isWithin(_ limits: WorkerRateLimits, _ request: Request) -> Bool {
        for (place, entry) in limits.entries.enumerated() {
            let wait = unsafe entry.limiter.take(key(entry, request), at: loop.now)
            guard wait > 0 else { continue }
            for earlier in limits.entries[..<place] {
                unsafe earlier.limiter.giveBack(key(earlier, request))
            }
            shard.add(limits.rejected)
            let model = unsafe request.pointee.model?._withUnsafeGuaranteedRef { $0.plan.name }
            unsafe replyWithError(
                request,
                .rateLimited(model ?? "", entry.limiter.limit, nanoseconds: wait)
            )
            return false
        }
        return true
    }

    /// Whose bucket the request draws from; valid until the head changes.
    private func key(
        _ entry: WorkerRateLimits.Entry,
        _ request: Request
    ) -> UnsafeRawBufferPointer {
        switch entry.limiter.limit.scope {
        case .model: unsafe UnsafeRawBufferPointer(start: nil, count: 0)
        case .client: unsafe request.pointee.exchange.clientText
        case .header:
            unsafe request.pointee.head.flatMap { unsafe entry.header?.value(in: $0) }
                ?? UnsafeRawBufferPointer(start: nil, count: 0)
        }
    }

    // MARK: - Room at a revision

    /// Refuses a request of a revision that has as many as it answers in good time.
    func replyCrowded(
        _ request: Request,
        _ revision: WorkerRevision,
        _ limit: ConcurrencyLimit
    ) {
        shard.add(revision.metrics.rejected(reason: "overload"))
        unsafe replyWithError(request, .crowded(limit.limit ?? limit.inFlight))
    }

    /// Learns from an attempt that is over how many requests the revision takes at once.
    ///
    /// Attempts that failed say nothing of that, and a stream lasts as long as its caller likes.
    func noteConcurrency(_ request: Request, _ limit: ConcurrencyLimit) {
        let outcome = unsafe request.pointee.outcome
        guard outcome == .served || outcome == .timedOut, unsafe request.pointee.sent != .zero,
            unsafe !isStream(request)
        else { return }
        unsafe limit.note(
            nanoseconds: backendTime(request),
            at: loop.now
        )
    }

    // MARK: - Memory

    /// Does what the pressure on the process's memory asks for; called when it changes.
    package func use(_ level: MemoryPressure.Level) {
        isShedding = level == .critical
        for listener in listeners { listener.hold(level > .none) }
    }
}

extension ErrorReply {
    static func rateLimited(_ model: String, _ limit: RateLimit, nanoseconds: Int64) -> ErrorReply {
        let seconds = Int((nanoseconds + 999_999_999) / 1_000_000_000)
        let whose =
            switch limit.scope {
            case .model: ""
            case .client: " from one address"
            case .header(let name): " with the same \(name)"
            }
        return ErrorReply(
            http: 429,
            grpc: .resourceExhausted,
            reason: .rateLimited,
            sentence:
                "model '\(model)' takes \(limit.rateText) requests\(whose) (rateLimit); try again in \(seconds) s",
            retryAfterSeconds: seconds
        )
    }

    static func crowded(_ limit: Int) -> ErrorReply {
        ErrorReply(
            http: 503,
            grpc: .unavailable,
            reason: .overload,
            sentence:
                "\(limit) requests are at this revision's backends, as many as they answer in good time (adaptiveConcurrency)",
            retryAfterSeconds: 1
        )
    }

    static let shortOfMemory = ErrorReply(
        http: 503,
        grpc: .unavailable,
        reason: .overload,
        sentence: "the gateway is short of memory (limits.maxMemory)",
        retryAfterSeconds: 1
    )
}
