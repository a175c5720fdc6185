import SluiceCache
import SluiceCore
import SluiceHTTP
import SluiceIngress
import SluiceTelemetry

// A stale answer was served; a request of our own fetches a new one, with nobody at its other end.
extension Worker {
    /// Asks the backend again what `flow` asked, unless somebody does already.
    func refresh(_ flow: FlowPointer, _ key: CacheKey, _ question: Question? = nil) {
        guard let cache = shared.cache else { return }
        nextToken += 1
        let waiter = FlightWaiter(worker: number, token: nextToken)
        switch unsafe cache.flights.join(key, tag: tag(of: flow), as: waiter) {
        case .alone: return
        case .follow(let ticket): _ = cache.flights.leave(ticket)
        case .lead(let ticket):
            let made = unsafe copy(flow)
            unsafe made.pointee.cache.role = .leads
            unsafe made.pointee.cache.key = key
            unsafe made.pointee.cache.ticket = ticket
            unsafe made.pointee.cache.token = nextToken
            unsafe made.pointee.cache.stamp = cache.memory.stamp
            unsafe flow.pointee.revision?._withUnsafeGuaranteedRef {
                shard.add($0.metrics.inFlight, 1)
            }
            unsafe made.pointee.cache.question = question.map { unsafe .passRetained($0) }
            unsafe armDeadline(made)
            unsafe ask(made)
        }
    }

    /// The same fields once more.
    func copy(_ original: FieldBlock) -> FieldBlock {
        let head = blocks.take()
        for index in 0..<original.count where !original[index].isRemoved {
            unsafe head.append(
                name: original.name(of: original[index]),
                value: original.value(of: original[index])
            )
        }
        return head
    }

    /// The same request once more: head, body, model and revision.
    private func copy(_ flow: FlowPointer) -> FlowPointer {
        let head = unsafe flow.pointee.head.map { copy($0) } ?? blocks.take()
        let made = unsafe begin(.alone(arena), head)
        unsafe made.pointee.isRefresh = true
        unsafe made.pointee.wire = flow.pointee.wire
        unsafe made.pointee.operation = flow.pointee.operation
        unsafe made.pointee.method = flow.pointee.method
        unsafe made.pointee.model = flow.pointee.model
        unsafe made.pointee.revision = flow.pointee.revision
        unsafe made.pointee.modelStart = flow.pointee.modelStart
        unsafe made.pointee.modelEnd = flow.pointee.modelEnd
        unsafe made.pointee.prefixLength = flow.pointee.prefixLength
        unsafe made.pointee.timeout =
            flow.pointee.model?._withUnsafeGuaranteedRef { $0.timeout } ?? 0
        unsafe made.pointee.hasRequestEnded = true
        unsafe made.pointee.held.append(flow.pointee.held.bytes, pool: buffers)
        unsafe made.pointee.credited = flow.pointee.held.count
        return unsafe made
    }
}
