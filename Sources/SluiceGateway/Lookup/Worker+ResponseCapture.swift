import SluiceCache
import SluiceCore
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
    let ticket: CoalescingTicket?
    let lifetime: CacheLifetime
    let born: Instant
    let control: AnswerControl
    let model: WorkerModel
    let revision: WorkerRevision
}

extension Worker {
    /// Begins to copy an answer that may be kept.
    func beginCapture(_ request: Request, _ head: FieldBlock) {
        let role = unsafe request.pointee.cacheRole
        guard role == .leads || role == .uncoalesced, unsafe request.lookup.pointee.key != nil,
            unsafe request.pointee.status == 200
        else { return }
        let coding = unsafe NamedCoding(
            head,
            request.backendProtocol == .grpc ? .grpcEncoding : .contentEncoding
        )
        guard unsafe coding != .unknown || request.backendProtocol == .grpc else { return }
        unsafe request.lookup.pointee.answerCoding = coding.coding
        unsafe request.lookup.pointee.control = AnswerControl(head)
        guard unsafe request.lookup.pointee.control.isStorable else { return }
        unsafe request.pointee.isCapturing = true
        if let text = unsafe head.first(.inferenceHeaderContentLength) {
            unsafe request.lookup.pointee.headerLength = ASCII.decimal(text) ?? -1
        }
    }

    /// Copies a piece of an answer, until it is too large to be kept.
    func capture(_ request: Request, _ bytes: UnsafeRawBufferPointer) {
        let limit = shared.cache?.memory.maximumEntryBytes ?? 0
        if unsafe request.lookup.pointee.captured.count + bytes.count > limit {
            unsafe request.pointee.isCapturing = false
            unsafe request.lookup.pointee.captured.release(to: buffers)
        } else {
            unsafe request.lookup.pointee.captured.append(bytes, pool: buffers)
        }
    }

    /// Keeps an answer that is whole and tells who waits, before the request ends.
    func finishCapture(_ request: Request) {
        guard let cache = shared.cache else { return }
        if unsafe request.pointee.isCapturing,
            let coding = unsafe request.lookup.pointee.answerCoding,
            unsafe isAnswerCoded(request, isMessage: request.backendProtocol == .grpc)
        {
            let limit = cache.memory.maximumEntryBytes
            if unsafe !decodeCaptured(request, coding, limit: limit) {
                if limit > turnLimit {
                    unsafe keepLater(request)
                    return
                }
                unsafe request.pointee.isCapturing = false
            }
        }
        if let batch = unsafe rows(of: request), unsafe keepWhole(request, batch) { return }
        if unsafe request.pointee.isCapturing,
            unsafe request.lookup.pointee.captured.count > turnLimit
        {
            unsafe keepLater(request)
            return
        }
        guard unsafe request.pointee.isCapturing, let key = unsafe request.lookup.pointee.key,
            let stamp = unsafe request.lookup.pointee.stamp,
            let revision = unsafe request.pointee.revision,
            let kept = unsafe codec.keep(
                request.lookup.pointee.captured.bytes,
                request.backendProtocol == .grpc
                    ? .grpc : request.backendProtocol == .v1 ? .v1 : .v2,
                headerLength: headerLength(request.lookup.pointee.headerLength),
                runtimeKind(of: request),
                meaning: meaning(of: request)
            ),
            let policy = unsafe request.pointee.model?._withUnsafeGuaranteedRef({ $0.plan.cache })
        else {
            // A failure is everybody's, and told when the request ends; an answer that is merely too
            // large, can't be told in other forms or forbids it itself sends each to the backend.
            if unsafe request.pointee.status < 400 { unsafe complete(request, .unshared) }
            return
        }
        let entry = unsafe kept.withUnsafeBytes {
            unsafe CacheEntry(
                tag: revision._withUnsafeGuaranteedRef { $0.tag },
                born: loop.now,
                lifetime: lifetime(of: request, policy),
                answer: $0
            )
        }
        if cache.memory.store(entry, for: key, asked: stamp, at: loop.now), redis != nil {
            unsafe keepInRedis(request, entry, key)
        }
        unsafe complete(request, .answered(entry))
    }

    /// Has a long answer made into what is kept by a helper thread; the request itself needn't wait for that.
    private func keepLater(_ request: Request) {
        guard let pool = shared.offload, let key = unsafe request.lookup.pointee.key,
            let stamp = unsafe request.lookup.pointee.stamp,
            let model = unsafe request.pointee.model,
            let revision = unsafe request.pointee.revision,
            let policy = unsafe model._withUnsafeGuaranteedRef({ $0.plan.cache })
        else { return unsafe complete(request, .unshared) }
        nextToken += 1
        let token = nextToken
        let body = unsafe Handed(request.lookup.pointee.captured)
        let form: ResponseFormat.APIForm =
            unsafe request.backendProtocol == .grpc
            ? .grpc : request.backendProtocol == .v1 ? .v1 : .v2
        let length = unsafe headerLength(request.lookup.pointee.headerLength)
        let (runtimeKind, home, worker) = (
            unsafe runtimeKind(of: request), loop.handle, Handed(self)
        )
        let meaning = unsafe meaning(of: request)
        let isCoded = unsafe isAnswerCoded(request, isMessage: form == .grpc)
        let coding = unsafe isCoded ? request.lookup.pointee.answerCoding : nil
        let limit = shared.cache?.memory.maximumEntryBytes ?? 0
        // There may be more of these than requests, since no request waits for them: too many are refused.
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
                    runtimeKind,
                    meaning: meaning
                )
            home.submit { worker.value.kept(token, kept, body.value) }
        }
        countOffload(.capture, isTaken: isTaken)
        guard isTaken else { return unsafe complete(request, .unshared) }
        unsafe keeping[token] = LongKeep(
            key: key,
            stamp: stamp,
            ticket: request.lookup.pointee.ticket,
            lifetime: lifetime(of: request, policy),
            born: loop.now,
            control: request.lookup.pointee.control,
            model: model._withUnsafeGuaranteedRef { $0 },
            revision: revision._withUnsafeGuaranteedRef { $0 }
        )
        unsafe request.lookup.pointee.captured = PooledBytes()
        unsafe request.lookup.pointee.ticket = nil
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
            if let ticket = keep.ticket { complete(ticket, .unshared) }
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
        if let ticket = keep.ticket { complete(ticket, .answered(entry)) }
    }

    /// How long the answer that came may be used: as the policy has it, or for less where it says so.
    func lifetime(of request: Request, _ policy: CachePolicy) -> CacheLifetime {
        let own = policy.lifetime(bornAt: loop.now, random: &random)
        let control = unsafe request.lookup.pointee.control
        guard control.freshness < .max || control.mustRevalidate else { return own }
        var end = own.freshUntil
        if control.freshness < .max {
            end = min(end, loop.now.advanced(byNanoseconds: control.freshness))
        }
        return policy.lifetime(freshUntil: end, mustRevalidate: control.mustRevalidate)
    }
}
