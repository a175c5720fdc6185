import SluiceCache
import SluiceCore
import SluiceHTTP
import SluiceIO
import SluiceInference
import SluiceIngress

// Answers that were kept: in the caller's form, under its own `id`, and over gRPC mostly as they are kept.
extension Worker {
    /// Answers with what is kept, in the caller's form and under its own `id`.
    func serve(
        _ request: Request,
        _ entry: CacheEntry,
        _ status: StaticString,
        detail: StaticString
    ) {
        let isRaw = unsafe entry.answer.first == PredictCodec.rawForm
        if isRaw, unsafe request.lookup.pointee.cacheable == nil,
            let id = unsafe request.rawID
        {
            unsafe replyRaw(request, entry, id: id, status, detail: detail)
            return
        }
        unsafe makeCacheable(request)
        let responseFormat = unsafe responseFormat(of: request)
        if isRaw, let responseFormat, responseFormat.form == .grpc, responseFormat.isRaw {
            var id = responseFormat.id
            id.withUTF8 {
                unsafe replyRaw(
                    request,
                    entry,
                    id: UnsafeRawBufferPointer($0),
                    status,
                    detail: detail
                )
            }
            return
        }
        guard let responseFormat,
            let answer = unsafe codec.render(
                entry.answer,
                for: responseFormat,
                runtimeKind(of: request)
            )
        else {
            // It can't be told in this form; ask the model.
            unsafe request.pointee.cacheRole = .bypass
            unsafe beginWaiting(request)
            unsafe attempt(request)
            return
        }
        unsafe reply(request, answer) { head in
            appendStatus(entry, status, detail: detail, to: head)
        }
    }

    /// Serves an answer past its time where the call has failed; false when there is none.
    func serveStaleIfError(_ request: Request) -> Bool {
        guard let staleEntry = unsafe request.existing(LookupState.self)?.pointee.staleEntry else {
            return unsafe serveStaleRows(request)
        }
        unsafe makeCacheable(request)
        unsafe request.lookup.pointee.staleEntry = nil
        let entry = unsafe CacheEntry(staleEntry.takeRetainedValue())
        guard loop.now < entry.lifetime.useUntil,
            let responseFormat = unsafe responseFormat(of: request),
            let answer = unsafe codec.render(
                entry.answer,
                for: responseFormat,
                runtimeKind(of: request)
            )
        else { return false }
        let age = loop.now.nanoseconds(since: entry.lifetime.freshUntil) / 1_000_000_000
        unsafe complete(request, .answered(entry))
        unsafe reply(
            request,
            answer,
            cacheStatus: "sluice; hit; ttl=-\(age); detail=stale-if-error"
        )
        return true
    }

    // MARK: - As it is kept

    /// Answers with what is kept, as it is kept; `id` may lie in `bytes`.
    func serveInPlace(
        _ request: Request,
        _ bytes: UnsafeRawBufferPointer,
        _ entry: CacheEntry,
        id: UnsafeRawBufferPointer
    ) {
        unsafe request.pointee.exchange.consumed(bytes.count)
        unsafe count(request, .memoryHit)
        unsafe replyRaw(request, entry, id: id, "sluice; hit", detail: "memory")
    }

    /// Answers over gRPC with what is kept as it is kept, which is what a raw caller wants: only its
    /// own `id` is added (protobuf's fields may come in any order).
    func replyRaw(
        _ request: Request,
        _ entry: CacheEntry,
        id: UnsafeRawBufferPointer,
        _ status: StaticString,
        detail: StaticString
    ) {
        let content = unsafe UnsafeRawBufferPointer(rebasing: entry.answer[1...])
        codec.reply.truncate(codec.reply.count)
        unsafe PredictCodec.appendOpening(of: content.count, id: id, to: &codec.reply)
        unsafe withStatusText(entry, status, detail: detail) { text in
            if unsafe !repeatReply(request, text, codec.reply.bytes, content) {
                unsafe codec.reply.append(content)
                let head = unsafe answerHead(request, "application/grpc")
                unsafe head.append(.cacheStatus, text, isVolatile: true)
                unsafe head.repeatName = repeatName(of: request)
                unsafe finishReply(request, head, codec.reply.bytes)
            }
        }
        if codec.reply.count > PredictCodec.keptBytes { codec.reply.removeAll() }
    }

    /// Answers over a connection that has seen the same head before; false if it hasn't.
    private func repeatReply(
        _ request: Request,
        _ cacheStatus: UnsafeRawBufferPointer,
        _ opening: UnsafeRawBufferPointer,
        _ content: UnsafeRawBufferPointer
    ) -> Bool {
        let name = unsafe repeatName(of: request)
        guard !name.isNone else { return false }
        let answer = unsafe RepeatedAnswer(
            head: name,
            values: .init(request.requestID, cacheStatus),
            body: (opening, content),
            trailers: Worker.endName
        )
        unsafe noteReply(request, byteCount: answer.bodyCount)
        guard unsafe request.pointee.exchange.sendRepeated(answer) else { return false }
        unsafe end(request)
        return true
    }

    /// What the head of an answer that is kept is called; nothing where it says more than its revision.
    private func repeatName(of request: Request) -> HeadName {
        guard unsafe request.isHeadRepeatable, let revision = unsafe request.pointee.revision,
            unsafe request.pointee.attempt.backend == nil
        else {
            return .none
        }
        return unsafe revision._withUnsafeGuaranteedRef { $0.answerName }
    }
}
