import SluiceCache
import SluiceCore
package import SluiceInference
import Synchronization

/// A prediction as its caller sent it, as far as it takes to send it again.
///
/// Callers' credentials and other fields aren't kept: they are theirs.
package struct TopRequest: Sendable {
    var form: ResponseFormat.APIForm
    var path: [UInt8]
    var contentType: [UInt8]
    /// `inference-header-content-length`, if there was one.
    var headerLength: Int?
    var body: [UInt8]

    /// A request to `path`; over gRPC, `body` is the framed message.
    package init(
        form: ResponseFormat.APIForm,
        path: [UInt8],
        contentType: [UInt8],
        headerLength: Int? = nil,
        body: [UInt8]
    ) {
        self.form = form
        self.path = path
        self.contentType = contentType
        self.headerLength = headerLength
        self.body = body
    }
}

/// What a model is asked most, for all workers together.
///
/// One table under one lock rather than a table for each worker: a worker touches it for its sampled
/// share only, some hundred times a second, for a microsecond; and a table of its own would see only
/// half of the requests and need merging by the sums that it has forgotten.
final class TopRequests: Sendable {
    let policy: WarmPolicy
    private let table: Mutex<TopRequestTable<TopRequest>>

    init(_ policy: WarmPolicy, at now: Instant) {
        self.policy = policy
        table = Mutex(TopRequestTable(capacity: policy.top, at: now))
    }

    func note(
        _ key: CacheKey,
        weight: Int,
        byteCount: Int,
        at now: Instant,
        _ request: () -> TopRequest
    ) {
        table.withLock {
            $0.note(key, weight: weight, byteCount: byteCount, at: now, request)
        }
    }

    var mostFrequent: [TopRequest] { table.withLock { $0.mostFrequent(policy.top) } }
}

/// Which requests one worker notes of a model: all while there are few, else about ``wanted`` a second,
/// each for as many as passed unseen.
final class TopRequestSampler {
    let inputs: TopRequests
    private var left = 1
    /// How many the next one noted stands for.
    private var weight = 1
    /// One in so many is noted.
    private var stride = 1
    private var notedCount = 0
    private var evaluated = Instant.zero

    private static let wanted = 500
    private static let strideMaximum = 1 << 16

    init(_ inputs: TopRequests) { self.inputs = inputs }

    /// Whether the request that passes now is to be noted; all of a request's cost that isn't.
    func isDue() -> Bool {
        left -= 1
        return left == 0
    }

    /// What the request that is due stands for; sets out for the next one.
    func take(at now: Instant, random: inout RandomSource) -> Int {
        let taken = weight
        notedCount += 1
        let elapsed = now.nanoseconds(since: evaluated)
        if elapsed >= 1_000_000_000 || notedCount >= 2 * TopRequestSampler.wanted {
            // In this stretch one in `stride` came to so many a second.
            let perSecond = Int64(notedCount) * 1_000_000_000 / max(elapsed, 1)
            if perSecond > Int64(TopRequestSampler.wanted) {
                stride = min(stride * 2, TopRequestSampler.strideMaximum)
            } else if perSecond < Int64(TopRequestSampler.wanted / 4) {
                stride = max(stride / 2, 1)
            }
            (notedCount, evaluated) = (0, now)
        }
        // By chance, so that callers with a rhythm are seen as they are; on average `stride`.
        left = stride == 1 ? 1 : 1 + random.next(below: 2 * stride - 1)
        weight = left
        return taken
    }
}
