import SluiceCache
import SluiceCore
import SluiceIO

// A stale answer was served; an internal request fetches a new one.
extension Worker {
    /// Asks the backend again what `request` asked, unless another request does already.
    func refresh(_ request: Request, _ key: CacheKey, _ cacheable: CacheableRequest? = nil) {
        guard let cache = shared.cache else { return }
        nextToken += 1
        let waiter = CoalescingWaiter(worker: number, token: nextToken)
        switch unsafe cache.calls.join(key, tag: tag(of: request), as: waiter, at: loop.now) {
        case .uncoalesced: return
        case .follow(let ticket): _ = cache.calls.leave(ticket)
        case .lead(let ticket):
            guard
                let made = unsafe request.pointee.revision?._withUnsafeGuaranteedRef({
                    unsafe repeated(request, to: $0, started: loop.now)
                })
            else { return }
            unsafe made.pointee.timeout =
                request.pointee.model?._withUnsafeGuaranteedRef { $0.timeout } ?? 0
            unsafe made.pointee.body.buffered.append(
                request.pointee.body.buffered.bytes,
                pool: buffers
            )
            unsafe made.pointee.body.acknowledged = request.pointee.body.buffered.count
            unsafe made.pointee.cacheRole = .leads
            unsafe made.lookup.pointee.key = key
            unsafe made.lookup.pointee.ticket = ticket
            unsafe made.lookup.pointee.token = nextToken
            unsafe made.lookup.pointee.stamp = cache.memory.stamp
            unsafe made.lookup.pointee.cacheable = cacheable.map { unsafe .passRetained($0) }
            unsafe armDeadline(made)
            unsafe ask(made)
        }
    }
}
