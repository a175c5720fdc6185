import SluiceCache
import SluiceCore
import SluiceInference
import Testing

@testable import SluiceGateway

@Suite("Which requests are noted as a model's most frequent")
struct TopRequestsTests {
    private static func key(_ number: UInt8) -> CacheKey {
        // Words apart, as a digest's are.
        let bytes = (0..<32).map {
            UInt8(truncatingIfNeeded: Int(number) * 37 + $0 * 11 * Int(number))
        }
        return unsafe bytes.withUnsafeBytes { unsafe CacheKey(digest: $0) }
    }

    private static func request(_ number: UInt8) -> TopRequest {
        TopRequest(form: .v2, path: [number], contentType: [], body: [number])
    }

    @Test("The most frequent ones are kept, as many as are wanted, the most frequent first")
    func order() {
        let top = TopRequests(WarmPolicy(top: 2, rate: 1), at: .zero)
        for (number, weight) in [(UInt8(1), 5), (2, 50), (3, 20)] {
            top.note(Self.key(number), weight: weight, byteCount: 1, at: .zero) {
                Self.request(number)
            }
        }
        #expect(top.mostFrequent.map(\.body) == [[2], [3]])
    }

    @Test("While few pass each is noted, and stands for itself")
    func few() {
        let sampler = TopRequestSampler(TopRequests(WarmPolicy(top: 2, rate: 1), at: .zero))
        var random = RandomSource(seed: 1)
        for number in 0..<100 {
            #expect(sampler.isDue())
            // Ten a second.
            let now = Instant(nanoseconds: Int64(number + 1) * 100_000_000)
            #expect(sampler.take(at: now, random: &random) == 1)
        }
    }

    @Test(
        "While many pass some are noted, and together stand for all of them",
        arguments: 1...5 as ClosedRange<UInt64>
    )
    func many(seed: UInt64) {
        let sampler = TopRequestSampler(TopRequests(WarmPolicy(top: 2, rate: 1), at: .zero))
        var random = RandomSource(seed: seed)
        var (passed, noted, weight, late) = (0, 0, 0, 0)
        // 50,000 a second for ten seconds.
        for number in 0..<500_000 {
            passed += 1
            guard sampler.isDue() else { continue }
            let now = Instant(nanoseconds: Int64(number) * 20_000)
            weight += sampler.take(at: now, random: &random)
            noted += 1
            if number >= 450_000 { late += 1 }
        }
        // Some 500 in the last second, once the stride is found.
        #expect(late > 100 && late < 1_500, "\(late)")
        #expect(noted < passed / 20)
        #expect(abs(weight - passed) < passed / 50, "\(weight)")
    }
}
