import SluiceBalancing
import SluiceCache
import SluiceCore
import SluiceGRPC
import SluiceHTTP
import SluiceIO
import SluiceInference
import SluiceIngress
import SluiceTelemetry

// Asked before: gather the request, make its key, look it up; else one call for all who ask the
// same at this moment.
//
//   gathering ──► key ──► tier 1 ──hit──────────────────────────────► serve
//                           │ miss
//                           ▼
//                         flight ──somebody leads──► waiting ────────► serve, or the leader's failure
//                           │ we lead
//                           ▼
//                         backend ──► relayed as ever, and captured ─► kept, and told to who waits
extension Worker {
    /// Whether a prediction is to be gathered and looked up; says so in the flow.
    func beginsLookup(_ flow: FlowPointer) -> Bool {
        guard shared.cache != nil, unsafe isPrediction(flow),
            unsafe flow.pointee.model?._withUnsafeGuaranteedRef({ $0.plan.cache != nil }) == true,
            let head = unsafe flow.pointee.head
        else { return false }
        // A coded body would have to be decoded first.
        var isForbidden = unsafe head.first(.contentEncoding) != nil
        if let control = unsafe head.first(.cacheControl) {
            let (noStore, noCache) = unsafe CacheControl.read(control)
            isForbidden = isForbidden || noStore
            unsafe flow.pointee.cache.mustAsk = noCache
        }
        guard !isForbidden else {
            unsafe bypass(flow)
            return false
        }
        unsafe flow.pointee.cache.role = .alone
        return true
    }

    /// Goes on without the cache.
    private func bypass(_ flow: FlowPointer) {
        unsafe flow.pointee.cache.role = .bypass
        unsafe count(flow, .bypass)
    }

    /// Takes another piece of a body that is being gathered.
    func gather(_ flow: FlowPointer, _ bytes: UnsafeRawBufferPointer, endStream: Bool) {
        if endStream, unsafe flow.pointee.cache.role == .alone, unsafe flow.pointee.wire == .grpc,
            unsafe flow.pointee.held.isEmpty, unsafe servesKnown(flow, bytes)
        {
            return
        }
        unsafe flow.pointee.held.append(bytes, pool: buffers)
        // Windows stay open: what is gathered is bounded below, by the largest entry.
        unsafe flow.pointee.exchange.consumed(bytes.count)
        unsafe flow.pointee.credited += bytes.count
        if endStream {
            unsafe gathered(flow)
        } else if unsafe flow.pointee.cache.role == .alone,
            unsafe flow.pointee.held.count > shared.cache?.memory.maximumEntryBytes ?? 0
        {
            unsafe bypass(flow)
            if unsafe !mayTranslate(flow) { unsafe dispatch(flow) }
        }
    }

    /// Answers a gRPC request that was seen before, byte for byte, from tier 1; false when it has
    /// to go the whole way, or is over.
    private func servesKnown(_ flow: FlowPointer, _ bytes: UnsafeRawBufferPointer) -> Bool {
        guard unsafe chooseRevision(flow) else { return true }
        guard unsafe !flow.pointee.cache.mustAsk, let cache = shared.cache,
            let revision = unsafe flow.pointee.revision,
            let message = unsafe QuestionMemo.Message(bytes),
            let known = unsafe memo.find(
                message,
                revision: revision._withUnsafeGuaranteedRef { $0.number }
            ),
            known.isRaw, case .fresh(let entry) = cache.memory.lookup(known.key, at: loop.now),
            unsafe entry.answer.first == PredictCodec.rawForm
        else { return false }
        unsafe flow.pointee.exchange.consumed(bytes.count)
        unsafe count(flow, .memoryHit)
        if unsafe keepsRows(flow) { unsafe countRows(flow, hits: 1, misses: 0) }
        unsafe replyRaw(flow, entry, id: message.id)
        return true
    }

    /// Remembers a gRPC request's key by its bytes.
    func remember(_ flow: FlowPointer, _ key: CacheKey, isRaw: Bool) {
        guard let revision = unsafe flow.pointee.revision,
            let message = unsafe QuestionMemo.Message(flow.pointee.held.bytes)
        else { return }
        unsafe memo.insert(
            message,
            revision: revision._withUnsafeGuaranteedRef { $0.number },
            key: key,
            isRaw: isRaw
        )
    }

    /// The request is whole.
    func gathered(_ flow: FlowPointer) {
        if unsafe flow.pointee.cache.role == .alone {
            unsafe lookUp(flow)
        } else {
            unsafe dispatch(flow)
        }
    }

    /// Makes the request's key and looks it up; a miss joins the call under way, or makes one.
    private func lookUp(_ flow: FlowPointer) {
        guard let cache = shared.cache else { return }
        if unsafe flow.pointee.revision == nil, unsafe !chooseRevision(flow) { return }
        if unsafe keepsRows(flow), unsafe looksUpRows(flow) { return }
        guard let (key, wishes) = unsafe question(of: flow) else {
            unsafe bypass(flow)
            unsafe attempt(flow)
            return
        }
        unsafe flow.pointee.cache.key = key
        if wishes.form == .grpc { unsafe remember(flow, key, isRaw: wishes.isRaw) }
        if unsafe !flow.pointee.cache.mustAsk {
            switch cache.memory.lookup(key, at: loop.now) {
            case .fresh(let entry):
                unsafe count(flow, .memoryHit)
                unsafe serve(flow, entry, wishes, "sluice; hit")
                return
            case .stale(let entry):
                unsafe count(flow, .memoryHit)
                unsafe refresh(flow, key)
                unsafe serve(flow, entry, wishes, "sluice; hit", detail: "stale-while-revalidate")
                return
            case .spare(let entry): unsafe flow.pointee.cache.spare = .passRetained(entry)
            case .miss: break
            }
            unsafe count(flow, .memoryMiss)
        }
        unsafe joinCall(flow, key, Question(wishes), cache)
    }

    /// Joins the call under way for the same question, or makes it.
    func joinCall(
        _ flow: FlowPointer,
        _ key: CacheKey,
        _ question: Question,
        _ cache: ResultCache
    ) {
        unsafe flow.pointee.cache.key = key
        unsafe flow.pointee.cache.question = .passRetained(question)
        nextToken += 1
        let waiter = FlightWaiter(worker: number, token: nextToken)
        unsafe flow.pointee.cache.token = nextToken
        switch unsafe cache.flights.join(key, tag: tag(of: flow), as: waiter) {
        case .lead(let ticket): unsafe lead(flow, ticket)
        case .follow(let ticket):
            unsafe flow.pointee.cache.role = .follows
            unsafe flow.pointee.cache.ticket = ticket
            unsafe flow.pointee.stage = .waiting
            unsafe waiting[nextToken] = flow
            unsafe count(flow, .collapsed)
        case .alone: unsafe askFurther(flow)
        }
    }

    func lead(_ flow: FlowPointer, _ ticket: FlightTicket) {
        unsafe flow.pointee.cache.role = .leads
        unsafe flow.pointee.cache.ticket = ticket
        unsafe askFurther(flow)
    }

    /// Tier 2, or the backend.
    func askFurther(_ flow: FlowPointer) {
        unsafe flow.pointee.cache.stamp = shared.cache?.memory.stamp
        if unsafe !flow.pointee.cache.mustAsk, unsafe askRedis(flow) { return }
        unsafe ask(flow)
    }

    /// Calls the backend; the answer will be kept unless something is purged meanwhile.
    func ask(_ flow: FlowPointer) {
        unsafe flow.pointee.cache.stamp = shared.cache?.memory.stamp
        if let batch = unsafe rows(of: flow) {
            unsafe askForRows(flow, batch)
        } else {
            unsafe attempt(flow)
        }
    }

    /// Tier 2 had it: tier 1 gets it, and so does everybody who waits.
    func found(_ flow: FlowPointer, _ entry: CacheEntry) {
        if let key = unsafe flow.pointee.cache.key, let stamp = unsafe flow.pointee.cache.stamp {
            _ = shared.cache?.memory.store(entry, for: key, asked: stamp, at: loop.now)
        }
        unsafe land(flow, .answered(entry))
        if let wishes = unsafe wishes(of: flow) {
            unsafe serve(flow, entry, wishes, "sluice; hit", detail: "redis")
        }
    }

    // MARK: - Serving

    /// Answers with what is kept, in the caller's form and under its own `id`.
    func serve(
        _ flow: FlowPointer,
        _ entry: CacheEntry,
        _ wishes: CallerWishes,
        _ status: StaticString,
        detail: StaticString = "memory"
    ) {
        guard let answer = unsafe codec.render(entry.answer, for: wishes) else {
            // It can't be told in this form; ask the model.
            unsafe flow.pointee.cache.role = .bypass
            unsafe attempt(flow)
            return
        }
        unsafe reply(
            flow,
            answer,
            cacheStatus: "\(status); ttl=\(secondsLeft(entry)); detail=\(detail)"
        )
    }

    func secondsLeft(_ entry: CacheEntry) -> Int {
        Int(entry.lifetime.freshUntil.nanoseconds(since: loop.now) / 1_000_000_000)
    }

    /// Answers over gRPC with what is kept as it is kept, which is what a raw caller wants: only its
    /// own `id` is added (protobuf's fields may come in any order).
    private func replyRaw(_ flow: FlowPointer, _ entry: CacheEntry, id: UnsafeRawBufferPointer) {
        let content = unsafe UnsafeRawBufferPointer(rebasing: entry.answer[1...])
        var frame = ByteBuffer(pool: buffers)
        let idLength = id.count == 0 ? 0 : id.count + (id.count < 0x80 ? 2 : 3)
        let length = UInt32(content.count + idLength)
        let place = unsafe frame.reserve(5 + Int(length))
        unsafe place.pointee = 0
        unsafe UnsafeMutableRawPointer(place + 1).storeBytes(of: length.bigEndian, as: UInt32.self)
        frame.commit(5)
        unsafe frame.append(content)
        if id.count > 0 {
            frame.append(byte: 3 << 3 | 2)
            if id.count < 0x80 {
                frame.append(byte: UInt8(id.count))
            } else {
                frame.append(byte: UInt8(id.count & 0x7F) | 0x80)
                frame.append(byte: UInt8(truncatingIfNeeded: id.count >> 7))
            }
            unsafe frame.append(id)
        }
        let head = unsafe answerHead(flow, "application/grpc")
        var status = ByteBuffer(pool: buffers)
        status.append("sluice; hit; ttl=")
        status.append(decimal: secondsLeft(entry))
        status.append("; detail=memory")
        unsafe head.append(.cacheStatus, status.bytes, isVolatile: true)
        unsafe finishReply(flow, head, frame.bytes)
    }

    /// Serves an answer past its time where the call has failed; false when there is none.
    func serveSpare(_ flow: FlowPointer) -> Bool {
        guard let spare = unsafe flow.pointee.cache.spare else {
            return unsafe serveSpareRows(flow)
        }
        unsafe flow.pointee.cache.spare = nil
        let entry = unsafe spare.takeRetainedValue()
        guard loop.now < entry.lifetime.useUntil, let wishes = unsafe wishes(of: flow),
            let answer = unsafe codec.render(entry.answer, for: wishes)
        else { return false }
        let age = loop.now.nanoseconds(since: entry.lifetime.freshUntil) / 1_000_000_000
        unsafe land(flow, .answered(entry))
        unsafe reply(flow, answer, cacheStatus: "sluice; hit; ttl=-\(age); detail=stale-if-error")
        return true
    }

    // MARK: - Questions

    /// The request's key, and what its answer must look like; nil when it can't be cached.
    private func question(of flow: FlowPointer) -> (key: CacheKey, wishes: CallerWishes)? {
        guard let form = unsafe form(of: flow), let model = unsafe flow.pointee.model,
            let revision = unsafe flow.pointee.revision, let head = unsafe flow.pointee.head
        else { return nil }
        let length = requestHeaderLength(head)
        // 0 is a raw request, which only the model's signature explains.
        if length == 0 { return nil }
        let identity = unsafe revision._withUnsafeGuaranteedRef { $0.identity }
        let name = unsafe model._withUnsafeGuaranteedRef { $0.plan.name }
        return unsafe codec.read(
            flow.pointee.held.bytes,
            form,
            headerLength: length,
            model: name,
            version: pathVersion(head),
            revision: identity,
            meaning: meaning(of: flow, form)
        )
    }

    /// What V1 means to the revision's backends, where they speak V2 and their signature is known.
    func meaning(of flow: FlowPointer, _ form: CallerWishes.Form) -> V1Meaning? {
        guard form == .v1 else { return nil }
        return unsafe flow.pointee.revision?._withUnsafeGuaranteedRef { revision in
            guard revision.form(for: .v1) != .v1 else { return nil }
            return revision.plan.signature.signature.map {
                V1Meaning(signature: $0, dialect: revision.plan.dialect)
            }
        }
    }

    /// `inference-header-content-length` of a request, if it says one.
    func requestHeaderLength(_ head: FieldBlock) -> Int? {
        unsafe head.first(.inferenceHeaderContentLength).flatMap { unsafe ASCII.decimal($0) }
    }

    /// The model's version in a REST path, or "".
    func pathVersion(_ head: FieldBlock) -> String {
        guard let path = unsafe head.first(.path) else { return "" }
        let range = unsafe InferencePath(path).version
        return unsafe String(decoding: path[range], as: UTF8.self)
    }

    func form(of flow: FlowPointer) -> CallerWishes.Form? {
        switch unsafe flow.pointee.wire {
        case .v1: .v1
        case .v2: .v2
        case .grpc: .grpc
        case .other: nil
        }
    }

    func wishes(of flow: FlowPointer) -> CallerWishes? {
        unsafe flow.pointee.cache.question?._withUnsafeGuaranteedRef { $0.wishes }
    }

    func headerLength(_ value: Int) -> Int? { value < 0 ? nil : value }

    // MARK: - Names

    func tag(of flow: FlowPointer) -> CacheTag {
        unsafe flow.pointee.revision?._withUnsafeGuaranteedRef { $0.tag }
            ?? CacheTag(model: "", revision: "")
    }

    func count(_ flow: FlowPointer, _ result: CacheResult) {
        unsafe flow.pointee.model?._withUnsafeGuaranteedRef {
            if let metrics = $0.cacheMetrics { shard.add(metrics.counter(result)) }
        }
    }
}
