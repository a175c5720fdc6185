import SluiceCache
import SluiceCore
import SluiceHTTP
import SluiceIO
import SluiceIngress
import SluiceTelemetry

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
            unsafe made.pointee.buffered.append(request.pointee.buffered.bytes, pool: buffers)
            unsafe made.pointee.acknowledged = request.pointee.buffered.count
            unsafe made.pointee.cache.role = .leads
            unsafe made.pointee.cache.key = key
            unsafe made.pointee.cache.ticket = ticket
            unsafe made.pointee.cache.token = nextToken
            unsafe made.pointee.cache.stamp = cache.memory.stamp
            unsafe made.pointee.cache.cacheable = cacheable.map { unsafe .passRetained($0) }
            unsafe armDeadline(made)
            unsafe ask(made)
        }
    }
}
