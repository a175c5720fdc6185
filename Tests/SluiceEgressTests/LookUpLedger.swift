import SluiceCore
import SluiceEgress
import SluiceIO
import SluiceRedis

/// Asks a connection for values and holds it to its promises.
final class LookUpLedger: RedisReceiver {
    enum Outcome: Hashable {
        case hit, miss
        case failed(RedisLookupFailure)
    }

    struct Entry {
        let keys: [String]
        let asked: Instant
        var values: [[UInt8]?] = []
        var outcomes: [Outcome] = []
        var ended: Instant?

        var isOver: Bool { ended != nil }
    }

    private let loop: EventLoop
    private(set) var entries: [UInt64: Entry] = [:]
    private(set) var purges: [UInt64: (removed: Int, isComplete: Bool)] = [:]
    private(set) var changes: [String?] = []
    private(set) var complaints: [(use: RedisUse, complaint: RedisComplaint)] = []
    private(set) var recoveries: [RedisUse] = []
    /// What mustn't happen and did.
    private(set) var violations: [String] = []
    private(set) var openCount = 0
    private var nextToken: UInt64 = 1
    var connection: RedisConnection?
    /// Called after each outcome, from within the connection's call.
    var heard: ((UInt64) -> Void)?
    private var isAsking = false

    init(loop: EventLoop) { self.loop = loop }

    /// Looks up; returns the token, or nil when refused on the spot.
    @discardableResult
    func ask(_ keys: [String], within timeout: Duration = .milliseconds(20)) -> UInt64? {
        guard let connection else { return nil }
        let token = nextToken
        nextToken += 1
        let now = loop.now
        isAsking = true
        defer { isAsking = false }
        let bytes = Array(keys.joined().utf8)
        let isSent = unsafe bytes.withUnsafeBytes { bytes in
            if keys.count == 1 {
                return unsafe connection.get(bytes, deadline: now + timeout, token: token)
            }
            return unsafe connection.getMany(
                bytes,
                keyByteCount: bytes.count / keys.count,
                deadline: now + timeout,
                token: token
            )
        }
        guard isSent else { return nil }
        entries[token] = Entry(keys: keys, asked: loop.kernel.now())
        openCount += 1
        return token
    }

    func store(_ key: String, _ value: [UInt8], milliseconds: Int = 60_000) {
        unsafe Array(key.utf8).withUnsafeBytes { key in
            unsafe value.withUnsafeBytes { value in
                unsafe connection?.set(
                    key,
                    header: UnsafeRawBufferPointer(rebasing: value[..<(value.count / 2)]),
                    body: UnsafeRawBufferPointer(rebasing: value[(value.count / 2)...]),
                    expiresInMilliseconds: milliseconds
                )
            }
        }
    }

    /// Stores `answer` behind the header that tells it from anything else.
    func store(_ key: String, signed answer: [UInt8]) {
        var header = ByteBuffer(pool: loop.buffers)
        unsafe answer.withUnsafeBytes { answer in
            unsafe StoredValue(form: 1, freshUntilMilliseconds: 0)
                .appendHeader(key: LookUpLedger.digest(key), answer: answer, to: &header)
        }
        store(key, unsafe Array(header.bytes) + answer)
    }

    private static func digest(_ key: String) -> UInt64 {
        unsafe Array(key.utf8).withUnsafeBytes { unsafe XXH64.hash($0, seed: 0) }
    }

    /// The answer that a value from ``store(_:signed:)`` holds.
    static func answer(in value: [UInt8], under key: String) -> ArraySlice<UInt8>? {
        let isSound = unsafe value.withUnsafeBytes {
            unsafe StoredValue($0, key: digest(key)) != nil
        }
        return isSound ? value.dropFirst(StoredValue.headerByteCount) : nil
    }

    /// How long the look-ups asked from `start` until `end` took, in order.
    func waits(from start: Instant, to end: Instant) -> [Duration] {
        entries.values.filter { $0.asked >= start && $0.asked < end }
            .map { ($0.ended ?? loop.kernel.now()) - $0.asked }.sorted()
    }

    /// The longest that one look-up has taken, of those asked from `start` on.
    func slowest(since start: Instant = .zero) -> Duration {
        entries.values.filter { $0.asked >= start }
            .map { ($0.ended ?? loop.now) - $0.asked }.max() ?? .zero
    }

    func redisHit(_ token: UInt64, place: Int, _ value: UnsafeRawBufferPointer) {
        unsafe note(token, place, .hit, Array(value))
    }

    func redisMiss(_ token: UInt64, place: Int) { note(token, place, .miss, nil) }

    func redisFailed(_ token: UInt64, _ failure: RedisLookupFailure) {
        if entries[token]?.outcomes.isEmpty == false { violations.append("\(token) half failed") }
        note(token, nil, .failed(failure), nil)
    }

    private func note(_ token: UInt64, _ place: Int?, _ outcome: Outcome, _ value: [UInt8]?) {
        if isAsking { violations.append("\(token) heard while asking") }
        guard var entry = entries[token], !entry.isOver else {
            violations.append("\(token) told twice, or never asked for")
            return
        }
        if let place, place != entry.outcomes.count { violations.append("\(token): order") }
        entry.outcomes.append(outcome)
        entry.values.append(value)
        if place == nil || entry.outcomes.count == entry.keys.count {
            entry.ended = loop.kernel.now()
            openCount -= 1
        }
        entries[token] = entry
        if entry.isOver { heard?(token) }
    }

    func redisPurged(_ token: UInt64, removed: Int, isComplete: Bool) {
        if purges[token] != nil { violations.append("purge \(token) told twice") }
        purges[token] = (removed, isComplete)
    }

    func redisComplained(_ complaint: RedisComplaint, about use: RedisUse, at now: Instant) {
        complaints.append((use, complaint))
    }

    func redisRecovered(_ use: RedisUse, at now: Instant) { recoveries.append(use) }

    func redisChanged(_ problem: String?) {
        if let last = changes.last, (last == nil) == (problem == nil) {
            violations.append("told twice that it is \(problem ?? "up")")
        }
        changes.append(problem)
    }
}
