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
//                         call ──another leads──────► waiting ────────► serve, or the leader's failure
//                           │ we lead
//                           ▼
//                         backend ──► relayed as ever, and captured ─► kept, and told to who waits
extension Worker {
    /// Whether a prediction is to be gathered and looked up; says so in the request.
    func beginsLookup(_ request: Request) -> Bool {
        guard shared.cache != nil, unsafe isPrediction(request),
            unsafe request.pointee.model?._withUnsafeGuaranteedRef({ $0.plan.cache != nil })
                == true,
            let head = unsafe request.pointee.head
        else { return false }
        // In a coding that isn't read here it has no key. A gRPC message says by its flag.
        let coding =
            unsafe request.pointee.callerProtocol == .grpc
            ? NamedCoding.none : NamedCoding(head, .contentEncoding)
        var isForbidden = coding == .unknown
        unsafe request.pointee.isCoded = coding.coding != nil
        if let control = unsafe head.first(.cacheControl) {
            let (noStore, noCache) = unsafe CacheControl.read(control)
            isForbidden = isForbidden || noStore
            unsafe request.pointee.mustAsk = noCache
        }
        guard !isForbidden else {
            unsafe bypass(request)
            return false
        }
        unsafe request.pointee.cacheRole = .uncoalesced
        return true
    }

    /// Goes on without the cache.
    private func bypass(_ request: Request) {
        unsafe request.pointee.cacheRole = .bypass
        unsafe count(request, .bypass)
    }

    /// Takes another piece of a body that is being gathered.
    func gather(_ request: Request, _ bytes: UnsafeRawBufferPointer, endStream: Bool) {
        if endStream, unsafe request.pointee.cacheRole == .uncoalesced,
            unsafe request.pointee.body.buffered.isEmpty,
            unsafe !isCoded(request), unsafe looksUpInPlace(request, bytes)
        {
            return
        }
        unsafe hold(request, bytes)
        if !endStream { unsafe beginWaiting(request) }
        if endStream {
            unsafe gathered(request)
        } else if unsafe request.pointee.cacheRole == .uncoalesced,
            unsafe request.pointee.body.buffered.count > shared.cache?.memory.maximumEntryBytes ?? 0
        {
            unsafe bypass(request)
            if unsafe !mayTranslate(request) { unsafe dispatch(request) }
        }
    }

    /// The request is whole.
    func gathered(_ request: Request) {
        if unsafe isCoded(request) {
            unsafe decodeGathered(request)
            return
        }
        if unsafe request.pointee.cacheRole == .uncoalesced {
            unsafe lookUp(request)
        } else {
            unsafe dispatch(request)
        }
    }

    /// The request is whole and decoded, and perhaps too long to be looked up now.
    func gatheredDecoded(_ request: Request) {
        if unsafe request.pointee.cacheRole == .uncoalesced,
            unsafe request.pointee.body.buffered.count > shared.cache?.memory.maximumEntryBytes ?? 0
        {
            unsafe bypass(request)
        }
        unsafe gathered(request)
    }

    /// Makes the request's key and looks it up; a miss joins the call under way, or makes one.
    private func lookUp(_ request: Request) {
        guard let cache = shared.cache else { return }
        if unsafe request.pointee.revision == nil, unsafe !chooseRevision(request) { return }
        unsafe beginWaiting(request)
        unsafe sampleHot(request, request.pointee.body.buffered.bytes)
        if unsafe isLong(request.pointee.body.buffered.count),
            let order = unsafe keyOrder(of: request)
        {
            let byRows = unsafe keepsRows(request) && mayLookUpRows(request)
            unsafe offload(request, .key, on: .buffered) { codec, body in
                unsafe Handed(codec.read(body, order, byRows: byRows))
            } then: { worker, request, read in
                if let request = unsafe request { unsafe worker.lookUp(request, read) }
            }
            return
        }
        if unsafe keepsRows(request), unsafe looksUpRows(request) { return }
        unsafe lookUp(request, cacheable(of: request), cache)
    }

    /// Goes on with the keys that a helper thread has made.
    private func lookUp(_ request: Request, _ read: PredictCodec.Reading) {
        guard let cache = shared.cache else { return }
        var whole = read.whole
        if let rows = read.rows {
            if unsafe looksUpRows(request, rows) { return }
            if case .success(let cacheable) = rows {
                whole = (cacheable.key, cacheable.responseFormat)
            }
        }
        unsafe lookUp(request, whole, cache)
    }

    /// Looks a whole request up, if it has a key.
    private func lookUp(
        _ request: Request,
        _ cacheable: (key: CacheKey, responseFormat: ResponseFormat)?,
        _ cache: ResultCache
    ) {
        guard let (key, responseFormat) = cacheable else {
            unsafe bypass(request)
            unsafe attempt(request)
            return
        }
        if responseFormat.form == .grpc {
            unsafe remember(request, key, isRaw: responseFormat.isRaw)
        }
        let mustAsk = unsafe request.pointee.mustAsk
        let found = mustAsk ? nil : cache.memory.lookup(key, at: loop.now)
        unsafe proceed(request, key, CacheableRequest(responseFormat), found)
    }

    /// Serves what tier 1 said, or asks further; nil where it wasn't to be asked.
    ///
    /// Without a cacheable request it is made when it is needed.
    func proceed(
        _ request: Request,
        _ key: CacheKey,
        _ cacheable: CacheableRequest?,
        _ found: CacheLookup?
    ) {
        unsafe request.lookup.pointee.key = key
        unsafe request.lookup.pointee.cacheable = cacheable.map { unsafe .passRetained($0) }
        switch found {
        case .fresh(let entry)?:
            unsafe count(request, .memoryHit)
            unsafe serve(request, entry, "sluice; hit", detail: "memory")
            return
        case .stale(let entry)?:
            unsafe count(request, .memoryHit)
            unsafe refresh(request, key)
            unsafe serve(request, entry, "sluice; hit", detail: "stale-while-revalidate")
            return
        case .staleEntry(let entry)?:
            unsafe request.lookup.pointee.staleEntry = .passRetained(entry.storage)
            unsafe count(request, .memoryMiss)
        case .miss?: unsafe count(request, .memoryMiss)
        case nil: break
        }
        unsafe joinCall(request, key)
    }

    /// Joins the call under way for the same request, or makes it.
    func joinCall(_ request: Request, _ key: CacheKey) {
        nextToken += 1
        let waiter = CoalescingWaiter(worker: number, token: nextToken)
        unsafe request.lookup.pointee.token = nextToken
        let role = unsafe cache?._withUnsafeGuaranteedRef {
            unsafe $0.calls.join(key, tag: tag(of: request), as: waiter, at: loop.now)
        }
        switch role {
        case .lead(let ticket)?:
            // The call it would have joined may have ended since the look-up.
            if unsafe !request.pointee.mustAsk, let entry = completedMeanwhile(key) {
                unsafe request.pointee.cacheRole = .leads
                unsafe request.lookup.pointee.ticket = ticket
                unsafe count(request, .collapsed)
                unsafe complete(request, .answered(entry))
                unsafe serve(request, entry, "sluice; fwd=miss; collapsed", detail: "memory")
                return
            }
            unsafe lead(request, ticket)
        case .follow(let ticket)?:
            unsafe request.pointee.cacheRole = .follows
            unsafe request.lookup.pointee.ticket = ticket
            unsafe request.pointee.stage = .waiting
            unsafe waiting.insert(nextToken, request)
            unsafe count(request, .collapsed)
            unsafe armRefetch(request)
        case .uncoalesced?, nil: unsafe askFurther(request)
        }
    }

    private func completedMeanwhile(_ key: CacheKey) -> CacheEntry? {
        unsafe cache?._withUnsafeGuaranteedRef { $0.memory.fresh(key, at: loop.now) }
    }

    func lead(_ request: Request, _ ticket: CoalescingTicket) {
        unsafe request.pointee.cacheRole = .leads
        unsafe request.lookup.pointee.ticket = ticket
        unsafe askFurther(request)
    }

    /// Tier 2, or the backend.
    func askFurther(_ request: Request) {
        unsafe request.lookup.pointee.stamp = cacheStamp
        if unsafe !request.pointee.mustAsk, unsafe askRedis(request) { return }
        unsafe ask(request)
    }

    private var cacheStamp: CacheStamp? {
        unsafe cache?._withUnsafeGuaranteedRef { $0.memory.stamp }
    }

    /// Calls the backend; the answer will be kept unless something is purged meanwhile.
    func ask(_ request: Request) {
        unsafe request.lookup.pointee.stamp = cacheStamp
        // What it wants of an answer that was kept can't be read any more when its call has failed.
        if unsafe request.lookup.pointee.staleEntry != nil { unsafe makeCacheable(request) }
        if let batch = unsafe rows(of: request) {
            unsafe askForRows(request, batch)
        } else {
            unsafe attempt(request)
        }
    }

    /// Tier 2 had it: tier 1 gets it, and so does everybody who waits.
    func found(_ request: Request, _ entry: CacheEntry) {
        if let key = unsafe request.lookup.pointee.key,
            let stamp = unsafe request.lookup.pointee.stamp
        {
            unsafe cache?._withUnsafeGuaranteedRef {
                _ = $0.memory.store(entry, for: key, asked: stamp, at: loop.now)
            }
        }
        unsafe complete(request, .answered(entry))
        unsafe serve(request, entry, "sluice; hit", detail: "redis")
    }

    // MARK: - Serving

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
            unsafe attempt(request)
            return
        }
        unsafe reply(request, answer) { head in
            appendStatus(entry, status, detail: detail, to: head)
        }
    }

    func secondsLeft(_ entry: CacheEntry) -> Int {
        Int(entry.lifetime.freshUntil.nanoseconds(since: loop.now) / 1_000_000_000)
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

    // MARK: - Cacheable requests

    /// Reads once more what the caller wants of its answer, unless that is known.
    ///
    /// Only while the request is held: when it has been sent on, it is gone.
    func makeCacheable(_ request: Request) {
        guard unsafe request.lookup.pointee.cacheable == nil, let form = unsafe form(of: request),
            let head = unsafe request.pointee.head
        else { return }
        var version = pathVersion(head)
        let isScanned = version.withUTF8 {
            unsafe codec.scan(
                request.pointee.body.buffered.bytes,
                form,
                headerLength: requestHeaderLength(head),
                version: UnsafeRawBufferPointer($0)
            )
        }
        guard
            let responseFormat = isScanned
                ? codec.scan.responseFormat : unsafe cacheable(of: request)?.responseFormat
        else {
            return
        }
        unsafe request.lookup.pointee.cacheable = .passRetained(CacheableRequest(responseFormat))
    }

    /// The request's key, and what its answer must look like; nil when it can't be cached.
    private func cacheable(of request: Request) -> (key: CacheKey, responseFormat: ResponseFormat)?
    {
        guard let order = unsafe keyOrder(of: request) else { return nil }
        return unsafe codec.read(request.pointee.body.buffered.bytes, order, byRows: false).whole
    }

    /// What keys of the request are made of beside its body; nil when it can't have one.
    func keyOrder(of request: Request) -> PredictCodec.KeyOrder? {
        guard let form = unsafe form(of: request), let model = unsafe request.pointee.model,
            let revision = unsafe request.pointee.revision, let head = unsafe request.pointee.head
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
            meaning: meaning(of: request, form)
        )
    }

    /// What V1 means to the revision's backends, where they speak V2 and their signature is known.
    func meaning(of request: Request, _ form: ResponseFormat.APIForm) -> V1Meaning? {
        guard form == .v1 else { return nil }
        return unsafe request.pointee.revision?._withUnsafeGuaranteedRef { revision in
            guard revision.form(for: .v1) != .v1 else { return nil }
            return revision.plan.signature.signature.map {
                V1Meaning(signature: $0, runtimeKind: revision.plan.runtimeKind)
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

    func form(of request: Request) -> ResponseFormat.APIForm? {
        switch unsafe request.pointee.callerProtocol {
        case .v1: .v1
        case .v2: .v2
        case .grpc: .grpc
        case .other: nil
        }
    }

    func responseFormat(of request: Request) -> ResponseFormat? {
        unsafe request.cacheable?._withUnsafeGuaranteedRef { $0.responseFormat }
    }

    func headerLength(_ value: Int) -> Int? { value < 0 ? nil : value }

    // MARK: - Names

    func tag(of request: Request) -> CacheTag {
        unsafe request.pointee.revision?._withUnsafeGuaranteedRef { $0.tag }
            ?? CacheTag(model: "", revision: "")
    }

    func count(_ request: Request, _ result: CacheResult) {
        guard unsafe !request.pointee.isInternal else { return }
        unsafe request.pointee.model?._withUnsafeGuaranteedRef {
            if let metrics = $0.cacheMetrics { shard.add(metrics.counter(result)) }
        }
    }
}
