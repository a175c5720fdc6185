import SluiceCache
import SluiceCore
import Testing

/// A shard sets aside addresses for the most slots it can ever have; one more would end the process.
@Suite("How many slots a shard comes to")
struct SlotBoundTests {
    /// What a slot takes, and an entry without bytes.
    private static let entryMinimum = 64 + Traces.entry([]).cost

    /// The sizes of answers in one trace.
    enum Sizes: CaseIterable, Sendable {
        case none, small, any, largest

        func draw(_ random: inout RandomSource, _ maximum: Int) -> Int {
            switch self {
            case .none: 0
            case .small: random.next(below: 40)
            case .any: random.next(below: 3) == 0 ? random.next(below: maximum) : 0
            case .largest: random.next(below: 2) * maximum
            }
        }
    }

    /// How many entries there were at most, which is how many slots there are: one is made where none
    /// is idle.
    private static func peak(
        budget: Int,
        _ sizes: Sizes,
        _ random: inout RandomSource
    ) -> Int {
        // A quarter of the cache for an entry makes it one shard.
        let cache = MemoryCache(maximumBytes: budget, maximumEntryBytes: budget, seed: 5)
        let keyMaximum = 3 * budget / entryMinimum + 3
        let keyCount = sizes == .none ? keyMaximum : 1 + random.next(below: keyMaximum)
        var (now, peak) = (Instant.zero, 0)
        for _ in 0..<(2 * keyCount + 300) {
            now = now.advanced(byNanoseconds: Int64(random.next(below: 100_000_000)))
            let key = Traces.key(random.next(below: keyCount))
            // Much is asked for again, so that it goes to main and its ghosts are remembered.
            for _ in 0..<random.next(below: 3) { _ = cache.lookup(key, at: now) }
            if random.next(below: 400) == 0 { cache.purge(.everything) }
            let seconds = [1, 3, 10, 1000][random.next(below: 4)]
            let entry = Traces.entry(
                [UInt8](repeating: 1, count: sizes.draw(&random, budget / 4)),
                born: now,
                policy: CachePolicy(timeToLive: .seconds(seconds))
            )
            cache.store(entry, for: key, asked: cache.stamp, at: now)
            peak = max(peak, cache.statistics.entries)
        }
        return peak
    }

    @Test(
        "Never more than the smallest entries that fit, and one",
        .tags(.property),
        arguments: Sizes.allCases,
        0..<25
    )
    func bound(sizes: Sizes, seed: Int) {
        var random = RandomSource(seed: UInt64(seed))
        // From less than the empty structures take to some hundreds of entries.
        let budget =
            [1, 100, 512, 1024, 1300, 4096, 20_000, 100_000][seed % 8]
            + random.next(below: [64, 1000][seed % 2])
        let bound = budget / Self.entryMinimum + 1
        let peak = Self.peak(budget: budget, sizes, &random)
        #expect(peak <= bound)
        // The bound is one that is met, but for index and ghosts.
        if sizes == .none, budget > 50_000 { #expect(peak > bound * 3 / 4) }
    }
}
