import SluiceCache
import SluiceCore
import SluiceHTTP
import SluiceIO
import SluiceIngress
import SluiceTelemetry

// A stale answer was served; a request of our own fetches a new one, with nobody at its other end.
extension Worker {
    /// Asks the backend again what `flow` asked, unless somebody does already.
    func refresh(_ flow: FlowPointer, _ key: CacheKey, _ question: Question? = nil) {
        guard let cache = shared.cache else { return }
        nextToken += 1
        let waiter = FlightWaiter(worker: number, token: nextToken)
        switch unsafe cache.flights.join(key, tag: tag(of: flow), as: waiter, at: loop.now) {
        case .alone: return
        case .follow(let ticket): _ = cache.flights.leave(ticket)
        case .lead(let ticket):
            guard
                let made = unsafe flow.pointee.revision?._withUnsafeGuaranteedRef({
                    unsafe repeated(flow, to: $0, started: loop.now)
                })
            else { return }
            unsafe made.pointee.timeout =
                flow.pointee.model?._withUnsafeGuaranteedRef { $0.timeout } ?? 0
            unsafe made.pointee.held.append(flow.pointee.held.bytes, pool: buffers)
            unsafe made.pointee.credited = flow.pointee.held.count
            unsafe made.pointee.cache.role = .leads
            unsafe made.pointee.cache.key = key
            unsafe made.pointee.cache.ticket = ticket
            unsafe made.pointee.cache.token = nextToken
            unsafe made.pointee.cache.stamp = cache.memory.stamp
            unsafe made.pointee.cache.question = question.map { unsafe .passRetained($0) }
            unsafe armDeadline(made)
            unsafe ask(made)
        }
    }
}
