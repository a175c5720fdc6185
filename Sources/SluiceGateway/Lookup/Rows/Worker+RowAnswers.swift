import SluiceCache
import SluiceCore
import SluiceHTTP
import SluiceIO
import SluiceInference
import SluiceRedis
import SluiceTelemetry

// Answers are cut, kept, put together and shared; and what happens when that can't be.
extension Worker {
    /// The answer to a request for some rows is whole and a success.
    func rowsAnswered(_ request: Request, _ batch: RowBatch, _ responseFormat: ResponseFormat) {
        if unsafe request.pointee.isMirrored {
            unsafe mirrorRows(request, batch, responseFormat)
        }
        // V1 that was understood is kept as what it means, for all to use.
        let isTranslated = unsafe request.backendProtocol != request.pointee.callerProtocol
        let kept =
            isTranslated && responseFormat.form == .v1
            ? ResponseFormat(.grpc, InferenceRequest()) : responseFormat
        let order = unsafe PredictCodec.CutOrder(
            answer: answerOrder(request, kept),
            isTranslated: isTranslated,
            rows: batch.asked.count
        )
        if unsafe request.lookup.pointee.captured.count > turnLimit {
            unsafe offload(request, .answer, on: .captured) { codec, body in
                unsafe Handed(codec.cutRows(body, order))
            } then: { worker, request, cut in
                guard let request = unsafe request, let batch = unsafe worker.rows(of: request),
                    let responseFormat = unsafe worker.responseFormat(of: request)
                else { return }
                unsafe worker.rowsCut(request, batch, responseFormat, cut)
            }
            return
        }
        unsafe rowsCut(
            request,
            batch,
            responseFormat,
            codec.cutRows(request.lookup.pointee.captured.bytes, order)
        )
    }

    /// The answer to a request for some rows has been cut, or can't be.
    private func rowsCut(
        _ request: Request,
        _ batch: RowBatch,
        _ responseFormat: ResponseFormat,
        _ cut: Result<[[UInt8]]?, InferenceFailure>
    ) {
        let records: [[UInt8]]?
        switch cut {
        case .failure(let failure):
            unsafe replyWithError(request, .answerUntranslatable(failure))
            return
        case .success(let made): records = made
        }
        guard let records else {
            _ = unsafe asksWhole(request)
            return
        }
        unsafe keep(request, batch, records, at: batch.asked)
        guard let answer = unsafe answer(request, batch, responseFormat) else {
            _ = unsafe asksWhole(request)
            return
        }
        unsafe share(request, batch, answer, responseFormat)
        let known = batch.count - batch.asked.count
        let forward = known > 0 ? "partial" : "miss"
        let detail = "rows:\(known)/\(batch.count)"
        let stored = unsafe request.lookup.pointee.control.isStorable ? " stored;" : ""
        unsafe reply(
            request,
            answer,
            cacheStatus: "sluice; fwd=\(forward);\(stored) detail=\(detail)"
        )
    }

    /// Shows the answer for some rows, in the caller's form, to who compares it with a shadow's.
    private func mirrorRows(_ request: Request, _ batch: RowBatch, _ responseFormat: ResponseFormat)
    {
        // What is too long to be compared needn't be copied or translated for that.
        guard unsafe request.lookup.pointee.captured.count <= MirroredAnswer.maximum else {
            unsafe mirrorAnswer(request, request.lookup.pointee.captured.bytes)
            return
        }
        guard unsafe request.backendProtocol != request.pointee.callerProtocol else {
            unsafe mirrorAnswer(
                request,
                RenderedAnswer(
                    contentType: "",
                    body: [UInt8](request.lookup.pointee.captured.bytes),
                    headerLength: request.lookup.pointee.headerLength
                )
            )
            return
        }
        var responseFormat = responseFormat
        if case .rows = responseFormat.layout {
            responseFormat.layout = .rows(count: batch.asked.count)
        }
        if case .success(let made) = unsafe translatedAnswer(request, responseFormat) {
            unsafe mirrorAnswer(request, made)
        }
    }

    /// A whole answer that was relayed: cuts and keeps it; false when it is to be kept as it is.
    func keepWhole(_ request: Request, _ batch: RowBatch) -> Bool {
        guard batch.mode == .whole, unsafe request.pointee.isCapturing,
            let responseFormat = unsafe responseFormat(of: request)
        else { return false }
        let length = unsafe request.lookup.pointee.headerLength
        let records = unsafe codec.cutRows(
            request.lookup.pointee.captured.bytes,
            headerLength: headerLength(length),
            rows: batch.count,
            for: responseFormat,
            runtimeKind(of: request)
        )
        guard let records else {
            unsafe leaveRowsAlone(request)
            return false
        }
        unsafe keep(request, batch, batch.firsts.map { records[$0] }, at: batch.asked)
        unsafe shareWhole(
            request,
            request.lookup.pointee.captured.bytes,
            responseFormat.form,
            length
        )
        return true
    }

    /// Keeps the rows of an answer, the record of each of `places`, in both tiers.
    private func keep(
        _ request: Request,
        _ batch: RowBatch,
        _ records: [[UInt8]],
        at places: [Int]
    ) {
        guard let cache = shared.cache, let stamp = unsafe request.lookup.pointee.stamp,
            let policy = unsafe request.pointee.model?._withUnsafeGuaranteedRef({ $0.plan.cache })
        else { return }
        if records.count > 1 {
            unsafe request.pointee.revision?._withUnsafeGuaranteedRef { revision in
                unsafe records[0].withUnsafeBytes {
                    unsafe revision.rows.separators.learn(from: $0)
                }
            }
        }
        let tag = unsafe tag(of: request)
        let isStorable = unsafe request.lookup.pointee.control.isStorable
        for (index, place) in places.enumerated() {
            let entry = unsafe records[index].withUnsafeBytes {
                unsafe CacheEntry(
                    tag: tag,
                    born: loop.now,
                    lifetime: lifetime(of: request, policy),
                    answer: $0
                )
            }
            batch.entries[place] = entry
            // It makes this answer, whether it may make others or not.
            guard isStorable else { continue }
            let isKept = cache.memory.store(
                entry,
                for: batch.keys[place],
                asked: stamp,
                at: loop.now
            )
            if isKept,
                unsafe entry.answer.count + StoredValue.headerByteCount <= Worker.storedRowMaximum
            {
                unsafe keepInRedis(request, entry, batch.keys[place])
            }
        }
    }

    /// Gives an answer to those who wait for an equal one; it isn't kept, its rows are.
    func shareWhole(
        _ request: Request,
        _ body: UnsafeRawBufferPointer,
        _ form: ResponseFormat.APIForm,
        _ length: Int
    ) {
        guard unsafe request.pointee.cacheRole == .leads, let cache = shared.cache,
            unsafe request.lookup.pointee.ticket != nil
        else { return }
        guard body.count <= cache.memory.maximumEntryBytes,
            unsafe request.lookup.pointee.control.isStorable,
            let kept = unsafe codec.keep(
                body,
                form,
                headerLength: headerLength(length),
                runtimeKind(of: request)
            ),
            let policy = unsafe request.pointee.model?._withUnsafeGuaranteedRef({ $0.plan.cache })
        else {
            unsafe complete(request, .unshared)
            return
        }
        let entry = unsafe kept.withUnsafeBytes {
            unsafe CacheEntry(
                tag: tag(of: request),
                born: loop.now,
                lifetime: lifetime(of: request, policy),
                answer: $0
            )
        }
        unsafe complete(request, .answered(entry))
    }

    /// Gives an answer that was put together to those who wait for an equal one.
    func share(
        _ request: Request,
        _ batch: RowBatch,
        _ answer: RenderedAnswer,
        _ responseFormat: ResponseFormat
    ) {
        guard unsafe request.pointee.cacheRole == .leads else { return }
        var (answer, form) = (answer, responseFormat.form)
        if form == .v1, unsafe !speaksCallersForm(request, .v1) {
            // V2 callers may wait for it as well.
            form = .grpc
            let plain = ResponseFormat(.grpc, InferenceRequest())
            guard let made = unsafe self.answer(request, batch, plain) else {
                unsafe complete(request, .unshared)
                return
            }
            answer = made
        }
        unsafe answer.body.withUnsafeBytes {
            unsafe shareWhole(request, $0, form, answer.headerLength)
        }
    }

    // MARK: - When rows don't work

    /// Sends the caller's own request after all, since the answer to some rows is of no use; false when
    /// it was the caller's own.
    func asksWhole(_ request: Request) -> Bool {
        guard let batch = unsafe rows(of: request), batch.mode == .partial,
            let head = batch.head
        else { return false }
        unsafe leaveRowsAlone(request)
        batch.mode = .off
        batch.head = nil
        unsafe cancelCall(request, "rows")
        unsafe leaveBackend(request)
        unsafe forget(request)
        unsafe request.pointee.head = head
        unsafe request.pointee.body.buffered.release(to: buffers)
        unsafe request.pointee.body.buffered = batch.body
        batch.body = PooledBytes()
        unsafe request.pointee.body.acknowledged = request.pointee.body.buffered.count
        unsafe request.lookup.pointee.captured.release(to: buffers)
        unsafe request.lookup.pointee.headerLength = -1
        unsafe request.pointee.isTranslated = false
        unsafe forgetTried(request)
        // The caller's head isn't ours yet, whatever became of the other.
        unsafe request.pointee.retry.isPrepared = false
        unsafe request.pointee.attempt.firstByte = .zero
        unsafe request.pointee.attempt.sent = .zero
        unsafe request.resetClock()
        // A copy of some rows says nothing about the whole.
        if unsafe request.pointee.isMirrored { unsafe leaveMirror(request) }
        unsafe attempt(request)
        return true
    }

    /// Notes that the revision's answers can't be handled by rows at present.
    func leaveRowsAlone(_ request: Request) {
        unsafe countFallback(request, .answer)
        unsafe request.pointee.revision?._withUnsafeGuaranteedRef {
            $0.rows.pausedUntil = loop.now + RowCachingState.pause
        }
    }

    /// Serves rows past their time where the call has failed; false when some aren't known at all.
    func serveStaleRows(_ request: Request) -> Bool {
        guard let batch = unsafe rows(of: request), batch.useStaleEntries(at: loop.now),
            let responseFormat = unsafe responseFormat(of: request),
            let answer = unsafe answer(request, batch, responseFormat)
        else { return false }
        unsafe share(request, batch, answer, responseFormat)
        let status = "sluice; hit; ttl=\(secondsLeft(batch)); detail=stale-if-error"
        unsafe reply(request, answer, cacheStatus: status)
        return true
    }

    /// Gives back what a batch holds of the worker's.
    func release(_ batch: RowBatch) {
        if let head = batch.head { blocks.give(head) }
        batch.head = nil
        batch.body.release(to: buffers)
    }

    // MARK: - Counting

    func countRows(_ request: Request, hits: Int, misses: Int) {
        guard unsafe !request.pointee.isInternal else { return }
        unsafe request.pointee.model?._withUnsafeGuaranteedRef {
            guard let metrics = $0.rowMetrics else { return }
            if hits > 0 { shard.add(metrics.hits, UInt64(hits)) }
            if misses > 0 { shard.add(metrics.misses, UInt64(misses)) }
        }
    }

    func countFallback(_ request: Request, _ reason: RowFallback) {
        guard unsafe !request.pointee.isInternal else { return }
        unsafe request.pointee.model?._withUnsafeGuaranteedRef {
            if let metrics = $0.rowMetrics { shard.add(metrics.counter(reason)) }
        }
    }
}
