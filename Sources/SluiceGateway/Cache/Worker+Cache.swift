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
        // In a coding that isn't read here it has no key. A gRPC message says by its flag.
        let coding =
            unsafe flow.pointee.wire == .grpc
            ? NamedCoding.none : NamedCoding(head, .contentEncoding)
        var isForbidden = coding == .unknown
        unsafe flow.pointee.isCoded = coding.coding != nil
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
        if endStream, unsafe flow.pointee.cache.role == .alone, unsafe flow.pointee.held.isEmpty,
            unsafe !isCoded(flow), unsafe looksUpInPlace(flow, bytes)
        {
            return
        }
        unsafe hold(flow, bytes)
        if !endStream { unsafe beginWaiting(flow) }
        if endStream {
            unsafe gathered(flow)
        } else if unsafe flow.pointee.cache.role == .alone,
            unsafe flow.pointee.held.count > shared.cache?.memory.maximumEntryBytes ?? 0
        {
            unsafe bypass(flow)
            if unsafe !mayTranslate(flow) { unsafe dispatch(flow) }
        }
    }

    /// The request is whole.
    func gathered(_ flow: FlowPointer) {
        if unsafe isCoded(flow) {
            unsafe decodeGathered(flow)
            return
        }
        if unsafe flow.pointee.cache.role == .alone {
            unsafe lookUp(flow)
        } else {
            unsafe dispatch(flow)
        }
    }

    /// The request is whole and decoded, and perhaps too long to be looked up now.
    func gatheredDecoded(_ flow: FlowPointer) {
        if unsafe flow.pointee.cache.role == .alone,
            unsafe flow.pointee.held.count > shared.cache?.memory.maximumEntryBytes ?? 0
        {
            unsafe bypass(flow)
        }
        unsafe gathered(flow)
    }

    /// Makes the request's key and looks it up; a miss joins the call under way, or makes one.
    private func lookUp(_ flow: FlowPointer) {
        guard let cache = shared.cache else { return }
        if unsafe flow.pointee.revision == nil, unsafe !chooseRevision(flow) { return }
        unsafe beginWaiting(flow)
        unsafe sampleHot(flow, flow.pointee.held.bytes)
        if unsafe isLong(flow.pointee.held.count), let order = unsafe keyOrder(of: flow) {
            let byRows = unsafe keepsRows(flow) && mayLookUpRows(flow)
            unsafe offload(flow, .key, on: .held) { codec, body in
                unsafe Handed(codec.read(body, order, byRows: byRows))
            } then: { worker, flow, read in
                if let flow = unsafe flow { unsafe worker.lookUp(flow, read) }
            }
            return
        }
        if unsafe keepsRows(flow), unsafe looksUpRows(flow) { return }
        unsafe lookUp(flow, question(of: flow), cache)
    }

    /// Goes on with the keys that a helper thread has made.
    private func lookUp(_ flow: FlowPointer, _ read: PredictCodec.Reading) {
        guard let cache = shared.cache else { return }
        var whole = read.whole
        if let rows = read.rows {
            if unsafe looksUpRows(flow, rows) { return }
            if case .success(let question) = rows { whole = (question.key, question.wishes) }
        }
        unsafe lookUp(flow, whole, cache)
    }

    /// Looks a whole request up, if it has a key.
    private func lookUp(
        _ flow: FlowPointer,
        _ question: (key: CacheKey, wishes: CallerWishes)?,
        _ cache: ResultCache
    ) {
        guard let (key, wishes) = question else {
            unsafe bypass(flow)
            unsafe attempt(flow)
            return
        }
        if wishes.form == .grpc { unsafe remember(flow, key, isRaw: wishes.isRaw) }
        let mustAsk = unsafe flow.pointee.cache.mustAsk
        let found = mustAsk ? nil : cache.memory.lookup(key, at: loop.now)
        unsafe proceed(flow, key, Question(wishes), found)
    }

    /// Serves what tier 1 said, or asks further; nil where it wasn't to be asked.
    ///
    /// Without a question it is made when it is needed.
    func proceed(
        _ flow: FlowPointer,
        _ key: CacheKey,
        _ question: Question?,
        _ found: CacheLookup?
    ) {
        unsafe flow.pointee.cache.key = key
        unsafe flow.pointee.cache.question = question.map { unsafe .passRetained($0) }
        switch found {
        case .fresh(let entry)?:
            unsafe count(flow, .memoryHit)
            unsafe serve(flow, entry, "sluice; hit", detail: "memory")
            return
        case .stale(let entry)?:
            unsafe count(flow, .memoryHit)
            unsafe refresh(flow, key)
            unsafe serve(flow, entry, "sluice; hit", detail: "stale-while-revalidate")
            return
        case .spare(let entry)?:
            unsafe flow.pointee.cache.spare = .passRetained(entry.storage)
            unsafe count(flow, .memoryMiss)
        case .miss?: unsafe count(flow, .memoryMiss)
        case nil: break
        }
        unsafe joinCall(flow, key)
    }

    /// Joins the call under way for the same question, or makes it.
    func joinCall(_ flow: FlowPointer, _ key: CacheKey) {
        nextToken += 1
        let waiter = FlightWaiter(worker: number, token: nextToken)
        unsafe flow.pointee.cache.token = nextToken
        let role = unsafe cache?._withUnsafeGuaranteedRef {
            unsafe $0.flights.join(key, tag: tag(of: flow), as: waiter, at: loop.now)
        }
        switch role {
        case .lead(let ticket)?:
            // The call it would have joined may have ended since the look-up.
            if unsafe !flow.pointee.cache.mustAsk, let entry = landedMeanwhile(key) {
                unsafe flow.pointee.cache.role = .leads
                unsafe flow.pointee.cache.ticket = ticket
                unsafe count(flow, .collapsed)
                unsafe land(flow, .answered(entry))
                unsafe serve(flow, entry, "sluice; fwd=miss; collapsed", detail: "memory")
                return
            }
            unsafe lead(flow, ticket)
        case .follow(let ticket)?:
            unsafe flow.pointee.cache.role = .follows
            unsafe flow.pointee.cache.ticket = ticket
            unsafe flow.pointee.stage = .waiting
            unsafe waiting.insert(nextToken, flow)
            unsafe count(flow, .collapsed)
            unsafe armPatience(flow)
        case .alone?, nil: unsafe askFurther(flow)
        }
    }

    private func landedMeanwhile(_ key: CacheKey) -> CacheEntry? {
        unsafe cache?._withUnsafeGuaranteedRef { $0.memory.fresh(key, at: loop.now) }
    }

    func lead(_ flow: FlowPointer, _ ticket: FlightTicket) {
        unsafe flow.pointee.cache.role = .leads
        unsafe flow.pointee.cache.ticket = ticket
        unsafe askFurther(flow)
    }

    /// Tier 2, or the backend.
    func askFurther(_ flow: FlowPointer) {
        unsafe flow.pointee.cache.stamp = cacheStamp
        if unsafe !flow.pointee.cache.mustAsk, unsafe askRedis(flow) { return }
        unsafe ask(flow)
    }

    private var cacheStamp: CacheStamp? {
        unsafe cache?._withUnsafeGuaranteedRef { $0.memory.stamp }
    }

    /// Calls the backend; the answer will be kept unless something is purged meanwhile.
    func ask(_ flow: FlowPointer) {
        unsafe flow.pointee.cache.stamp = cacheStamp
        // What it wants of an answer that was kept can't be read any more when its call has failed.
        if unsafe flow.pointee.cache.spare != nil { unsafe makeQuestion(flow) }
        if let batch = unsafe rows(of: flow) {
            unsafe askForRows(flow, batch)
        } else {
            unsafe attempt(flow)
        }
    }

    /// Tier 2 had it: tier 1 gets it, and so does everybody who waits.
    func found(_ flow: FlowPointer, _ entry: CacheEntry) {
        if let key = unsafe flow.pointee.cache.key, let stamp = unsafe flow.pointee.cache.stamp {
            unsafe cache?._withUnsafeGuaranteedRef {
                _ = $0.memory.store(entry, for: key, asked: stamp, at: loop.now)
            }
        }
        unsafe land(flow, .answered(entry))
        unsafe serve(flow, entry, "sluice; hit", detail: "redis")
    }

    // MARK: - Serving

    /// Answers with what is kept, in the caller's form and under its own `id`.
    func serve(
        _ flow: FlowPointer,
        _ entry: CacheEntry,
        _ status: StaticString,
        detail: StaticString
    ) {
        let isRaw = unsafe entry.answer.first == PredictCodec.rawForm
        if isRaw, unsafe flow.pointee.cache.question == nil,
            let id = unsafe flow.pointee.cache.rawID?.bytes(in: flow.pointee.held.bytes)
        {
            unsafe replyRaw(flow, entry, id: id, status, detail: detail)
            return
        }
        unsafe makeQuestion(flow)
        let wishes = unsafe wishes(of: flow)
        if isRaw, let wishes, wishes.form == .grpc, wishes.isRaw {
            var id = wishes.id
            id.withUTF8 {
                unsafe replyRaw(flow, entry, id: UnsafeRawBufferPointer($0), status, detail: detail)
            }
            return
        }
        guard let wishes,
            let answer = unsafe codec.render(entry.answer, for: wishes, dialect(of: flow))
        else {
            // It can't be told in this form; ask the model.
            unsafe flow.pointee.cache.role = .bypass
            unsafe attempt(flow)
            return
        }
        unsafe reply(flow, answer) { head in
            appendStatus(entry, status, detail: detail, to: head)
        }
    }

    func secondsLeft(_ entry: CacheEntry) -> Int {
        Int(entry.lifetime.freshUntil.nanoseconds(since: loop.now) / 1_000_000_000)
    }

    /// Serves an answer past its time where the call has failed; false when there is none.
    func serveSpare(_ flow: FlowPointer) -> Bool {
        guard let spare = unsafe flow.pointee.cache.spare else {
            return unsafe serveSpareRows(flow)
        }
        unsafe makeQuestion(flow)
        unsafe flow.pointee.cache.spare = nil
        let entry = unsafe CacheEntry(spare.takeRetainedValue())
        guard loop.now < entry.lifetime.useUntil, let wishes = unsafe wishes(of: flow),
            let answer = unsafe codec.render(entry.answer, for: wishes, dialect(of: flow))
        else { return false }
        let age = loop.now.nanoseconds(since: entry.lifetime.freshUntil) / 1_000_000_000
        unsafe land(flow, .answered(entry))
        unsafe reply(flow, answer, cacheStatus: "sluice; hit; ttl=-\(age); detail=stale-if-error")
        return true
    }

    // MARK: - Questions

    /// Reads once more what the caller wants of its answer, unless that is known.
    ///
    /// Only while the request is held: when it has been sent on, it is gone.
    func makeQuestion(_ flow: FlowPointer) {
        guard unsafe flow.pointee.cache.question == nil, let form = unsafe form(of: flow),
            let head = unsafe flow.pointee.head
        else { return }
        var version = pathVersion(head)
        let isScanned = version.withUTF8 {
            unsafe codec.scan(
                flow.pointee.held.bytes,
                form,
                headerLength: requestHeaderLength(head),
                version: UnsafeRawBufferPointer($0)
            )
        }
        guard let wishes = isScanned ? codec.scan.wishes : unsafe question(of: flow)?.wishes else {
            return
        }
        unsafe flow.pointee.cache.question = .passRetained(Question(wishes))
    }

    /// The request's key, and what its answer must look like; nil when it can't be cached.
    private func question(of flow: FlowPointer) -> (key: CacheKey, wishes: CallerWishes)? {
        guard let order = unsafe keyOrder(of: flow) else { return nil }
        return unsafe codec.read(flow.pointee.held.bytes, order, byRows: false).whole
    }

    /// What keys of the request are made of beside its body; nil when it can't have one.
    func keyOrder(of flow: FlowPointer) -> PredictCodec.KeyOrder? {
        guard let form = unsafe form(of: flow), let model = unsafe flow.pointee.model,
            let revision = unsafe flow.pointee.revision, let head = unsafe flow.pointee.head
        else { return nil }
        let length = requestHeaderLength(head)
        // 0 is a raw request, which only the model's signature explains.
        if length == 0 { return nil }
        return unsafe PredictCodec.KeyOrder(
            form: form,
            headerLength: length,
            model: model._withUnsafeGuaranteedRef { $0.plan.name },
            version: pathVersion(head),
            revision: revision._withUnsafeGuaranteedRef { $0.identity },
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
        return unsafe String(
            decoding: InferencePath.name(UnsafeRawBufferPointer(rebasing: path[range])),
            as: UTF8.self
        )
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
        guard unsafe !flow.pointee.isUnheard else { return }
        unsafe flow.pointee.model?._withUnsafeGuaranteedRef {
            if let metrics = $0.cacheMetrics { shard.add(metrics.counter(result)) }
        }
    }
}
