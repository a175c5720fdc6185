import SluiceCache
import SluiceCore
import SluiceEgress
import SluiceHTTP
import SluiceIO
import SluiceInference
import SluiceRedis
import SluiceTelemetry

// What isn't known is asked of the model: the caller's own request, or one of ours for some rows.
extension Worker {
    /// Asks the model for what isn't known, if anything.
    func askForRows(_ flow: FlowPointer, _ batch: RowBatch) {
        guard let wishes = unsafe wishes(of: flow) else { return }
        if batch.missing.isEmpty {
            if let answer = unsafe answer(flow, batch, wishes) {
                unsafe countRows(flow, hits: batch.count, misses: 0)
                let detail = "rows:\(batch.count)/\(batch.count)"
                let status = "sluice; hit; ttl=\(secondsLeft(batch)); detail=\(detail)"
                unsafe share(flow, batch, answer, wishes)
                unsafe reply(flow, answer, cacheStatus: status)
                return
            }
            if unsafe !lacksSeparators(flow, batch, wishes) {
                batch.entries = Array(repeating: nil, count: batch.keys.count)
            }
        }
        batch.asked = batch.missing
        let lacks = unsafe lacksSeparators(flow, batch, wishes)
        if lacks, batch.asked.count < 2 {
            // Two rows in one answer show what stands between them.
            let others = batch.keys.indices.filter { !batch.asked.contains($0) }
            batch.asked = (batch.asked + others.prefix(2 - batch.asked.count)).sorted()
        }
        let isVerbatim = unsafe speaksCallersForm(flow, wishes.form)
        let showsNothing = lacks && batch.asked.count < 2
        if isVerbatim, batch.asked.count == batch.count || showsNothing {
            batch.mode = .whole
            batch.asked = Array(batch.keys.indices)
            unsafe countRows(flow, hits: 0, misses: batch.count)
        } else if showsNothing {
            unsafe countFallback(flow, .request)
            batch.mode = .off
        } else if unsafe !replaceRequest(flow, batch, wishes.form) {
            unsafe countFallback(flow, .request)
            batch.mode = .off
        } else {
            batch.mode = .partial
            unsafe flow.pointee.isTranslated = isVerbatim
            unsafe flow.pointee.backendWire = flow.pointee.wire
            unsafe countRows(
                flow,
                hits: batch.count - batch.asked.count,
                misses: batch.asked.count
            )
        }
        unsafe attempt(flow)
    }

    /// Whether the backend is spoken to as the caller speaks.
    func speaksCallersForm(_ flow: FlowPointer, _ form: CallerWishes.Form) -> Bool {
        unsafe flow.pointee.revision?._withUnsafeGuaranteedRef {
            unsafe $0.form(for: form) == form && !($0.readsOnlyJSON && hasBinaryTensors(flow))
        } ?? false
    }

    /// Whether nothing known says what stands between V1's rows, which only an answer can show.
    func lacksSeparators(
        _ flow: FlowPointer,
        _ batch: RowBatch,
        _ wishes: CallerWishes
    ) -> Bool {
        guard wishes.form == .v1, batch.count > 1, unsafe speaksCallersForm(flow, .v1) else {
            return false
        }
        let separators = unsafe habits(of: flow).separators
        return !batch.entries.contains { entry in
            entry.map { unsafe RowAnswer.knowsSeparators($0.answer, separators) } ?? false
        }
    }

    /// Puts a request for the rows asked into the place of the caller's; false when there is none.
    private func replaceRequest(
        _ flow: FlowPointer,
        _ batch: RowBatch,
        _ form: CallerWishes.Form
    ) -> Bool {
        guard let head = unsafe flow.pointee.head,
            let made = unsafe codec.writeRows(
                batch.asked.map { batch.firsts[$0] },
                of: flow.pointee.held.bytes,
                form,
                headerLength: requestHeaderLength(head),
                count: batch.count
            )
        else { return false }
        batch.head = copy(head)
        batch.body = unsafe flow.pointee.held
        unsafe flow.pointee.held = PooledBytes()
        unsafe made.body.withUnsafeBytes { unsafe flow.pointee.held.append($0, pool: buffers) }
        // The caller has heard of all it sent.
        unsafe flow.pointee.credited = made.body.count
        for field in [
            FieldName.contentLength, .inferenceHeaderContentLength, .acceptEncoding,
            .grpcAcceptEncoding,
        ] { head.remove(field) }
        if form != .grpc {
            head.append(.contentLength, decimal: made.body.count, isVolatile: true)
        }
        if let length = made.headerLength {
            head.append(.inferenceHeaderContentLength, decimal: length, isVolatile: true)
        }
        return true
    }

    /// The same fields once more.
    func copy(_ original: FieldBlock) -> FieldBlock {
        let head = blocks.take()
        for index in 0..<original.count where !original[index].isRemoved {
            unsafe head.append(
                name: original.name(of: original[index]),
                value: original.value(of: original[index])
            )
            if original[index].isVolatile { head.markVolatile(at: head.count - 1) }
        }
        return head
    }
}
