import SluiceCache
import SluiceCore
import SluiceGRPC
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
//
// A request that came in one piece is looked up where it lies, in the session's memory: without a copy,
// a string or an array. What was seen before byte for byte isn't even read.
extension Worker {
    /// Takes another piece of a body that is being gathered.
    func gather(_ request: Request, _ bytes: UnsafeRawBufferPointer, endStream: Bool) {
        if endStream, unsafe request.pointee.cacheRole == .uncoalesced,
            unsafe request.pointee.body.buffered.isEmpty,
            unsafe request.pointee.callerProtocol != .v1, unsafe !isCoded(request),
            unsafe looksUpInPlace(request, bytes)
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

    /// Whether the request that was gathered must be decoded before it can be read.
    @inline(__always)
    func isCoded(_ request: Request) -> Bool {
        unsafe request.pointee.isCoded
            || request.existing(RoutingScanner.self)?.pointee.isCompressed == true
    }

    /// Takes a piece of a body that is being gathered.
    func hold(_ request: Request, _ bytes: UnsafeRawBufferPointer) {
        unsafe request.pointee.body.buffered.append(bytes, pool: buffers)
        // Windows stay open: what is gathered is bounded, by the largest entry.
        unsafe request.pointee.exchange.consumed(bytes.count)
        unsafe request.pointee.body.acknowledged += bytes.count
    }

    // MARK: - In place

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
        guard let cache = unsafe cache else { return false }
        let mustAsk = unsafe request.pointee.mustAsk
        let byRows = unsafe keepsRows(request)
        let message = form == .grpc && !mustAsk ? unsafe message(request, bytes) : nil
        if let message,
            let known = unsafe withKeyContext(of: request, { memo.find(message, $0) }),
            known.isRaw,
            case .fresh(let entry) = unsafe cache._withUnsafeGuaranteedRef({
                unsafe $0.memory.lookup(known.key, at: loop.now, &known.place.pointee)
            }),
            unsafe entry.answer.first == PredictCodec.rawForm
        {
            if byRows { unsafe countRows(request, hits: 1, misses: 0) }
            unsafe sampleHot(request, bytes)
            unsafe serveInPlace(request, bytes, entry, id: message.id)
            return true
        }
        guard !byRows, let key = unsafe scannedKey(request, bytes) else {
            return false
        }
        // What it hasn't got by heart, the worker mostly hasn't got at all: a miss's timer is set while the
        // index is fetched.
        unsafe cache._withUnsafeGuaranteedRef { $0.memory.fetch(key) }
        unsafe beginWaiting(request)
        unsafe sampleHot(request, bytes)
        let isRaw = form == .grpc && codec.keys.scan.isRaw
        let found =
            mustAsk
            ? nil : unsafe cache._withUnsafeGuaranteedRef { $0.memory.lookup(key, at: loop.now) }
        if isRaw, case .fresh(let entry)? = found,
            unsafe entry.answer.first == PredictCodec.rawForm
        {
            // Asked for twice now: the third time it needn't be read. What comes once only isn't
            // worth the memory.
            if let message { unsafe remember(request, message, key, isRaw: true) }
            unsafe serveInPlace(request, bytes, entry, id: codec.keys.scan.id)
            return true
        }
        if isRaw {
            unsafe request.lookup.pointee.rawID = LookupState.Part(codec.keys.scan.id, in: bytes)
        }
        unsafe hold(request, bytes)
        unsafe proceed(request, key, nil, found)
        return true
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

    func remember(
        _ request: Request,
        _ message: ExactRequestKeyCache.Message,
        _ key: CacheKey,
        isRaw: Bool
    ) {
        _ = unsafe withKeyContext(of: request) {
            memo.insert(message, $0, key: key, isRaw: isRaw)
        }
    }

    /// Remembers a gRPC request's key by its bytes.
    func remember(_ request: Request, _ key: CacheKey, isRaw: Bool) {
        guard let message = unsafe ExactRequestKeyCache.Message(request.pointee.body.buffered.bytes)
        else { return }
        unsafe remember(request, message, key, isRaw: isRaw)
    }

    // MARK: - What else a cached model asks

    /// Notes every so many-th request of a model whose revisions are warmed.
    func sampleHot(_ request: Request, _ body: UnsafeRawBufferPointer) {
        guard
            let sampler = unsafe request.pointee.model?._withUnsafeGuaranteedRef({ $0.hot }),
            unsafe !request.pointee.isInternal, sampler.isDue()
        else { return }
        unsafe noteHot(request, body, sampler)
    }

    /// Whether the model is cached row by row.
    func keepsRows(_ request: Request) -> Bool {
        unsafe request.pointee.model?._withUnsafeGuaranteedRef { $0.plan.cache?.rows } ?? false
    }

    /// What the request has to do with rows, if anything.
    func rows(of request: Request) -> RowBatch? {
        unsafe request.cacheable?._withUnsafeGuaranteedRef { $0.rows }
    }

    // MARK: - Gathered

    /// Makes the request's key and looks it up; a miss joins the call under way, or makes one.
    func lookUp(_ request: Request) {
        guard let cache = shared.cache else { return }
        if unsafe request.pointee.revision == nil, unsafe !chooseRevision(request) { return }
        unsafe sampleHot(request, request.pointee.body.buffered.bytes)
        if unsafe request.pointee.body.buffered.count > turnLimit,
            let reader = unsafe keyReader(of: request),
            let kept = unsafe withKeyContext(of: request, { $0.owned })
        {
            unsafe beginWaiting(request)
            let byRows = unsafe keepsRows(request) && mayLookUpRows(request)
            unsafe offload(request, .key, on: .buffered) { codec, body in
                kept.withContext { context in
                    unsafe Handed(codec.keys.read(body, reader, context, byRows: byRows))
                }
            } then: { worker, request, read in
                if let request = unsafe request { unsafe worker.lookUp(request, read) }
            }
            return
        }
        if unsafe keepsRows(request) {
            unsafe beginWaiting(request)
            if unsafe looksUpRows(request) { return }
        }
        unsafe lookUp(request, cacheable(of: request), cache)
    }

    /// Goes on with the keys that a helper thread has made.
    func lookUp(_ request: Request, _ read: KeyBuilder.Reading) {
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
    func lookUp(
        _ request: Request,
        _ cacheable: (key: CacheKey, responseFormat: ResponseFormat)?,
        _ cache: ResultCache
    ) {
        guard let (key, responseFormat) = cacheable else {
            unsafe bypass(request)
            unsafe beginWaiting(request)
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
        if unsafe request.pointee.timer == .none { unsafe beginWaiting(request) }
        unsafe joinCall(request, key)
    }

    // MARK: - Misses

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
        if redis != nil, unsafe !request.pointee.mustAsk, unsafe askRedis(request) { return }
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

    // MARK: - Names and counts

    func tag(of request: Request) -> CacheTag {
        unsafe request.pointee.revision?._withUnsafeGuaranteedRef { $0.tag }
            ?? CacheTag(model: "", revision: "")
    }

    func count(_ request: Request, _ result: CacheResult) {
        guard unsafe !request.pointee.isInternal else { return }
        unsafe request.pointee.model?._withUnsafeGuaranteedRef {
            if let metrics = $0.cacheMetrics { shard.add(metrics.counters[result.rawValue]) }
        }
    }
}
