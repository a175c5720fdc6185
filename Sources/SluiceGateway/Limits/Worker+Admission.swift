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
    func isAdmitted(_ flow: FlowPointer) -> Bool {
        if isShedding {
            unsafe shed(flow)
            return false
        }
        guard let limits = unsafe flow.pointee.model?._withUnsafeGuaranteedRef({ $0.rateLimits })
        else { return true }
        return unsafe isWithin(limits, flow)
    }

    /// Refuses a request because the process is short of memory.
    @inline(never)
    func shed(_ flow: FlowPointer) {
        let model =
            unsafe flow.pointee.model?._withUnsafeGuaranteedRef { $0.plan.name } ?? "-"
        shard.add(shared.store.counter(GatewayMetrics.rejected, [model, "-", "overload"]))
        unsafe refuse(flow, .shortOfMemory)
    }

    @inline(never)
    private func isWithin(_ limits: WorkerRateLimits, _ flow: FlowPointer) -> Bool {
        for (place, entry) in limits.entries.enumerated() {
            let wait = unsafe entry.limiter.take(key(entry, flow), at: loop.now)
            guard wait > 0 else { continue }
            for earlier in limits.entries[..<place] {
                unsafe earlier.limiter.giveBack(key(earlier, flow))
            }
            shard.add(limits.rejected)
            let model = unsafe flow.pointee.model?._withUnsafeGuaranteedRef { $0.plan.name }
            unsafe refuse(
                flow,
                .rateLimited(model ?? "", entry.limiter.limit, nanoseconds: wait)
            )
            return false
        }
        return true
    }

    /// Whose bucket the request draws from; valid until the head changes.
    private func key(
        _ entry: WorkerRateLimits.Entry,
        _ flow: FlowPointer
    ) -> UnsafeRawBufferPointer {
        switch entry.limiter.limit.scope {
        case .model: unsafe UnsafeRawBufferPointer(start: nil, count: 0)
        case .client: unsafe flow.pointee.exchange.clientText
        case .header:
            unsafe flow.pointee.head.flatMap { unsafe entry.header?.value(in: $0) }
                ?? UnsafeRawBufferPointer(start: nil, count: 0)
        }
    }

    // MARK: - Room at a revision

    /// Refuses a request of a revision that has as many as it answers in good time.
    func refuseCrowded(
        _ flow: FlowPointer,
        _ revision: WorkerRevision,
        _ limit: ConcurrencyLimit
    ) {
        shard.add(revision.metrics.rejected(reason: "overload"))
        unsafe refuse(flow, .crowded(limit.limit ?? limit.inFlight))
    }

    /// Learns from an attempt that is over how many requests the revision takes at once.
    ///
    /// Attempts that failed say nothing of that, and a stream lasts as long as its caller likes.
    func noteConcurrency(_ flow: FlowPointer, _ limit: ConcurrencyLimit) {
        let outcome = unsafe flow.pointee.outcome
        guard outcome == .served || outcome == .timedOut, unsafe flow.pointee.sent != .zero,
            unsafe !isStream(flow)
        else { return }
        unsafe limit.note(
            nanoseconds: backendTime(flow),
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

extension Refusal {
    static func rateLimited(_ model: String, _ limit: RateLimit, nanoseconds: Int64) -> Refusal {
        let seconds = Int((nanoseconds + 999_999_999) / 1_000_000_000)
        let whose =
            switch limit.scope {
            case .model: ""
            case .client: " from one address"
            case .header(let name): " with the same \(name)"
            }
        return Refusal(
            http: 429,
            grpc: .resourceExhausted,
            why: .rateLimited,
            sentence:
                "model '\(model)' takes \(limit.rateText) requests\(whose) (rateLimit); try again in \(seconds) s",
            retryAfterSeconds: seconds
        )
    }

    static func crowded(_ limit: Int) -> Refusal {
        Refusal(
            http: 503,
            grpc: .unavailable,
            why: .overload,
            sentence:
                "\(limit) requests are at this revision's backends, as many as they answer in good time (adaptiveConcurrency)",
            retryAfterSeconds: 1
        )
    }

    static let shortOfMemory = Refusal(
        http: 503,
        grpc: .unavailable,
        why: .overload,
        sentence: "the gateway is short of memory (limits.maxMemory)",
        retryAfterSeconds: 1
    )
}
