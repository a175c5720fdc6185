import SluiceCache
import SluiceCore
import SluiceHTTP
import SluiceIO
import SluiceInference
import SluiceIngress

// A request that came in one piece is looked up where it lies, in the session's memory: without a copy,
// a string or an array. What was seen before byte for byte isn't even read.
extension Worker {
    /// Looks a whole request up from where it lies; false when it has to be gathered first, and then
    /// nothing has been counted.
    func looksUpInPlace(_ request: Request, _ bytes: UnsafeRawBufferPointer) -> Bool {
        let form: ResponseFormat.APIForm
        switch unsafe request.pointee.callerProtocol {
        case .grpc: form = .grpc
        case .v2: form = .v2
        default: return false
        }
        guard unsafe chooseRevision(request) else { return true }
        guard let cache = unsafe cache, let revision = unsafe request.pointee.revision else {
            return false
        }
        let mustAsk = unsafe request.pointee.mustAsk
        let message = form == .grpc && !mustAsk ? unsafe message(request, bytes) : nil
        if let message,
            let known = unsafe memo.find(
                message,
                revision: revision._withUnsafeGuaranteedRef { $0.number }
            ), known.isRaw,
            case .fresh(let entry) = unsafe cache._withUnsafeGuaranteedRef({
                unsafe $0.memory.lookup(known.key, at: loop.now, &known.place.pointee)
            }),
            unsafe entry.answer.first == PredictCodec.rawForm
        {
            if unsafe keepsRows(request) { unsafe countRows(request, hits: 1, misses: 0) }
            unsafe sampleHot(request, bytes)
            unsafe serveInPlace(request, bytes, entry, id: message.id)
            return true
        }
        guard unsafe !keepsRows(request), let key = unsafe scannedKey(request, bytes, form) else {
            return false
        }
        // What it hasn't got by heart, the worker mostly hasn't got at all: a miss's timer is set while the
        // index is fetched.
        unsafe cache._withUnsafeGuaranteedRef { $0.memory.fetch(key) }
        unsafe beginWaiting(request)
        unsafe sampleHot(request, bytes)
        let isRaw = form == .grpc && codec.scan.isRaw
        let found =
            mustAsk
            ? nil : unsafe cache._withUnsafeGuaranteedRef { $0.memory.lookup(key, at: loop.now) }
        if isRaw, case .fresh(let entry)? = found,
            unsafe entry.answer.first == PredictCodec.rawForm
        {
            // Asked for twice now: the third time it needn't be read. What comes once only isn't
            // worth the memory.
            if let message { unsafe remember(request, message, key, isRaw: true) }
            unsafe serveInPlace(request, bytes, entry, id: codec.scan.id)
            return true
        }
        if isRaw {
            unsafe request.lookup.pointee.rawID = LookupState.Part(codec.scan.id, in: bytes)
        }
        unsafe hold(request, bytes)
        unsafe proceed(request, key, nil, found)
        return true
    }

    /// Reads a message that has come behind its head, before its turn, and has what is known of it
    /// fetched.
    ///
    /// By the time the request is understood it is there: 8 % of a hit were waiting for it.
    func lookAhead(_ exchange: Exchange) -> ExactRequestKeyCache.Message? {
        guard let bytes = unsafe exchange.upcomingBody,
            let message = unsafe ExactRequestKeyCache.Message(bytes)
        else { return nil }
        memo.fetch(message)
        return message
    }

    /// Has the answer fetched that a foreseen message will most likely get: what is known of it has
    /// come by now, and its name isn't read yet.
    func prefetchAnswer() {
        guard let message = prefetched?.message, let cache = unsafe cache,
            let known = memo.guess(message)
        else { return }
        unsafe cache._withUnsafeGuaranteedRef { $0.memory.fetch(known.key, at: known.place) }
    }

    /// A gRPC message as the memo knows it, if it can.
    private func message(
        _ request: Request,
        _ bytes: UnsafeRawBufferPointer
    ) -> ExactRequestKeyCache.Message? {
        if let prefetched = prefetched, unsafe prefetched.request == request,
            unsafe prefetched.message.isWhole(bytes)
        {
            return prefetched.message
        }
        return unsafe ExactRequestKeyCache.Message(bytes)
    }

    /// The key of a request that lies there whole, if it is one of the usual ones.
    private func scannedKey(
        _ request: Request,
        _ bytes: UnsafeRawBufferPointer,
        _ form: ResponseFormat.APIForm
    ) -> CacheKey? {
        guard let model = unsafe request.pointee.model,
            let revision = unsafe request.pointee.revision,
            let head = unsafe request.pointee.head
        else { return nil }
        var version = unsafe UnsafeRawBufferPointer(start: nil, count: 0)
        var length: Int?
        if form == .v2 {
            length = requestHeaderLength(head)
            // 0 is a raw request, which only the model's signature explains.
            guard length != 0, let path = unsafe head.first(.path) else { return nil }
            unsafe version = UnsafeRawBufferPointer(rebasing: path[InferencePath(path).version])
            guard unsafe !version.contains(ASCII.percent) else { return nil }
        }
        return unsafe model._withUnsafeGuaranteedRef { model in
            unsafe revision._withUnsafeGuaranteedRef { revision in
                unsafe codec.scannedKey(
                    bytes,
                    form,
                    headerLength: length,
                    model: model.name.bytes,
                    version: version,
                    revision: revision.identity
                )
            }
        }
    }

    /// Answers with what is kept, as it is kept; `id` may lie in `bytes`.
    private func serveInPlace(
        _ request: Request,
        _ bytes: UnsafeRawBufferPointer,
        _ entry: CacheEntry,
        id: UnsafeRawBufferPointer
    ) {
        unsafe request.pointee.exchange.consumed(bytes.count)
        unsafe count(request, .memoryHit)
        unsafe replyRaw(request, entry, id: id, "sluice; hit", detail: "memory")
    }

    /// Takes a piece of a body that is being gathered.
    func hold(_ request: Request, _ bytes: UnsafeRawBufferPointer) {
        unsafe request.pointee.body.buffered.append(bytes, pool: buffers)
        // Windows stay open: what is gathered is bounded, by the largest entry.
        unsafe request.pointee.exchange.consumed(bytes.count)
        unsafe request.pointee.body.acknowledged += bytes.count
    }

    /// Remembers a gRPC request's key by its bytes.
    func remember(_ request: Request, _ key: CacheKey, isRaw: Bool) {
        guard let message = unsafe ExactRequestKeyCache.Message(request.pointee.body.buffered.bytes)
        else { return }
        unsafe remember(request, message, key, isRaw: isRaw)
    }

    private func remember(
        _ request: Request,
        _ message: ExactRequestKeyCache.Message,
        _ key: CacheKey,
        isRaw: Bool
    ) {
        guard let revision = unsafe request.pointee.revision else { return }
        memo.insert(
            message,
            revision: unsafe revision._withUnsafeGuaranteedRef { $0.number },
            key: key,
            isRaw: isRaw
        )
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
            values: .init(requestID(of: request), cacheStatus),
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
        guard let revision = unsafe request.pointee.revision,
            unsafe request.pointee.attempt.backend == nil
        else {
            return .none
        }
        return unsafe revision._withUnsafeGuaranteedRef { $0.answerName }
    }

    /// Says in `cache-status` what came of the look-up (RFC 9211).
    func appendStatus(
        _ entry: CacheEntry,
        _ status: StaticString,
        detail: StaticString,
        to head: FieldBlock
    ) {
        unsafe withStatusText(entry, status, detail: detail) {
            unsafe head.append(.cacheStatus, $0, isVolatile: true)
        }
    }

    /// Calls `body` with the value of `cache-status`.
    @inline(__always)
    private func withStatusText(
        _ entry: CacheEntry,
        _ status: StaticString,
        detail: StaticString,
        _ body: (UnsafeRawBufferPointer) -> Void
    ) {
        // Literals of ours, the longest of 50 bytes together, and a number of at most twenty.
        unsafe withUnsafeTemporaryAllocation(byteCount: 128, alignment: 1) { room in
            guard let base = room.baseAddress else { return }
            var count = 0
            func append(_ text: StaticString) {
                let length = text.utf8CodeUnitCount
                precondition(count + length <= 100, "there is room for our literals")
                unsafe ShortBytes.copy(text.utf8Start, to: base + count, count: length)
                count += length
            }
            append(status)
            append("; ttl=")
            unsafe count += ASCII.write(decimal: secondsLeft(entry), to: base + count)
            append("; detail=")
            append(detail)
            unsafe body(UnsafeRawBufferPointer(start: base, count: count))
        }
    }
}
