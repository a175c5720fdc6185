import SluiceCore
import SluiceHTTP
import SluiceIngress
import SluiceTelemetry

// Requests of our own, with nobody at their other end: they refresh the cache, or are copies for a
// shadow. They go the way of all others from `attempt(_:)` on.
extension Worker {
    /// The head of `flow` once more, for the same model on the same snapshot, without a body.
    ///
    /// Counts as a request in flight to `revision`. Whoever asked for it gives it its body and
    /// lets it go.
    func repeated(
        _ flow: FlowPointer,
        to revision: WorkerRevision,
        started: Instant
    ) -> FlowPointer {
        let head = blocks.take()
        if let original = unsafe flow.pointee.head {
            for index in 0..<original.count where !original[index].isRemoved {
                if original[index].name == .sluiceMirror { continue }
                unsafe head.append(
                    name: original.name(of: original[index]),
                    value: original.value(of: original[index])
                )
            }
        }
        let made = unsafe begin(
            .alone(arena, for: flow.pointee.exchange),
            head,
            on: flow.pointee.replica,
            started: started
        )
        unsafe made.pointee.isUnheard = true
        unsafe made.pointee.wire = flow.pointee.wire
        unsafe made.pointee.operation = flow.pointee.operation
        unsafe made.pointee.method = flow.pointee.method
        unsafe made.pointee.model = flow.pointee.model
        unsafe made.pointee.revision = .passUnretained(revision)
        unsafe made.pointee.modelStart = flow.pointee.modelStart
        unsafe made.pointee.modelEnd = flow.pointee.modelEnd
        unsafe made.pointee.prefixLength = flow.pointee.prefixLength
        unsafe made.pointee.timeout = flow.pointee.timeout
        unsafe made.pointee.hasRequestEnded = true
        // Its backend's log names the same request.
        unsafe made.pointee.scratch.copyMemory(from: UnsafeRawBufferPointer(flow.pointee.scratch))
        unsafe made.pointee.requestIDCount = flow.pointee.requestIDCount
        shard.add(revision.metrics.inFlight, 1)
        return unsafe made
    }
}
