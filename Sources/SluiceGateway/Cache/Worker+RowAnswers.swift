import SluiceCache
import SluiceCore
import SluiceEgress
import SluiceHTTP
import SluiceIO
import SluiceInference
import SluiceRedis
import SluiceTelemetry

// Answers are cut, kept, put together and shared; and what happens when that can't be.
extension Worker {
    /// The answer to a request for some rows is whole and a success.
    func rowsAnswered(_ flow: FlowPointer, _ batch: RowBatch, _ wishes: CallerWishes) {
        if unsafe flow.pointee.mirror != nil { unsafe mirrorRows(flow, batch, wishes) }
        // V1 that was understood is kept as what it means, for all to use.
        let isTranslated = unsafe flow.spoken != flow.pointee.wire
        let kept =
            isTranslated && wishes.form == .v1
            ? CallerWishes(.grpc, InferenceRequest()) : wishes
        let order = unsafe PredictCodec.CutOrder(
            answer: answerOrder(flow, kept),
            isTranslated: isTranslated,
            rows: batch.asked.count
        )
        if unsafe isLong(flow.pointee.cache.captured.count) {
            unsafe offload(flow, .answer, on: .captured) { codec, body in
                unsafe Handed(codec.cutRows(body, order))
            } then: { worker, flow, cut in
                guard let flow = unsafe flow, let batch = unsafe worker.rows(of: flow),
                    let wishes = unsafe worker.wishes(of: flow)
                else { return }
                unsafe worker.rowsCut(flow, batch, wishes, cut)
            }
            return
        }
        unsafe rowsCut(
            flow,
            batch,
            wishes,
            codec.cutRows(flow.pointee.cache.captured.bytes, order)
        )
    }

    /// The answer to a request for some rows has been cut, or can't be.
    private func rowsCut(
        _ flow: FlowPointer,
        _ batch: RowBatch,
        _ wishes: CallerWishes,
        _ cut: Result<[[UInt8]]?, InferenceFailure>
    ) {
        let records: [[UInt8]]?
        switch cut {
        case .failure(let failure):
            unsafe refuse(flow, .answerUntranslatable(failure))
            return
        case .success(let made): records = made
        }
        guard let records else {
            _ = unsafe asksWhole(flow)
            return
        }
        unsafe keep(flow, batch, records, at: batch.asked)
        guard let answer = unsafe answer(flow, batch, wishes) else {
            _ = unsafe asksWhole(flow)
            return
        }
        unsafe share(flow, batch, answer, wishes)
        let known = batch.count - batch.asked.count
        let forward = known > 0 ? "partial" : "miss"
        let detail = "rows:\(known)/\(batch.count)"
        let stored = unsafe flow.pointee.cache.control.isStorable ? " stored;" : ""
        unsafe reply(
            flow,
            answer,
            cacheStatus: "sluice; fwd=\(forward);\(stored) detail=\(detail)"
        )
    }

    /// Shows the answer for some rows, in the caller's form, to who compares it with a shadow's.
    private func mirrorRows(_ flow: FlowPointer, _ batch: RowBatch, _ wishes: CallerWishes) {
        // What is too long to be compared needn't be copied or translated for that.
        guard unsafe flow.pointee.cache.captured.count <= MirroredAnswer.maximum else {
            unsafe mirrorAnswer(flow, flow.pointee.cache.captured.bytes)
            return
        }
        guard unsafe flow.spoken != flow.pointee.wire else {
            unsafe mirrorAnswer(
                flow,
                RenderedAnswer(
                    contentType: "",
                    body: [UInt8](flow.pointee.cache.captured.bytes),
                    headerLength: flow.pointee.cache.headerLength
                )
            )
            return
        }
        var wishes = wishes
        if case .rows = wishes.layout { wishes.layout = .rows(count: batch.asked.count) }
        if case .success(let made) = unsafe translatedAnswer(flow, wishes) {
            unsafe mirrorAnswer(flow, made)
        }
    }

    /// A whole answer that was relayed: cuts and keeps it; false when it is to be kept as it is.
    func keepWhole(_ flow: FlowPointer, _ batch: RowBatch) -> Bool {
        guard batch.mode == .whole, unsafe flow.pointee.cache.isCapturing,
            let wishes = unsafe wishes(of: flow)
        else { return false }
        let length = unsafe flow.pointee.cache.headerLength
        let records = unsafe codec.cutRows(
            flow.pointee.cache.captured.bytes,
            headerLength: headerLength(length),
            rows: batch.count,
            for: wishes,
            dialect(of: flow)
        )
        guard let records else {
            unsafe leaveRowsAlone(flow)
            return false
        }
        unsafe keep(flow, batch, batch.firsts.map { records[$0] }, at: batch.asked)
        unsafe shareWhole(flow, flow.pointee.cache.captured.bytes, wishes.form, length)
        return true
    }

    /// Keeps the rows of an answer, the record of each of `places`, in both tiers.
    private func keep(
        _ flow: FlowPointer,
        _ batch: RowBatch,
        _ records: [[UInt8]],
        at places: [Int]
    ) {
        guard let cache = shared.cache, let stamp = unsafe flow.pointee.cache.stamp,
            let policy = unsafe flow.pointee.model?._withUnsafeGuaranteedRef({ $0.plan.cache })
        else { return }
        if records.count > 1 {
            unsafe flow.pointee.revision?._withUnsafeGuaranteedRef { revision in
                unsafe records[0].withUnsafeBytes {
                    unsafe revision.rows.separators.learn(from: $0)
                }
            }
        }
        let tag = unsafe tag(of: flow)
        let isStorable = unsafe flow.pointee.cache.control.isStorable
        for (index, place) in places.enumerated() {
            let entry = unsafe records[index].withUnsafeBytes {
                unsafe CacheEntry(
                    tag: tag,
                    born: loop.now,
                    lifetime: lifetime(of: flow, policy),
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
                unsafe keepInRedis(flow, entry, batch.keys[place])
            }
        }
    }

    /// Gives an answer to those who wait for an equal one; it isn't kept, its rows are.
    func shareWhole(
        _ flow: FlowPointer,
        _ body: UnsafeRawBufferPointer,
        _ form: CallerWishes.Form,
        _ length: Int
    ) {
        guard unsafe flow.pointee.cache.role == .leads, let cache = shared.cache,
            unsafe flow.pointee.cache.ticket != nil
        else { return }
        guard body.count <= cache.memory.maximumEntryBytes,
            unsafe flow.pointee.cache.control.isStorable,
            let kept = unsafe codec.keep(
                body,
                form,
                headerLength: headerLength(length),
                dialect(of: flow)
            ),
            let policy = unsafe flow.pointee.model?._withUnsafeGuaranteedRef({ $0.plan.cache })
        else {
            unsafe land(flow, .unshared)
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
        unsafe land(flow, .answered(entry))
    }

    /// Gives an answer that was put together to those who wait for an equal one.
    func share(
        _ flow: FlowPointer,
        _ batch: RowBatch,
        _ answer: RenderedAnswer,
        _ wishes: CallerWishes
    ) {
        guard unsafe flow.pointee.cache.role == .leads else { return }
        var (answer, form) = (answer, wishes.form)
        if form == .v1, unsafe !speaksCallersForm(flow, .v1) {
            // V2 callers may wait for it as well.
            form = .grpc
            let plain = CallerWishes(.grpc, InferenceRequest())
            guard let made = unsafe self.answer(flow, batch, plain) else {
                unsafe land(flow, .unshared)
                return
            }
            answer = made
        }
        unsafe answer.body.withUnsafeBytes {
            unsafe shareWhole(flow, $0, form, answer.headerLength)
        }
    }

    // MARK: - When rows don't work

    /// Sends the caller's own request after all, since the answer to some rows is of no use; false when
    /// it was the caller's own.
    func asksWhole(_ flow: FlowPointer) -> Bool {
        guard let batch = unsafe rows(of: flow), batch.mode == .partial,
            let head = batch.head
        else { return false }
        unsafe leaveRowsAlone(flow)
        batch.mode = .off
        batch.head = nil
        unsafe cancelCall(flow, "rows")
        unsafe leaveBackend(flow)
        unsafe forget(flow)
        unsafe flow.pointee.head = head
        unsafe flow.pointee.held.release(to: buffers)
        unsafe flow.pointee.held = batch.body
        batch.body = PooledBytes()
        unsafe flow.pointee.credited = flow.pointee.held.count
        unsafe flow.pointee.cache.captured.release(to: buffers)
        unsafe flow.pointee.cache.headerLength = -1
        unsafe flow.pointee.isTranslated = false
        unsafe forgetTried(flow)
        // The caller's head isn't ours yet, whatever became of the other.
        unsafe flow.pointee.retry.isPrepared = false
        unsafe flow.pointee.firstByte = .zero
        unsafe flow.pointee.sent = .zero
        unsafe flow.pointee.clock = AttemptClock()
        // A copy of some rows says nothing about the whole.
        if unsafe flow.pointee.mirror != nil { unsafe leaveMirror(flow) }
        unsafe attempt(flow)
        return true
    }

    /// Notes that the revision's answers can't be handled by rows at present.
    func leaveRowsAlone(_ flow: FlowPointer) {
        unsafe countFallback(flow, .answer)
        unsafe flow.pointee.revision?._withUnsafeGuaranteedRef {
            $0.rows.pausedUntil = loop.now + RowHabits.pause
        }
    }

    /// Serves rows past their time where the call has failed; false when some aren't known at all.
    func serveSpareRows(_ flow: FlowPointer) -> Bool {
        guard let batch = unsafe rows(of: flow), batch.useSpares(at: loop.now),
            let wishes = unsafe wishes(of: flow),
            let answer = unsafe answer(flow, batch, wishes)
        else { return false }
        unsafe share(flow, batch, answer, wishes)
        let status = "sluice; hit; ttl=\(secondsLeft(batch)); detail=stale-if-error"
        unsafe reply(flow, answer, cacheStatus: status)
        return true
    }

    /// Gives back what a batch holds of the worker's.
    func release(_ batch: RowBatch) {
        if let head = batch.head { blocks.give(head) }
        batch.head = nil
        batch.body.release(to: buffers)
    }

    // MARK: - Counting

    func countRows(_ flow: FlowPointer, hits: Int, misses: Int) {
        guard unsafe !flow.pointee.isUnheard else { return }
        unsafe flow.pointee.model?._withUnsafeGuaranteedRef {
            guard let metrics = $0.rowMetrics else { return }
            if hits > 0 { shard.add(metrics.hits, UInt64(hits)) }
            if misses > 0 { shard.add(metrics.misses, UInt64(misses)) }
        }
    }

    func countFallback(_ flow: FlowPointer, _ reason: RowFallback) {
        guard unsafe !flow.pointee.isUnheard else { return }
        unsafe flow.pointee.model?._withUnsafeGuaranteedRef {
            if let metrics = $0.rowMetrics { shard.add(metrics.counter(reason)) }
        }
    }
}
