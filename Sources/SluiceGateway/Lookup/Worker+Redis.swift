import SluiceCache
package import SluiceCore
package import SluiceEgress
import SluiceIO
package import SluiceRedis
import SluiceTelemetry

// Tier 2: what another process, or this one before a restart, has been answered. Redis is never
// allowed to hurt: whatever it does, the request goes on to the model.
extension Worker: RedisReceiver {
    /// Begins to connect, if the configuration names a Redis.
    func startRedis() {
        guard let tier = shared.cache?.redis else { return }
        let made = RedisConnection(
            loop: loop,
            endpoint: tier.endpoint,
            receiver: self,
            seed: random.next()
        )
        redis = made
        redisNames = RedisNames(tier, pool: buffers)
        made.start()
    }

    /// Asks tier 2; false when it can't be asked.
    func askRedis(_ request: Request) -> Bool {
        guard let redis, let key = unsafe request.lookup.pointee.key else { return false }
        if let batch = unsafe rows(of: request) { return unsafe askRedis(request, batch, redis) }
        let token = unsafe request.lookup.pointee.token
        let isSent = unsafe redis.get(
            redisName(key, request),
            deadline: redisDeadline,
            token: token
        )
        guard isSent else {
            unsafe count(request, .redisError)
            return false
        }
        unsafe request.pointee.stage = .waiting
        unsafe waiting.insert(token, request)
        return true
    }

    package func redisHit(_ token: UInt64, place: Int, _ value: UnsafeRawBufferPointer) {
        guard let request = unsafe takeWaiting(token) else { return }
        if let batch = unsafe rows(of: request) {
            let entry =
                batch.sought.indices.contains(place)
                ? unsafe entry(value, batch.keys[batch.sought[place]], request)
                : nil
            unsafe redisAnswered(request, batch, place, entry)
            return
        }
        let key = unsafe request.lookup.pointee.key
        // Where it will be kept, while it is made.
        if let key { unsafe cache?._withUnsafeGuaranteedRef { $0.memory.fetch(key) } }
        guard let key, let entry = unsafe entry(value, key, request) else {
            unsafe count(request, .redisMiss)
            unsafe ask(request)
            return
        }
        unsafe count(request, .redisHit)
        unsafe found(request, entry)
    }

    /// What lies under a key, if it is ours and fresh; foreign, damaged or old is a miss.
    private func entry(
        _ value: UnsafeRawBufferPointer,
        _ key: CacheKey,
        _ request: Request
    ) -> CacheEntry? {
        let stored = unsafe StoredValue(value, key: key.sample)
        let wall = loop.now.nanoseconds &+ wallOffset
        guard let stored, stored.form == ResultCache.form,
            stored.freshUntilMilliseconds > wall / 1_000_000,
            let policy = unsafe request.pointee.model?._withUnsafeGuaranteedRef({ $0.plan.cache })
        else { return nil }
        let left = stored.freshUntilMilliseconds - wall / 1_000_000
        return unsafe CacheEntry(
            tag: tag(of: request),
            born: loop.now,
            lifetime: policy.lifetime(
                freshUntil: loop.now.advanced(byNanoseconds: left * 1_000_000)
            ),
            answer: UnsafeRawBufferPointer(rebasing: value[StoredValue.headerByteCount...])
        )
    }

    package func redisMiss(_ token: UInt64, place: Int) {
        guard let request = unsafe takeWaiting(token) else { return }
        if let batch = unsafe rows(of: request) {
            unsafe redisAnswered(request, batch, place, nil)
            return
        }
        unsafe count(request, .redisMiss)
        unsafe ask(request)
    }

    package func redisFailed(_ token: UInt64, _ failure: RedisLookupFailure) {
        guard let request = unsafe takeWaiting(token) else { return }
        unsafe count(request, .redisError)
        unsafe ask(request)
    }

    package func redisPurged(_ token: UInt64, removed: Int, isComplete: Bool) {
        shared.cache?.purgeEnded(removed: removed, isComplete: isComplete)
    }

    package func redisChanged(_ problem: String?) {
        shared.cache?.redisChanged(isUp: problem == nil, worker: number)
    }

    package func redisComplained(
        _ complaint: RedisComplaint,
        about use: RedisUse,
        at now: Instant
    ) {
        shared.cache?.redisComplained(complaint, about: use, at: now)
    }

    package func redisRecovered(_ use: RedisUse, at now: Instant) {
        shared.cache?.redisRecovered(use, at: now)
    }

    /// Keeps an answer for other processes and for after a restart; never waits.
    func keepInRedis(_ request: Request, _ entry: CacheEntry, _ key: CacheKey) {
        guard redis != nil, let model = unsafe request.pointee.model,
            let revision = unsafe request.pointee.revision
        else { return }
        unsafe model._withUnsafeGuaranteedRef { model in
            unsafe revision._withUnsafeGuaranteedRef { revision in
                unsafe keepInRedis(entry, key, request.lookup.pointee.control, model, revision)
            }
        }
    }

    /// Keeps an answer of a model's revision for other processes; never waits.
    func keepInRedis(
        _ entry: CacheEntry,
        _ key: CacheKey,
        _ control: AnswerControl,
        _ model: WorkerModel,
        _ revision: WorkerRevision
    ) {
        guard let redis, let name = unsafe redisNames?.name(key, model: model, revision: revision)
        else { return }
        // There an answer's time is told, but not that it is of no use afterwards.
        if control.mustRevalidate, model.plan.cache?.servesStale ?? false { return }
        let left = entry.lifetime.freshUntil.nanoseconds(since: loop.now) / 1_000_000
        guard left > 0 else { return }
        let stored = StoredValue(
            form: ResultCache.form,
            freshUntilMilliseconds: (loop.now.nanoseconds &+ wallOffset) / 1_000_000 + left
        )
        var header = ByteBuffer(pool: buffers)
        unsafe stored.appendHeader(key: key.sample, answer: entry.answer, to: &header)
        unsafe redis.set(
            name,
            header: header.bytes,
            body: entry.answer,
            expiresInMilliseconds: Int(left)
        )
    }

    /// What an answer to `request` is called in tier 2; valid until the next name is asked for.
    func redisName(_ key: CacheKey, _ request: Request) -> UnsafeRawBufferPointer {
        guard let model = unsafe request.pointee.model,
            let revision = unsafe request.pointee.revision
        else { return unsafe UnsafeRawBufferPointer(start: nil, count: 0) }
        return unsafe model._withUnsafeGuaranteedRef { model in
            unsafe revision._withUnsafeGuaranteedRef { revision in
                unsafe redisNames?.name(key, model: model, revision: revision)
                    ?? UnsafeRawBufferPointer(start: nil, count: 0)
            }
        }
    }

    /// When a look-up that is sent now is given up.
    var redisDeadline: Instant { loop.now.advanced(byNanoseconds: redisNames?.timeout ?? 0) }
}
