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
    func askForRows(_ request: Request, _ batch: RowBatch) {
        guard let responseFormat = unsafe responseFormat(of: request) else { return }
        if batch.missing.isEmpty {
            if let answer = unsafe answer(request, batch, responseFormat) {
                unsafe countRows(request, hits: batch.count, misses: 0)
                let detail = "rows:\(batch.count)/\(batch.count)"
                let status = "sluice; hit; ttl=\(secondsLeft(batch)); detail=\(detail)"
                unsafe share(request, batch, answer, responseFormat)
                unsafe reply(request, answer, cacheStatus: status)
                return
            }
            if unsafe !lacksSeparators(request, batch, responseFormat) {
                batch.entries = Array(repeating: nil, count: batch.keys.count)
            }
        }
        batch.asked = batch.missing
        let lacks = unsafe lacksSeparators(request, batch, responseFormat)
        if lacks, batch.asked.count < 2 {
            // Two rows in one answer show what stands between them.
            let others = batch.keys.indices.filter { !batch.asked.contains($0) }
            batch.asked = (batch.asked + others.prefix(2 - batch.asked.count)).sorted()
        }
        let isVerbatim = unsafe speaksCallersForm(request, responseFormat.form)
        let showsNothing = lacks && batch.asked.count < 2
        if isVerbatim, batch.asked.count == batch.count || showsNothing {
            batch.mode = .whole
            batch.asked = Array(batch.keys.indices)
            unsafe countRows(request, hits: 0, misses: batch.count)
        } else if showsNothing {
            unsafe countFallback(request, .request)
            batch.mode = .off
        } else if unsafe !replaceRequest(request, batch, responseFormat.form) {
            unsafe countFallback(request, .request)
            batch.mode = .off
        } else {
            batch.mode = .partial
            unsafe request.pointee.isTranslated = isVerbatim
            unsafe request.pointee.attempt.translatedProtocol = request.pointee.callerProtocol
            unsafe countRows(
                request,
                hits: batch.count - batch.asked.count,
                misses: batch.asked.count
            )
        }
        unsafe attempt(request)
    }

    /// Whether the backend is spoken to as the caller speaks.
    func speaksCallersForm(_ request: Request, _ form: ResponseFormat.APIForm) -> Bool {
        unsafe request.pointee.revision?._withUnsafeGuaranteedRef {
            unsafe $0.form(for: form) == form && !($0.readsOnlyJSON && hasBinaryTensors(request))
        } ?? false
    }

    /// Whether nothing known says what stands between V1's rows, which only an answer can show.
    func lacksSeparators(
        _ request: Request,
        _ batch: RowBatch,
        _ responseFormat: ResponseFormat
    ) -> Bool {
        guard responseFormat.form == .v1, batch.count > 1, unsafe speaksCallersForm(request, .v1)
        else {
            return false
        }
        let separators = unsafe rowCaching(of: request).separators
        return !batch.entries.contains { entry in
            entry.map { unsafe RowAnswer.knowsSeparators($0.answer, separators) } ?? false
        }
    }

    /// Puts a request for the rows asked into the place of the caller's; false when there is none.
    private func replaceRequest(
        _ request: Request,
        _ batch: RowBatch,
        _ form: ResponseFormat.APIForm
    ) -> Bool {
        guard let head = unsafe request.pointee.head,
            let made = unsafe codec.writeRows(
                batch.asked.map { batch.firsts[$0] },
                of: request.pointee.body.buffered.bytes,
                form,
                headerLength: requestHeaderLength(head),
                count: batch.count
            )
        else { return false }
        batch.head = copy(head)
        batch.body = unsafe request.pointee.body.buffered
        unsafe request.pointee.body.buffered = PooledBytes()
        unsafe made.body.withUnsafeBytes {
            unsafe request.pointee.body.buffered.append($0, pool: buffers)
        }
        // The caller has heard of all it sent.
        unsafe request.pointee.body.acknowledged = made.body.count
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
