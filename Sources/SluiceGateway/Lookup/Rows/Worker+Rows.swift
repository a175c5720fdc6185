import SluiceCache
import SluiceCore
import SluiceEgress
import SluiceIO
import SluiceInference
import SluiceRedis

// A batch is looked up row by row, and the model is asked only for rows that are in no cache:
//
//   cut ──► tier 1 ──all──────────────────────────────────────────────► put together
//    │        │ some, or none
//    │        ▼
//    │      call (whole requests that are equal) ──► one MGET ──all──► put together
//    │        │ none known, no row twice      │ some known
//    │        ▼                               ▼
//    │      the caller's request,           a request for those rows,
//    │      answer relayed as ever,         answer gathered, cut, kept,
//    │      cut and kept at its end         put together with the others
//    ▼                                        │ can't be cut, or put together
//   can't be cut: looked up whole  ◄──────────┘ the caller's request, rows left alone for a while
extension Worker {
    // MARK: - Looking up

    /// Looks a request up row by row; false when it is to be looked up whole.
    func looksUpRows(_ request: Request) -> Bool {
        guard unsafe mayLookUpRows(request), let reader = unsafe keyReader(of: request),
            let read = unsafe withKeyContext(
                of: request,
                { unsafe codec.keys.readRows(request.pointee.body.buffered.bytes, reader, $0) }
            )
        else { return false }
        return unsafe looksUpRows(request, read)
    }

    /// Whether the revision's answers have let themselves be cut of late.
    func mayLookUpRows(_ request: Request) -> Bool {
        unsafe request.pointee.revision?._withUnsafeGuaranteedRef {
            $0.rows.pausedUntil <= loop.now
        } ?? false
    }

    /// Looks a request up by its rows' keys, if it has them; false when it is to be looked up whole.
    func looksUpRows(_ request: Request, _ read: Result<RowRequest, RowFailure>) -> Bool {
        guard let cache = shared.cache, let form = unsafe form(of: request) else { return false }
        let cacheable: RowRequest
        switch read {
        case .failure(let reason):
            unsafe countFallback(request, reason.fallback)
            return false
        case .success(let found): cacheable = found
        }
        let batch = RowBatch(cacheable.rows)
        if form == .grpc, batch.count == 1 {
            unsafe remember(request, cacheable.rows[0], isRaw: cacheable.responseFormat.isRaw)
        }
        if unsafe !request.pointee.mustAsk {
            let staleCount = lookUp(batch, cache)
            guard
                batch.entries.reduce(0, { unsafe $0 + ($1?.answer.count ?? 0) })
                    <= workerSnapshot.snapshot.maxRequestBytes
            else {
                unsafe countFallback(request, .limit)
                return false
            }
            if unsafe servesRows(request, batch, cacheable, staleCount) { return true }
            unsafe count(request, .memoryMiss)
        }
        unsafe request.lookup.pointee.key = cacheable.key
        unsafe request.lookup.pointee.cacheable = .passRetained(
            CacheableRequest(cacheable.responseFormat, rows: batch)
        )
        unsafe joinCall(request, cacheable.key)
        return true
    }

    /// Looks all places up in tier 1; returns how many may be served while they are refreshed.
    private func lookUp(_ batch: RowBatch, _ cache: ResultCache) -> Int {
        var staleCount = 0
        for place in batch.keys.indices {
            switch cache.memory.lookup(batch.keys[place], at: loop.now) {
            case .fresh(let entry): batch.entries[place] = entry
            case .stale(let entry):
                batch.staleEntry(entry, at: place)
                staleCount += 1
            case .staleEntry(let entry): batch.staleEntry(entry, at: place)
            case .miss: break
            }
        }
        return staleCount
    }

    /// Answers from tier 1 if it knows all rows; false otherwise.
    private func servesRows(
        _ request: Request,
        _ batch: RowBatch,
        _ cacheable: RowRequest,
        _ staleCount: Int
    ) -> Bool {
        let missingCount = batch.missing.count
        let isStale = missingCount > 0
        guard missingCount == staleCount, !isStale || batch.useStaleEntries(at: loop.now) else {
            return false
        }
        guard let answer = unsafe answer(request, batch, cacheable.responseFormat) else {
            // What is known doesn't fit together, or V1 doesn't show yet what stands between rows.
            let lacks = unsafe lacksSeparators(request, batch, cacheable.responseFormat)
            if isStale || !lacks {
                batch.entries = Array(repeating: nil, count: batch.keys.count)
            }
            return false
        }
        unsafe count(request, .memoryHit)
        unsafe countRows(request, hits: batch.count, misses: 0)
        if isStale {
            let again = CacheableRequest(cacheable.responseFormat, rows: RowBatch(repeating: batch))
            unsafe refresh(request, cacheable.key, again)
        }
        let detail = isStale ? "stale-while-revalidate" : "rows:\(batch.count)/\(batch.count)"
        unsafe reply(
            request,
            answer,
            cacheStatus: "sluice; hit; ttl=\(secondsLeft(batch)); detail=\(detail)"
        )
        return true
    }

    /// The answer that the known rows make; nil when some are missing or don't fit together.
    func answer(
        _ request: Request,
        _ batch: RowBatch,
        _ responseFormat: ResponseFormat
    ) -> RenderedAnswer? {
        guard let entries = batch.answers else { return nil }
        return codec.joinRows(
            entries,
            for: responseFormat,
            unsafe rowCaching(of: request).separators,
            unsafe runtimeKind(of: request)
        )
    }

    func rowCaching(of request: Request) -> RowCachingState {
        unsafe request.pointee.revision?._withUnsafeGuaranteedRef { $0.rows } ?? RowCachingState()
    }

    /// Seconds for which all rows are fresh.
    func secondsLeft(_ batch: RowBatch) -> Int {
        batch.entries.reduce(Int.max) { least, entry in
            entry.map { min(least, secondsLeft($0)) } ?? least
        }
    }

    // MARK: - Tier 2

    /// The largest value that a row may have in tier 2, and how many are asked for at once: an MGET's
    /// reply stays within what a session takes.
    static let storedRowMaximum = 16 << 10

    /// Asks tier 2 for what tier 1 doesn't know, in one command; false when it can't be asked.
    func askRedis(
        _ request: Request,
        _ batch: RowBatch,
        _ redis: RedisConnection
    ) -> Bool {
        let limit = redis.endpoint.settings.maximumReplyBytes / Worker.storedRowMaximum
        batch.sought = Array(batch.missing.prefix(limit))
        guard !batch.sought.isEmpty else { return false }
        var all: [UInt8] = []
        for place in batch.sought {
            unsafe all.append(contentsOf: redisName(batch.keys[place], request))
        }
        let token = unsafe request.lookup.pointee.token
        let isSent = unsafe all.withUnsafeBytes {
            unsafe redis.getMany(
                $0,
                keyByteCount: all.count / batch.sought.count,
                deadline: redisDeadline,
                token: token
            )
        }
        guard isSent else {
            unsafe count(request, .redisError)
            return false
        }
        unsafe request.pointee.stage = .waiting
        unsafe waiting.insert(token, request)
        return true
    }

    /// Tier 2's word on one row; the last one's sends the request on its way.
    func redisAnswered(
        _ request: Request,
        _ batch: RowBatch,
        _ place: Int,
        _ entry: CacheEntry?
    ) {
        if let entry, let stamp = unsafe request.lookup.pointee.stamp {
            let sought = batch.sought[place]
            batch.entries[sought] = entry
            _ = shared.cache?.memory.store(
                entry,
                for: batch.keys[sought],
                asked: stamp,
                at: loop.now
            )
        }
        guard place >= batch.sought.count - 1 else {
            unsafe waiting.insert(request.lookup.pointee.token, request)
            return
        }
        unsafe count(request, batch.missing.isEmpty ? .redisHit : .redisMiss)
        unsafe ask(request)
    }
}
