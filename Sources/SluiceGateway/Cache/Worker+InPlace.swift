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
    func looksUpInPlace(_ flow: FlowPointer, _ bytes: UnsafeRawBufferPointer) -> Bool {
        let form: CallerWishes.Form
        switch unsafe flow.pointee.wire {
        case .grpc: form = .grpc
        case .v2: form = .v2
        default: return false
        }
        guard unsafe chooseRevision(flow) else { return true }
        guard let cache = unsafe cache, let revision = unsafe flow.pointee.revision else {
            return false
        }
        let mustAsk = unsafe flow.pointee.cache.mustAsk
        let message = form == .grpc && !mustAsk ? unsafe message(flow, bytes) : nil
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
            if unsafe keepsRows(flow) { unsafe countRows(flow, hits: 1, misses: 0) }
            unsafe sampleHot(flow, bytes)
            unsafe serveInPlace(flow, bytes, entry, id: message.id)
            return true
        }
        guard unsafe !keepsRows(flow), let key = unsafe scannedKey(flow, bytes, form) else {
            return false
        }
        // What it hasn't got by heart, the worker mostly hasn't got at all: a miss's timer is set while the
        // index is fetched.
        unsafe cache._withUnsafeGuaranteedRef { $0.memory.fetch(key) }
        unsafe beginWaiting(flow)
        unsafe sampleHot(flow, bytes)
        let isRaw = form == .grpc && codec.scan.isRaw
        let found =
            mustAsk
            ? nil : unsafe cache._withUnsafeGuaranteedRef { $0.memory.lookup(key, at: loop.now) }
        if isRaw, case .fresh(let entry)? = found,
            unsafe entry.answer.first == PredictCodec.rawForm
        {
            // Asked for twice now: the third time it needn't be read. What comes once only isn't
            // worth the memory.
            if let message { unsafe remember(flow, message, key, isRaw: true) }
            unsafe serveInPlace(flow, bytes, entry, id: codec.scan.id)
            return true
        }
        if isRaw { unsafe flow.pointee.cache.rawID = CacheState.Part(codec.scan.id, in: bytes) }
        unsafe hold(flow, bytes)
        unsafe proceed(flow, key, nil, found)
        return true
    }

    /// Reads a message that has come behind its head, before its turn, and has what is known of it
    /// fetched.
    ///
    /// By the time the request is understood it is there: 8 % of a hit were waiting for it.
    func foresee(_ exchange: Exchange) -> QuestionMemo.Message? {
        guard let bytes = unsafe exchange.upcomingBody,
            let message = unsafe QuestionMemo.Message(bytes)
        else { return nil }
        memo.fetch(message)
        return message
    }

    /// Has the answer fetched that a foreseen message will most likely get: what is known of it has
    /// come by now, and its name isn't read yet.
    func fetchForeseenAnswer() {
        guard let message = foreseen?.message, let cache = unsafe cache,
            let known = memo.guess(message)
        else { return }
        unsafe cache._withUnsafeGuaranteedRef { $0.memory.fetch(known.key, at: known.place) }
    }

    /// A gRPC message as the memo knows it, if it can.
    private func message(
        _ flow: FlowPointer,
        _ bytes: UnsafeRawBufferPointer
    ) -> QuestionMemo.Message? {
        if let foreseen = foreseen, unsafe foreseen.flow == flow,
            unsafe foreseen.message.isWhole(bytes)
        {
            return foreseen.message
        }
        return unsafe QuestionMemo.Message(bytes)
    }

    /// The key of a request that lies there whole, if it is one of the usual ones.
    private func scannedKey(
        _ flow: FlowPointer,
        _ bytes: UnsafeRawBufferPointer,
        _ form: CallerWishes.Form
    ) -> CacheKey? {
        guard let model = unsafe flow.pointee.model, let revision = unsafe flow.pointee.revision,
            let head = unsafe flow.pointee.head
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
        _ flow: FlowPointer,
        _ bytes: UnsafeRawBufferPointer,
        _ entry: CacheEntry,
        id: UnsafeRawBufferPointer
    ) {
        unsafe flow.pointee.exchange.consumed(bytes.count)
        unsafe count(flow, .memoryHit)
        unsafe replyRaw(flow, entry, id: id, "sluice; hit", detail: "memory")
    }

    /// Takes a piece of a body that is being gathered.
    func hold(_ flow: FlowPointer, _ bytes: UnsafeRawBufferPointer) {
        unsafe flow.pointee.held.append(bytes, pool: buffers)
        // Windows stay open: what is gathered is bounded, by the largest entry.
        unsafe flow.pointee.exchange.consumed(bytes.count)
        unsafe flow.pointee.credited += bytes.count
    }

    /// Remembers a gRPC request's key by its bytes.
    func remember(_ flow: FlowPointer, _ key: CacheKey, isRaw: Bool) {
        guard let message = unsafe QuestionMemo.Message(flow.pointee.held.bytes) else { return }
        unsafe remember(flow, message, key, isRaw: isRaw)
    }

    private func remember(
        _ flow: FlowPointer,
        _ message: QuestionMemo.Message,
        _ key: CacheKey,
        isRaw: Bool
    ) {
        guard let revision = unsafe flow.pointee.revision else { return }
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
        _ flow: FlowPointer,
        _ entry: CacheEntry,
        id: UnsafeRawBufferPointer,
        _ status: StaticString,
        detail: StaticString
    ) {
        let content = unsafe UnsafeRawBufferPointer(rebasing: entry.answer[1...])
        codec.reply.truncate(codec.reply.count)
        unsafe PredictCodec.appendOpening(of: content.count, id: id, to: &codec.reply)
        unsafe withStatusText(entry, status, detail: detail) { text in
            if unsafe !repeatReply(flow, text, codec.reply.bytes, content) {
                unsafe codec.reply.append(content)
                let head = unsafe answerHead(flow, "application/grpc")
                unsafe head.append(.cacheStatus, text, isVolatile: true)
                unsafe head.repeatName = repeatName(of: flow)
                unsafe finishReply(flow, head, codec.reply.bytes)
            }
        }
        if codec.reply.count > PredictCodec.keptBytes { codec.reply.removeAll() }
    }

    /// Answers over a connection that has seen the same head before; false if it hasn't.
    private func repeatReply(
        _ flow: FlowPointer,
        _ cacheStatus: UnsafeRawBufferPointer,
        _ opening: UnsafeRawBufferPointer,
        _ content: UnsafeRawBufferPointer
    ) -> Bool {
        let name = unsafe repeatName(of: flow)
        guard !name.isNone else { return false }
        let answer = unsafe RepeatedAnswer(
            head: name,
            values: .init(requestID(of: flow), cacheStatus),
            body: (opening, content),
            trailers: Worker.endName
        )
        unsafe noteReply(flow, byteCount: answer.bodyCount)
        guard unsafe flow.pointee.exchange.sendRepeated(answer) else { return false }
        unsafe end(flow)
        return true
    }

    /// What the head of an answer that is kept is called; nothing where it says more than its revision.
    private func repeatName(of flow: FlowPointer) -> HeadName {
        guard let revision = unsafe flow.pointee.revision, unsafe flow.pointee.backend == nil else {
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
