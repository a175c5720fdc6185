import SluiceCache
import SluiceCore
import Testing

extension CacheLookup {
    /// The case, and the first byte of the answer, for comparing.
    var outline: String {
        switch self {
        case .fresh(let entry): unsafe "fresh \(entry.answer.first ?? 0)"
        case .stale(let entry): unsafe "stale \(entry.answer.first ?? 0)"
        case .staleEntry(let entry): unsafe "spare \(entry.answer.first ?? 0)"
        case .miss: "miss"
        }
    }
}

@Suite("The memory cache")
struct MemoryCacheTests {
    static func seconds(_ count: Double) -> Instant { Instant(nanoseconds: Int64(count * 1e9)) }

    static func cache(_ bytes: Int = 1 << 20) -> MemoryCache {
        MemoryCache(maximumBytes: bytes, maximumEntryBytes: 1 << 14, seed: 3)
    }

    @Test("Where an answer lay is only a hint: what lies there now is never taken for it")
    func hint() {
        let cache = MemoryCacheTests.cache()
        var place = CachePlace()
        func look() -> String { cache.lookup(Traces.key(1), at: .zero, &place).outline }
        func keep(_ number: Int, _ byte: UInt8) {
            cache.store(
                Traces.entry([byte]),
                for: Traces.key(number),
                asked: cache.stamp,
                at: .zero
            )
        }
        #expect(look() == "miss")
        keep(1, 1)
        #expect(look() == "fresh 1")
        #expect(look() == "fresh 1")
        // Its slots are free, then others', and it lies elsewhere.
        cache.purge(.everything)
        #expect(look() == "miss")
        for number in 2..<40 { keep(number, UInt8(number)) }
        #expect(look() == "miss")
        keep(1, 7)
        #expect(look() == "fresh 7")
        #expect(look() == "fresh 7")
    }

    @Test("An answer is fresh, then stale, then a spare, then gone")
    func lifetime() {
        let cache = MemoryCacheTests.cache()
        let policy = CachePolicy(
            timeToLive: .seconds(10),
            staleWhileRevalidate: .seconds(5),
            staleIfError: .seconds(20)
        )
        let key = Traces.key(1)
        #expect(cache.lookup(key, at: .zero).outline == "miss")
        cache.store(Traces.entry([7], policy: policy), for: key, asked: cache.stamp, at: .zero)
        for (time, outline) in [
            (0, "fresh 7"), (9.999, "fresh 7"), (10, "stale 7"), (14.999, "stale 7"),
            (15, "spare 7"), (29.999, "spare 7"), (30, "miss"), (31, "miss"),
        ] as [(Double, String)] {
            let found = cache.lookup(key, at: MemoryCacheTests.seconds(time))
            #expect(found.outline == outline, "at \(time) s")
        }
        let statistics = cache.statistics
        #expect(statistics.hits == 2 && statistics.staleHits == 2 && statistics.misses == 5)
        #expect(statistics.expirations == 1 && statistics.entries == 0)
    }

    @Test("Asking again whether an answer came meanwhile finds what is fresh, and leaves no trace")
    func fresh() {
        let cache = MemoryCacheTests.cache()
        let key = Traces.key(1)
        func look(_ second: Double) -> UInt8? {
            unsafe cache.fresh(key, at: MemoryCacheTests.seconds(second))?.answer.first
        }
        #expect(look(0) == nil)
        cache.store(Traces.entry([7]), for: key, asked: cache.stamp, at: .zero)
        let before = cache.statistics
        #expect(look(59) == 7)
        #expect(look(60) == nil)
        #expect(cache.statistics == before)
    }

    @Test("Jitter takes off up to a tenth and adds nothing", .tags(.property))
    func jitter() {
        var random = RandomSource(seed: 1)
        let policy = CachePolicy(timeToLive: .seconds(100))
        var ends: [Int64] = []
        for _ in 0..<1000 {
            let lifetime = policy.lifetime(bornAt: .zero, random: &random)
            #expect(lifetime.freshUntil == lifetime.useUntil)
            ends.append(lifetime.freshUntil.nanoseconds / 1_000_000_000)
        }
        #expect(ends.min() == 90 && (ends.max() ?? 0) >= 99 && (ends.max() ?? 0) <= 100)
    }

    @Test("Two keys of one shard, index place and ghost keep their answers apart")
    func collisions() {
        let cache = MemoryCacheTests.cache()
        // Equal but for the last byte of the digest, or the first.
        let digests = [0, 31].map { place in
            (0..<40).map { value in
                var digest = [UInt8](repeating: 0, count: 32)
                digest[place] = UInt8(value * 16 % 256)
                digest[place == 0 ? 1 : 30] = UInt8(value)
                return digest
            }
        }.joined()
        let keys = Set(
            digests.map { digest in
                unsafe digest.withUnsafeBytes { unsafe CacheKey(digest: $0) }
            }
        ).map { $0 }
        for (index, key) in keys.enumerated() {
            let entry = Traces.entry([UInt8(index)])
            cache.store(entry, for: key, asked: cache.stamp, at: .zero)
        }
        for (index, key) in keys.enumerated() {
            #expect(cache.lookup(key, at: .zero).outline == "fresh \(index)")
        }
    }

    @Test("What is too large is refused, and a late answer doesn't replace a newer one")
    func refused() {
        let cache = MemoryCacheTests.cache()
        let large = Traces.entry([UInt8](repeating: 1, count: 1 << 14))
        #expect(!cache.store(large, for: Traces.key(1), asked: cache.stamp, at: .zero))
        let newer = Traces.entry([2], born: MemoryCacheTests.seconds(2))
        let older = Traces.entry([1], born: MemoryCacheTests.seconds(1))
        #expect(cache.store(newer, for: Traces.key(2), asked: cache.stamp, at: .zero))
        #expect(!cache.store(older, for: Traces.key(2), asked: cache.stamp, at: .zero))
        #expect(cache.lookup(Traces.key(2), at: .zero).outline == "fresh 2")
        #expect(cache.statistics.rejected == 2)
    }

    @Test("A purge takes what it names, and what was asked for before it")
    func purge() {
        let cache = MemoryCacheTests.cache()
        let tags = [("iris", "v1"), ("iris", "v2"), ("wine", "v1")].map {
            CacheTag(model: $0.0, revision: $0.1)
        }
        func fill() {
            for number in 0..<300 {
                let entry = Traces.entry([UInt8(number % 3)], tag: tags[number % 3])
                cache.store(entry, for: Traces.key(number), asked: cache.stamp, at: .zero)
            }
        }
        fill()
        let before = cache.stamp
        #expect(cache.purge(.revision(tags[0])) == 100)
        #expect(cache.lookup(Traces.key(0), at: .zero).outline == "miss")
        #expect(cache.lookup(Traces.key(1), at: .zero).outline == "fresh 1")
        let late = Traces.entry([9], tag: tags[0])
        #expect(!cache.store(late, for: Traces.key(0), asked: before, at: .zero))
        #expect(cache.store(late, for: Traces.key(0), asked: cache.stamp, at: .zero))
        let other = Traces.entry([9], tag: tags[1])
        #expect(cache.store(other, for: Traces.key(1), asked: before, at: .zero))
        #expect(cache.purge(.model(tags[0])) == 101)
        #expect(cache.purge(.everything) == 100)
        #expect(cache.statistics.entries == 0)
        // The ledger is bounded: what is older than its memory is refused whatever its tag.
        for _ in 0..<200 { cache.purge(.revision(tags[0])) }
        #expect(!cache.store(other, for: Traces.key(1), asked: before, at: .zero))
        fill()
        #expect(cache.statistics.entries == 300)
    }

    @Test(
        "Whatever happens, books balance and a hit is what was stored",
        .tags(.property),
        arguments: 0..<8 as Range<UInt64>
    )
    func model(seed: UInt64) {
        var random = RandomSource(seed: seed)
        let cache = MemoryCacheTests.cache(1 << (17 + random.next(below: 4)))
        var latest: [Int: UInt8] = [:]
        var now = Instant.zero
        for _ in 0..<20_000 {
            now = now.advanced(byNanoseconds: Int64(random.next(below: 20_000_000)))
            let number = random.next(below: 1 + random.next(below: 3000))
            switch random.next(below: 10) {
            case 0..<5:
                if case .fresh(let entry) = cache.lookup(Traces.key(number), at: now) {
                    #expect(unsafe entry.answer.first == latest[number])
                    #expect(now < entry.lifetime.freshUntil)
                }
            case 5..<9:
                let byte = UInt8(random.next(below: 256))
                let size = 1 + random.next(below: 1 + random.next(below: 20_000))
                let entry = Traces.entry([UInt8](repeating: byte, count: size), born: now)
                if cache.store(entry, for: Traces.key(number), asked: cache.stamp, at: now) {
                    latest[number] = byte
                }
            default: if random.next(below: 500) == 0 { cache.purge(.everything) }
            }
            let statistics = cache.statistics
            #expect(statistics.bytes <= cache.maximumBytes)
        }
        cache.purge(.everything)
        #expect(cache.statistics.entries == 0)
        // What is left is the bookkeeping alone.
        #expect(cache.statistics.bytes <= cache.maximumBytes / 2)
    }

    @Test("Workers share it: no answer strays while four threads look up, store and purge")
    func threads() async {
        let cache = MemoryCacheTests.cache()
        await withTaskGroup(of: Void.self) { group in
            for worker in 0..<4 as Range<UInt64> {
                group.addTask {
                    var random = RandomSource(seed: worker)
                    for round in 0..<20_000 {
                        let number = random.next(below: 2000)
                        let key = Traces.key(number)
                        let found = cache.lookup(key, at: .zero)
                        if case .fresh(let entry) = found {
                            #expect(unsafe entry.answer.first == UInt8(number % 251))
                        } else {
                            let entry = Traces.entry([UInt8(number % 251)])
                            cache.store(entry, for: key, asked: cache.stamp, at: .zero)
                        }
                        if round % 5000 == 4999 { cache.purge(.model(Traces.tag)) }
                    }
                }
            }
        }
        let statistics = cache.statistics
        #expect(statistics.hits + statistics.misses == 80_000)
    }
}
