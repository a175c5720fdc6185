import SluiceBalancing
import SluiceHTTP
import SluiceIO
import SluiceIngress
import SluiceTelemetry

// Rates are looked at before the cache and before the revision is chosen: a limit is a promise about
// requests, not about misses. A stream counts once. Tokens of several limits are taken together or
// not at all.
extension Worker {
    @inline(never)
    func isWithin(_ limits: WorkerRateLimits, _ request: Request) -> Bool {
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
}
