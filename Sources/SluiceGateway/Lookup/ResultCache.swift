import SluiceCache
import SluiceCore
package import SluiceEgress
import SluiceIO
import SluiceRedis
import SluiceTelemetry
import Synchronization

/// Tier 2, as configured.
package struct RedisTier: Sendable {
    package var endpoint: RedisEndpoint
    /// How long a look-up may take.
    package var timeout: Duration
    /// What every key begins with.
    package var prefix: String

    /// A tier of one Redis.
    package init(endpoint: RedisEndpoint, timeout: Duration, prefix: String) {
        self.endpoint = endpoint
        self.timeout = timeout
        self.prefix = prefix
    }
}

/// What happened to tier 2.
package enum RedisNotice: Sendable {
    /// Something of it goes wrong, or well again.
    case health(RedisHealth.Notice)
    /// Entries that were to go may still be there; says what to do.
    case purgeFailed(String)
}

/// What all workers share of the result cache: tier 1 and the calls in flight.
package final class ResultCache: Sendable {
    let memory: MemoryCache
    let calls: CoalescingTable
    /// Absent: there is no tier 2.
    let redis: RedisTier?
    /// Told what happens to tier 2 that an operator should know.
    private let redisNotice: @Sendable (RedisNotice) -> Void
    /// What is wrong with tier 2.
    package let redisHealth = RedisHealth()
    /// The workers whose connection is in use, a bit each.
    private let connected = Atomic<UInt64>(0)
    /// How answers are encoded in tier 2; changes with ``PredictCodec``.
    static let form: UInt16 = 2
    let mailboxes: WorkerMailboxes
    /// What models with `warm` are asked most.
    let hot = Mutex<[String: WeakTopRequests]>([:])

    /// An empty cache of at most `maxBytes`, for answers of at most `maxEntryBytes`; `mailboxes` lead to
    /// the workers that use it.
    package init(
        maxBytes: Int,
        maxEntryBytes: Int,
        redis: RedisTier?,
        mailboxes: WorkerMailboxes,
        seed: UInt64,
        redisNotice: @escaping @Sendable (RedisNotice) -> Void
    ) {
        self.redis = redis
        self.mailboxes = mailboxes
        calls = CoalescingTable(seed: seed)
        self.redisNotice = redisNotice
        memory = MemoryCache(
            maximumBytes: maxBytes,
            maximumEntryBytes: maxEntryBytes,
            seed: seed
        )
    }

    /// Bytes in tier 1, its books included.
    package var memoryBytes: Int { memory.statistics.bytes }

    /// Forgets a model's answers, or one revision's; returns how many were in memory.
    ///
    /// Calls under way for them are finished for those who wait, and kept from requests that come now.
    /// Tier 2 follows in the background.
    package func purge(model: String, revision: String?) -> Int {
        let tag = CacheTag(model: model, revision: revision ?? "")
        let scope = revision == nil ? CacheScope.model(tag) : .revision(tag)
        let count = memory.purge(scope)
        calls.close(scope)
        purgeRedis(model: model, revision: revision)
        return count
    }

    /// Whether any worker has a Redis in use; nil when there is none to use.
    package var isRedisUp: Bool? {
        redis == nil ? nil : connected.load(ordering: .relaxed) != 0
    }

    func redisChanged(isUp: Bool, worker: Int) {
        let bit = UInt64(1) << UInt64(worker & 63)
        if isUp {
            connected.bitwiseOr(bit, ordering: .relaxed)
        } else {
            connected.bitwiseAnd(~bit, ordering: .relaxed)
        }
    }

    func redisComplained(_ complaint: RedisComplaint, about use: RedisUse, at now: Instant) {
        if let notice = redisHealth.complained(complaint, about: use, at: now) {
            redisNotice(.health(notice))
        }
    }

    func redisRecovered(_ use: RedisUse, at now: Instant) {
        if let notice = redisHealth.recovered(use, at: now) { redisNotice(.health(notice)) }
    }

    /// Removes a model's or revision's answers from tier 2, on one worker, in the background.
    func purgeRedis(model: String, revision: String?) {
        guard let redis else { return }
        let prefix = "\(redis.prefix)\(model)/" + (revision.map { "\($0)/" } ?? "")
        purgeRedis(prefix, by: 0)
    }

    /// The first worker whose connection stands does it: they come and go one by one.
    private func purgeRedis(_ prefix: String, by worker: Int) {
        let isPosted = mailboxes.post(to: worker) { [self] peer in
            if peer.redis?.purge(prefix: prefix, token: 0) == true { return }
            purgeRedis(prefix, by: worker + 1)
        }
        if !isPosted {
            redisNotice(.purgeFailed("\(prefix)* could not be asked for; repeat the purge"))
        }
    }

    func purgeEnded(removed: Int, isComplete: Bool) {
        if !isComplete {
            redisNotice(.purgeFailed("it ended after \(removed) keys; repeat the purge"))
        }
    }
}

/// How a call ended that others waited for.
enum CoalescingOutcome: Sendable {
    /// Here is the answer, kept or not.
    case answered(CacheEntry)
    /// The call failed for everybody.
    case failed(http: Int, grpc: Int, reason: Reason, sentence: String)
    /// The answer can't be shared; each makes its own call.
    case unshared
}
