import Glibc
import SluiceCache
import SluiceCore
import Testing

/// The memory cache against two textbook rivals of equal size, on seeded traces.
///
/// `SLUICE_TRACE_REQUESTS` makes the traces longer; the figures in `CacheShard.swift` are from
/// 4,000,000.
@Suite("Hit ratios")
struct HitRatioTests {
    static let requests: Int = {
        // The string belongs to the environment, which no test changes.
        guard let text = unsafe getenv("SLUICE_TRACE_REQUESTS") else { return 80_000 }
        return unsafe Int(String(cString: text)) ?? 80_000
    }()

    static func percent(_ hits: Int, of count: Int) -> Double {
        (Double(hits) * 1000 / Double(count)).rounded() / 10
    }

    /// Hits of the real cache, and how many entries it came to hold.
    static func measure(_ trace: [Int], maximumBytes: Int) -> (hits: Int, entries: Int) {
        let cache = MemoryCache(
            maximumBytes: maximumBytes,
            maximumEntryBytes: 4096,
            seed: 1
        )
        let entry = Traces.entry([UInt8](repeating: 1, count: 1000))
        var hits = 0
        for number in trace {
            let key = Traces.key(number)
            if case .fresh = cache.lookup(key, at: .zero) {
                hits += 1
            } else {
                cache.store(entry, for: key, asked: cache.stamp, at: .zero)
            }
        }
        return (hits, cache.statistics.entries)
    }

    static func measure(_ trace: [Int], _ rival: some RivalPolicy) -> Int {
        var rival = rival
        return trace.reduce(0) { $0 + (rival.request($1) ? 1 : 0) }
    }

    @Test("Under Zipf it keeps up with LRU; with scans mixed in it is ahead", .tags(.property))
    func table() {
        let count = HitRatioTests.requests
        var lines = ["trace                     S3-FIFO   LRU  W-TinyLFU"]
        for exponent in [0.9, 1.0, 1.1] {
            let plain = Traces.zipf(exponent, keys: 50_000, count: count, seed: 7)
            for share in [0, 20, 50] {
                // Runs as long as half the cache.
                let trace = share == 0 ? plain : Traces.withScans(plain, share: share, run: 1250)
                let (hits, entries) = HitRatioTests.measure(trace, maximumBytes: 3_584_000)
                let lru = HitRatioTests.measure(trace, LRU(capacity: entries))
                let tiny = HitRatioTests.measure(trace, TinyLFU(capacity: entries))
                #expect(hits >= lru, "Zipf \(exponent), \(share) % scans")
                let shares = [hits, lru, tiny].map {
                    HitRatioTests.percent($0, of: trace.count).description
                }
                lines.append(
                    "Zipf \(exponent), \(share) % scans, \(entries) entries: "
                        + shares.joined(separator: "  ")
                )
            }
        }
        print(lines.joined(separator: "\n"))
    }
}
