import SluiceCache
import SluiceCore
import SluiceGRPC
import SluiceHTTP
import SluiceIO
import SluiceInference
import SluiceTelemetry

// A call's answer passes by on its way to the caller; what may be kept is copied, and kept once it
// is whole.
extension Worker {
    /// Begins to copy an answer that may be kept.
    func beginCapture(_ flow: FlowPointer, _ head: FieldBlock) {
        let role = unsafe flow.pointee.cache.role
        guard role == .leads || role == .alone, unsafe flow.pointee.cache.key != nil,
            unsafe flow.pointee.status == 200, unsafe head.first(.contentEncoding) == nil
        else { return }
        unsafe flow.pointee.cache.control = AnswerControl(head)
        guard unsafe flow.pointee.cache.control.isStorable else { return }
        unsafe flow.pointee.cache.isCapturing = true
        if let text = unsafe head.first(.inferenceHeaderContentLength) {
            unsafe flow.pointee.cache.headerLength = ASCII.decimal(text) ?? -1
        }
    }

    /// Copies a piece of an answer, until it is too large to be kept.
    func capture(_ flow: FlowPointer, _ bytes: UnsafeRawBufferPointer) {
        let limit = shared.cache?.memory.maximumEntryBytes ?? 0
        if unsafe flow.pointee.cache.captured.count + bytes.count > limit {
            unsafe flow.pointee.cache.isCapturing = false
            unsafe flow.pointee.cache.captured.release(to: buffers)
        } else {
            unsafe flow.pointee.cache.captured.append(bytes, pool: buffers)
        }
    }

    /// Keeps an answer that is whole and tells who waits, before the flow ends.
    func finishCapture(_ flow: FlowPointer) {
        guard let cache = shared.cache else { return }
        if let batch = unsafe rows(of: flow), unsafe keepWhole(flow, batch) { return }
        guard unsafe flow.pointee.cache.isCapturing, let key = unsafe flow.pointee.cache.key,
            let stamp = unsafe flow.pointee.cache.stamp,
            let kept = unsafe codec.keep(
                flow.pointee.cache.captured.bytes,
                flow.spoken == .grpc ? .grpc : flow.spoken == .v1 ? .v1 : .v2,
                headerLength: headerLength(flow.pointee.cache.headerLength),
                dialect(of: flow)
            ),
            let policy = unsafe flow.pointee.model?._withUnsafeGuaranteedRef({ $0.plan.cache })
        else {
            // A failure is everybody's, and told when the flow ends; an answer that is merely too
            // large, can't be told in other forms or forbids it itself sends each to the backend.
            if unsafe flow.pointee.status < 400 { unsafe land(flow, .unshared) }
            return
        }
        let entry = unsafe kept.withUnsafeBytes {
            unsafe CacheEntry(
                tag: tag(of: flow),
                born: loop.now,
                lifetime: lifetime(of: flow, policy),
                answer: $0
            )
        }
        if cache.memory.store(entry, for: key, asked: stamp, at: loop.now) {
            unsafe keepInRedis(flow, entry, key)
        }
        unsafe land(flow, .answered(entry))
    }

    /// How long the answer that came may be used: as the policy has it, or for less where it says so.
    func lifetime(of flow: FlowPointer, _ policy: CachePolicy) -> CacheLifetime {
        let own = policy.lifetime(bornAt: loop.now, random: &random)
        let control = unsafe flow.pointee.cache.control
        guard control.freshness < .max || control.mustRevalidate else { return own }
        var end = own.freshUntil
        if control.freshness < .max {
            end = min(end, loop.now.advanced(byNanoseconds: control.freshness))
        }
        return policy.lifetime(freshUntil: end, mustRevalidate: control.mustRevalidate)
    }
}
