import SluiceCache
import SluiceCompression
import SluiceCore
import SluiceGRPC
import SluiceHTTP
import SluiceIO
import SluiceInference
import SluiceTelemetry

// A call's answer passes by on its way to the caller; what may be kept is copied, and kept once it
// is whole.

/// A long answer that a helper thread makes into what is kept; its request is over.
struct LongKeep {
    let key: CacheKey
    let stamp: CacheStamp
    /// The call that others wait for, if it has a place in the table.
    let ticket: FlightTicket?
    let lifetime: CacheLifetime
    let born: Instant
    let control: AnswerControl
    let model: WorkerModel
    let revision: WorkerRevision
}

extension Worker {
    /// Begins to copy an answer that may be kept.
    func beginCapture(_ flow: FlowPointer, _ head: FieldBlock) {
        let role = unsafe flow.pointee.cache.role
        guard role == .leads || role == .alone, unsafe flow.pointee.cache.key != nil,
            unsafe flow.pointee.status == 200
        else { return }
        let coding = unsafe NamedCoding(
            head,
            flow.spoken == .grpc ? .grpcEncoding : .contentEncoding
        )
        guard unsafe coding != .unknown || flow.spoken == .grpc else { return }
        unsafe flow.pointee.cache.answerCoding = coding.coding
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
        if let coding = unsafe flow.pointee.cache.answerCoding,
            unsafe flow.pointee.cache.isCapturing,
            unsafe isAnswerCoded(flow, isMessage: flow.spoken == .grpc)
        {
            let limit = cache.memory.maximumEntryBytes
            if unsafe !decodeCaptured(flow, coding, limit: limit) {
                if limit > Worker.turnMaximum, shared.offload != nil {
                    unsafe keepLater(flow)
                    return
                }
                unsafe flow.pointee.cache.isCapturing = false
            }
        }
        if let batch = unsafe rows(of: flow), unsafe keepWhole(flow, batch) { return }
        if unsafe flow.pointee.cache.isCapturing, unsafe isLong(flow.pointee.cache.captured.count) {
            unsafe keepLater(flow)
            return
        }
        guard unsafe flow.pointee.cache.isCapturing, let key = unsafe flow.pointee.cache.key,
            let stamp = unsafe flow.pointee.cache.stamp,
            let kept = unsafe codec.keep(
                flow.pointee.cache.captured.bytes,
                flow.spoken == .grpc ? .grpc : flow.spoken == .v1 ? .v1 : .v2,
                headerLength: headerLength(flow.pointee.cache.headerLength),
                dialect(of: flow),
                meaning: meaning(of: flow)
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

    /// How a V1 backend's answer to a caller of V2 is read, so that all of those get it; nil for any other.
    private func meaning(of flow: FlowPointer) -> PredictCodec.AnswerOrder? {
        guard unsafe flow.spoken == .v1, unsafe flow.pointee.wire != .v1 else { return nil }
        return unsafe wishes(of: flow).map { unsafe answerOrder(flow, $0) }
    }

    /// Has a long answer made into what is kept by a helper thread; the flow itself needn't wait for that.
    private func keepLater(_ flow: FlowPointer) {
        guard let pool = shared.offload, let key = unsafe flow.pointee.cache.key,
            let stamp = unsafe flow.pointee.cache.stamp, let model = unsafe flow.pointee.model,
            let revision = unsafe flow.pointee.revision,
            let policy = unsafe model._withUnsafeGuaranteedRef({ $0.plan.cache })
        else { return unsafe land(flow, .unshared) }
        nextToken += 1
        let token = nextToken
        let body = unsafe Handed(flow.pointee.cache.captured)
        let form: CallerWishes.Form =
            unsafe flow.spoken == .grpc ? .grpc : flow.spoken == .v1 ? .v1 : .v2
        let length = unsafe headerLength(flow.pointee.cache.headerLength)
        let (dialect, home, worker) = (unsafe dialect(of: flow), loop.handle, Handed(self))
        let meaning = unsafe meaning(of: flow)
        let isCoded = unsafe isAnswerCoded(flow, isMessage: form == .grpc)
        let coding = unsafe isCoded ? flow.pointee.cache.answerCoding : nil
        let limit = shared.cache?.memory.maximumEntryBytes ?? 0
        // There may be more of these than requests, since nobody waits for them: too many are refused.
        let isTaken = pool.submit(isRefusable: true) {
            let pool = BufferPool(retainedMaximum: 0)
            var codec = PredictCodec(pool: pool)
            var plain: PooledBytes?
            if let coding {
                let made = unsafe MessageDecoding.decode(
                    body.value.bytes,
                    coding,
                    isMessage: form == .grpc,
                    limit: limit,
                    pool: pool
                )
                plain = try? made.get()
            }
            defer { plain?.release(to: pool) }
            let kept =
                coding != nil && plain == nil
                ? nil
                : unsafe codec.keep(
                    (plain ?? body.value).bytes,
                    form,
                    headerLength: length,
                    dialect,
                    meaning: meaning
                )
            home.submit { worker.value.kept(token, kept, body.value) }
        }
        countOffload(.capture, isTaken: isTaken)
        guard isTaken else { return unsafe land(flow, .unshared) }
        unsafe keeping[token] = LongKeep(
            key: key,
            stamp: stamp,
            ticket: flow.pointee.cache.ticket,
            lifetime: lifetime(of: flow, policy),
            born: loop.now,
            control: flow.pointee.cache.control,
            model: model._withUnsafeGuaranteedRef { $0 },
            revision: revision._withUnsafeGuaranteedRef { $0 }
        )
        unsafe flow.pointee.cache.captured = PooledBytes()
        unsafe flow.pointee.cache.ticket = nil
    }

    /// What is to be kept of a long answer is made, if it can be.
    private func kept(_ token: UInt64, _ kept: [UInt8]?, _ body: PooledBytes) {
        var body = body
        body.release(to: buffers)
        shard.add(shared.store.gauge(OffloadMetrics.active, []), -1)
        guard let keep = keeping.removeValue(forKey: token), let cache = shared.cache else {
            return
        }
        guard let kept else {
            if let ticket = keep.ticket { land(ticket, .unshared) }
            return
        }
        let entry = unsafe kept.withUnsafeBytes {
            unsafe CacheEntry(
                tag: keep.revision.tag,
                born: keep.born,
                lifetime: keep.lifetime,
                answer: $0
            )
        }
        if cache.memory.store(entry, for: keep.key, asked: keep.stamp, at: loop.now) {
            keepInRedis(entry, keep.key, keep.control, keep.model, keep.revision)
        }
        if let ticket = keep.ticket { land(ticket, .answered(entry)) }
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
