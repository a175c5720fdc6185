import Glibc
import SluiceCache
import SluiceCore

/// Keys and entries for tests, and sequences of requests.
enum Traces {
    /// A key as uniform as a digest, the same for the same number.
    static func key(_ number: Int) -> CacheKey {
        var random = RandomSource(seed: UInt64(bitPattern: Int64(number)))
        let words = [random.next(), random.next(), random.next(), random.next()]
        return unsafe words.withUnsafeBytes { unsafe CacheKey(digest: $0) }
    }

    static let tag = CacheTag(model: "iris", revision: "v1")

    static func entry(
        _ answer: [UInt8],
        tag: CacheTag = tag,
        born: Instant = .zero,
        policy: CachePolicy = CachePolicy(timeToLive: .seconds(60))
    ) -> CacheEntry {
        let lifetime = policy.lifetime(freshUntil: born + policy.timeToLive)
        return unsafe answer.withUnsafeBytes { answer in
            unsafe CacheEntry(tag: tag, born: born, lifetime: lifetime, answer: answer)
        }
    }

    /// `count` draws from Zipf's law with `exponent` over `keys` keys.
    static func zipf(_ exponent: Double, keys: Int, count: Int, seed: UInt64) -> [Int] {
        var cumulated: [Double] = []
        var sum = 0.0
        for rank in 1...keys {
            sum += pow(Double(rank), -exponent)
            cumulated.append(sum)
        }
        var random = RandomSource(seed: seed)
        return (0..<count).map { _ in
            let wanted = Double(random.next() >> 11) / Double(1 << 53) * sum
            var (low, high) = (0, keys - 1)
            while low < high {
                let middle = (low + high) / 2
                if cumulated[middle] < wanted { low = middle + 1 } else { high = middle }
            }
            return low
        }
    }

    /// The trace with runs of keys that never come again: `share` percent of all requests.
    static func withScans(_ trace: [Int], share: Int, run: Int) -> [Int] {
        var mixed: [Int] = []
        var fresh = 1 << 40
        let gap = run * (100 - share) / share
        for (index, key) in trace.enumerated() {
            mixed.append(key)
            if index % gap == gap - 1 {
                mixed += fresh..<(fresh + run)
                fresh += run
            }
        }
        return mixed
    }
}
