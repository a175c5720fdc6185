import SluiceCore
import SluiceHTTP
import SluiceIngress
import SluiceTelemetry

// Internal requests, without a caller: they refresh the cache, or are copies for a
// shadow. They go the way of all others from `attempt(_:)` on.
extension Worker {
    /// The head of `request` once more, for the same model on the same snapshot, without a body.
    ///
    /// Counts as a request in flight to `revision`. What asked for it gives it its body and
    /// lets it go.
    func repeated(
        _ request: Request,
        to revision: WorkerRevision,
        started: Instant
    ) -> Request {
        let head = blocks.take()
        if let original = unsafe request.pointee.head {
            for index in 0..<original.count where !original[index].isRemoved {
                if original[index].name == .sluiceMirror { continue }
                unsafe head.append(
                    name: original.name(of: original[index]),
                    value: original.value(of: original[index])
                )
            }
        }
        let made = unsafe begin(
            .detached(arena, for: request.pointee.exchange),
            head,
            on: request.pointee.workerSnapshot,
            started: started
        )
        unsafe made.pointee.isInternal = true
        unsafe made.pointee.callerProtocol = request.pointee.callerProtocol
        unsafe made.pointee.operation = request.pointee.operation
        unsafe made.pointee.method = request.pointee.method
        unsafe made.pointee.model = request.pointee.model
        unsafe made.pointee.revision = .passUnretained(revision)
        if let parts = unsafe request.existing(PathParts.self) {
            unsafe made.begin(with: parts.pointee)
        }
        unsafe made.pointee.timeout = request.pointee.timeout
        unsafe made.pointee.hasRequestEnded = true
        // Its backend's log names the same request.
        let idCount = unsafe request.pointee.requestIDCount
        unsafe made.requestIDPlace.update(from: request.requestIDPlace, count: Int(idCount))
        unsafe made.pointee.requestIDCount = idCount
        shard.add(revision.metrics.inFlight, 1)
        return unsafe made
    }
}
