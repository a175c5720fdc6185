import SluiceBalancing
import SluiceCore
import Testing

@Suite("Rate limits")
struct RateLimitTests {
    static func at(_ nanoseconds: Int64) -> Instant {
        Instant(nanoseconds: 1_000_000_000_000 + nanoseconds)
    }

    static func take(_ limiter: RateLimiter, _ key: String = "", at nanoseconds: Int64) -> Int64 {
        unsafe Array(key.utf8).withUnsafeBytes { unsafe limiter.take($0, at: Self.at(nanoseconds)) }
    }

    struct Edge: CustomTestStringConvertible, Sendable {
        let rate: Int
        let period: RateLimit.Period
        let burst: Int
        /// The first nanosecond after an emptied burst at which there is a token.
        let token: Int64
        var testDescription: String { "\(rate)/\(period.rawValue), burst \(burst)" }
    }

    static let edges = [
        Edge(rate: 100, period: .second, burst: 200, token: 10_000_000),
        Edge(rate: 1, period: .second, burst: 1, token: 1_000_000_000),
        // A third of a second isn't a whole number of nanoseconds: rounded up, never down.
        Edge(rate: 3, period: .second, burst: 2, token: 333_333_334),
        Edge(rate: 7, period: .hour, burst: 1, token: 514_285_714_286),
        Edge(rate: 1_000_000, period: .second, burst: 1, token: 1_000),
        // The fullest bucket there is.
        Edge(rate: 1, period: .hour, burst: 1_000_000, token: 3_600_000_000_000),
    ]

    @Test("A burst is what it says, and the next token comes to the nanosecond", arguments: edges)
    func edge(row: Edge) {
        let limiter = RateLimiter(
            RateLimit(rate: row.rate, per: row.period, burst: row.burst, scope: .model)
        )
        for _ in 0..<row.burst { #expect(Self.take(limiter, at: 0) == 0) }
        #expect(Self.take(limiter, at: 0) == row.token)
        #expect(Self.take(limiter, at: row.token - 1) == 1)
        #expect(Self.take(limiter, at: row.token) == 0)
        #expect(Self.take(limiter, at: row.token) > 0)
    }

    @Test(
        "In any stretch no more pass than the burst and what the rate brings, and no less",
        arguments: 0..<40 as Range<UInt64>
    )
    func conformance(seed: UInt64) {
        var random = RandomSource(seed: seed)
        let rate = 1 + random.next(below: 997)
        let burst = 4 + random.next(below: 50)
        let limiter = RateLimiter(RateLimit(rate: rate, per: .second, burst: burst, scope: .model))
        var now: Int64 = 0
        var passed = 0
        // Somebody asks all the time, and 3 ms never bring four: no token is lost to a full bucket.
        for _ in 0..<burst { passed += Self.take(limiter, at: 0) == 0 ? 1 : 0 }
        for _ in 0..<5_000 {
            now += Int64(random.next(below: 3_000_000))
            while Self.take(limiter, at: now) == 0 { passed += 1 }
            #expect(passed == burst + Int(Double(now) * Double(rate) / 1e9))
        }
    }

    @Test("A pause fills the bucket to its burst and no further")
    func pause() {
        let limiter = RateLimiter(RateLimit(rate: 10, per: .second, burst: 5, scope: .model))
        for _ in 0..<5 { #expect(Self.take(limiter, at: 0) == 0) }
        let later: Int64 = 1 << 60
        for _ in 0..<5 { #expect(Self.take(limiter, at: later) == 0) }
        #expect(Self.take(limiter, at: later) == 100_000_000)
    }

    @Test("A worker whose clock is behind takes what is there, and time doesn't run twice")
    func clocks() {
        let limiter = RateLimiter(RateLimit(rate: 1, per: .second, burst: 1, scope: .model))
        #expect(Self.take(limiter, at: 0) == 0)
        #expect(Self.take(limiter, at: 1_000_000_000) == 0)
        #expect(Self.take(limiter, at: 500_000_000) == 1_000_000_000)
        #expect(Self.take(limiter, at: 1_999_999_999) == 1)
        #expect(Self.take(limiter, at: 2_000_000_000) == 0)
    }

    @Test("A token that is given back can be taken again, and fills nothing beyond the burst")
    func giveBack() {
        for scope in [RateLimit.Scope.model, .client] {
            let limiter = RateLimiter(RateLimit(rate: 1, per: .minute, burst: 2, scope: scope))
            unsafe Array("a".utf8).withUnsafeBytes { key in
                #expect(unsafe limiter.take(key, at: Self.at(0)) == 0)
                unsafe limiter.giveBack(key)
                unsafe limiter.giveBack(key)
                #expect(unsafe limiter.take(key, at: Self.at(0)) == 0)
                #expect(unsafe limiter.take(key, at: Self.at(0)) == 0)
                #expect(unsafe limiter.take(key, at: Self.at(0)) > 0)
            }
        }
    }

    @Test("Callers have buckets of their own")
    func keys() {
        let limiter = RateLimiter(RateLimit(rate: 1, per: .second, burst: 2, scope: .client))
        for key in ["10.0.0.1", "10.0.0.2", ""] {
            #expect(Self.take(limiter, key, at: 0) == 0)
            #expect(Self.take(limiter, key, at: 0) == 0)
            #expect(Self.take(limiter, key, at: 0) == 1_000_000_000)
        }
        #expect(limiter.keyCount == 3 && limiter.evictions == 0)
    }

    @Test("The table has an end; who asks all the while is remembered, who was full isn't missed")
    func bound() {
        let limiter = RateLimiter(
            RateLimit(rate: 1, per: .hour, burst: 1, scope: .client),
            keysMaximum: 64 * 8
        )
        #expect(Self.take(limiter, "faithful", at: 0) == 0)
        for number in 0..<20_000 {
            #expect(Self.take(limiter, "stranger \(number)", at: 0) == 0)
            #expect(Self.take(limiter, "faithful", at: 0) > 0)
        }
        #expect(limiter.keyCount <= 64 * 8)
        #expect(limiter.evictions == 20_001 - limiter.keyCount)
        let before = limiter.evictions
        for number in 0..<1_000 {
            #expect(Self.take(limiter, "later \(number)", at: 3_600_000_000_000) == 0)
        }
        // Those that make room now have recovered, but for newcomers among themselves.
        #expect(limiter.evictions - before <= 1_000 - 64 * 8 + 200)
    }

    @Test("However many take at once, nobody gets a token twice", .timeLimit(.minutes(1)))
    func race() async {
        let shared = RateLimiter(RateLimit(rate: 1, per: .hour, burst: 5_000, scope: .model))
        let keyed = RateLimiter(RateLimit(rate: 1, per: .hour, burst: 500, scope: .client))
        var passed = (shared: 0, keyed: 0)
        await withTaskGroup(of: (shared: Int, keyed: Int).self) { group in
            for _ in 0..<4 {
                group.addTask {
                    var own = (shared: 0, keyed: 0)
                    for number in 0..<4_000 {
                        own.shared += Self.take(shared, at: 0) == 0 ? 1 : 0
                        own.keyed += Self.take(keyed, "\(number % 10)", at: 0) == 0 ? 1 : 0
                    }
                    return own
                }
            }
            for await own in group {
                passed.shared += own.shared
                passed.keyed += own.keyed
            }
        }
        #expect(passed.shared == 5_000 && passed.keyed == 5_000)
    }
}
