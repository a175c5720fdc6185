import SluiceCache
import SluiceCore
import SluiceEgress
import SluiceHTTP
import SluiceIO
import SluiceInference
import SluiceRedis
import SluiceTelemetry

// A batch is looked up row by row, and the model is asked only for what nobody knows:
//
//   cut ──► tier 1 ──all──────────────────────────────────────────────► put together
//    │        │ some, or none
//    │        ▼
//    │      flight (whole requests that are equal) ──► one MGET ──all──► put together
//    │        │ none known, no row twice      │ some known
//    │        ▼                               ▼
//    │      the caller's request,           a request for those rows,
//    │      answer relayed as ever,         answer gathered, cut, kept,
//    │      cut and kept at its end         put together with the others
//    ▼                                        │ can't be cut, or put together
//   can't be cut: looked up whole  ◄──────────┘ the caller's request, rows left alone for a while
extension Worker {
    /// Whether the model is cached row by row.
    func keepsRows(_ flow: FlowPointer) -> Bool {
        unsafe flow.pointee.model?._withUnsafeGuaranteedRef { $0.plan.cache?.rows } ?? false
    }

    /// What the flow has to do with rows, if anything.
    func rows(of flow: FlowPointer) -> RowBatch? {
        unsafe flow.pointee.cache.question?._withUnsafeGuaranteedRef { $0.rows }
    }

    // MARK: - Looking up

    /// Looks a request up row by row; false when it is to be looked up whole.
    func looksUpRows(_ flow: FlowPointer) -> Bool {
        guard unsafe mayLookUpRows(flow), let order = unsafe keyOrder(of: flow) else {
            return false
        }
        return unsafe looksUpRows(flow, codec.readRows(flow.pointee.held.bytes, order))
    }

    /// Whether the revision's answers have let themselves be cut of late.
    func mayLookUpRows(_ flow: FlowPointer) -> Bool {
        unsafe flow.pointee.revision?._withUnsafeGuaranteedRef {
            $0.rows.pausedUntil <= loop.now
        } ?? false
    }

    /// Looks a request up by its rows' keys, if it has them; false when it is to be looked up whole.
    func looksUpRows(_ flow: FlowPointer, _ read: Result<RowQuestion, RowFailure>) -> Bool {
        guard let cache = shared.cache, let form = unsafe form(of: flow) else { return false }
        let question: RowQuestion
        switch read {
        case .failure(let reason):
            unsafe countFallback(flow, reason.fallback)
            return false
        case .success(let found): question = found
        }
        let batch = RowBatch(question.rows)
        if form == .grpc, batch.count == 1 {
            unsafe remember(flow, question.rows[0], isRaw: question.wishes.isRaw)
        }
        if unsafe !flow.pointee.cache.mustAsk {
            let staleCount = lookUp(batch, cache)
            guard
                batch.entries.reduce(0, { unsafe $0 + ($1?.answer.count ?? 0) })
                    <= replica.snapshot.maxRequestBytes
            else {
                unsafe countFallback(flow, .limit)
                return false
            }
            if unsafe servesRows(flow, batch, question, staleCount) { return true }
            unsafe count(flow, .memoryMiss)
        }
        unsafe flow.pointee.cache.key = question.key
        unsafe flow.pointee.cache.question = .passRetained(Question(question.wishes, rows: batch))
        unsafe joinCall(flow, question.key)
        return true
    }

    /// Looks all places up in tier 1; returns how many may be served while they are refreshed.
    private func lookUp(_ batch: RowBatch, _ cache: ResultCache) -> Int {
        var staleCount = 0
        for place in batch.keys.indices {
            switch cache.memory.lookup(batch.keys[place], at: loop.now) {
            case .fresh(let entry): batch.entries[place] = entry
            case .stale(let entry):
                batch.spare(entry, at: place)
                staleCount += 1
            case .spare(let entry): batch.spare(entry, at: place)
            case .miss: break
            }
        }
        return staleCount
    }

    /// Answers from tier 1 if it knows all rows; false otherwise.
    private func servesRows(
        _ flow: FlowPointer,
        _ batch: RowBatch,
        _ question: RowQuestion,
        _ staleCount: Int
    ) -> Bool {
        let missingCount = batch.missing.count
        let isStale = missingCount > 0
        guard missingCount == staleCount, !isStale || batch.useSpares(at: loop.now) else {
            return false
        }
        guard let answer = unsafe answer(flow, batch, question.wishes) else {
            // What is known doesn't fit together, or V1 doesn't show yet what stands between rows.
            let lacks = unsafe lacksSeparators(flow, batch, question.wishes)
            if isStale || !lacks {
                batch.entries = Array(repeating: nil, count: batch.keys.count)
            }
            return false
        }
        unsafe count(flow, .memoryHit)
        unsafe countRows(flow, hits: batch.count, misses: 0)
        if isStale {
            let again = Question(question.wishes, rows: RowBatch(repeating: batch))
            unsafe refresh(flow, question.key, again)
        }
        let detail = isStale ? "stale-while-revalidate" : "rows:\(batch.count)/\(batch.count)"
        unsafe reply(
            flow,
            answer,
            cacheStatus: "sluice; hit; ttl=\(secondsLeft(batch)); detail=\(detail)"
        )
        return true
    }

    /// The answer that the known rows make; nil when some are missing or don't fit together.
    func answer(
        _ flow: FlowPointer,
        _ batch: RowBatch,
        _ wishes: CallerWishes
    ) -> RenderedAnswer? {
        guard let entries = batch.answers else { return nil }
        return codec.joinRows(
            entries,
            for: wishes,
            unsafe habits(of: flow).separators,
            unsafe dialect(of: flow)
        )
    }

    func habits(of flow: FlowPointer) -> RowHabits {
        unsafe flow.pointee.revision?._withUnsafeGuaranteedRef { $0.rows } ?? RowHabits()
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
        _ flow: FlowPointer,
        _ batch: RowBatch,
        _ redis: RedisConnection
    ) -> Bool {
        let limit = redis.endpoint.settings.maximumReplyBytes / Worker.storedRowMaximum
        batch.sought = Array(batch.missing.prefix(limit))
        guard !batch.sought.isEmpty else { return false }
        var all: [UInt8] = []
        for place in batch.sought {
            unsafe all.append(contentsOf: redisName(batch.keys[place], flow))
        }
        let token = unsafe flow.pointee.cache.token
        let isSent = unsafe all.withUnsafeBytes {
            unsafe redis.getMany(
                $0,
                keyByteCount: all.count / batch.sought.count,
                deadline: redisDeadline,
                token: token
            )
        }
        guard isSent else {
            unsafe count(flow, .redisError)
            return false
        }
        unsafe flow.pointee.stage = .waiting
        unsafe waiting.insert(token, flow)
        return true
    }

    /// Tier 2's word on one row; the last one's sends the request on its way.
    func redisAnswered(
        _ flow: FlowPointer,
        _ batch: RowBatch,
        _ place: Int,
        _ entry: CacheEntry?
    ) {
        if let entry, let stamp = unsafe flow.pointee.cache.stamp {
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
            unsafe waiting.insert(flow.pointee.cache.token, flow)
            return
        }
        unsafe count(flow, batch.missing.isEmpty ? .redisHit : .redisMiss)
        unsafe ask(flow)
    }
}
