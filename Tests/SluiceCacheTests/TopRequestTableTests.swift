import Glibc
import SluiceCache
import SluiceCore
import Testing

private func key(_ number: Int) -> CacheKey { Traces.key(number) }

@Suite("Hot table")
struct TopRequestTableTests {
    private let start = Instant.zero + .seconds(1)

    private func table(
        _ capacity: Int,
        requestBytes: Int = 64 << 10,
        bytes: Int = 16 << 20
    ) -> TopRequestTable<Int> {
        TopRequestTable(
            capacity: capacity,
            maximumRequestBytes: requestBytes,
            maximumBytes: bytes,
            at: start
        )
    }

    @Test(
        "The hottest of a Zipf trace are found, sampled or not",
        arguments: [(0.9, 1), (0.9, 8), (1.1, 1), (0.7, 1)]
    )
    func zipf(exponent: Double, stride: Int) {
        var table = table(1000)
        var random = RandomSource(seed: 9)
        for number in Traces.zipf(exponent, keys: 20_000, count: 400_000, seed: 7) {
            guard stride == 1 || random.next(below: stride) == 0 else { continue }
            table.note(key(number), weight: stride, byteCount: 100, at: start) { number }
        }
        let found = table.mostFrequent(1000)
        #expect(found.count == 1000 && Set(found).count == 1000)
        // What they weigh, of what the true thousand weigh.
        let share = mass(found, exponent) / mass(Array(0..<1000), exponent)
        #expect(share > 0.97, "the table holds \(share) of the traffic of the true thousand")
        #expect(found.prefix(10).allSatisfy { $0 < 20 }, "most wanted first: \(found.prefix(10))")
    }

    @Test("Requests in the table are bounded in number and bytes, and the hottest stay")
    func bounds() {
        var table = table(100, requestBytes: 1000, bytes: 10_000)
        for _ in 0..<5 {
            for number in 0..<5 {
                table.note(key(number), weight: 1, byteCount: 1000, at: start) { number }
            }
        }
        for number in 100..<10_000 {
            table.note(key(number), weight: 1, byteCount: 900, at: start) { number }
            #expect(table.byteCount <= 10_000 && table.count <= 100)
        }
        #expect(Set(table.mostFrequent(5)) == Set(0..<5))
    }

    @Test("A request above the limit is not kept, however hot")
    func tooLarge() {
        var table = table(10, requestBytes: 1000)
        for _ in 0..<100 { table.note(key(1), weight: 1, byteCount: 1001, at: start) { 1 } }
        #expect(table.count == 0 && table.byteCount == 0)
    }

    @Test("Old fame fades: after some half-lives, today's inputs have taken the places")
    func fading() {
        var table = table(10)
        for number in 0..<10 {
            table.note(key(number), weight: 1000, byteCount: 1, at: start) { number }
        }
        let later = start + .seconds(300 * 8 + 1)
        for _ in 0..<5 {
            for number in 100..<110 {
                table.note(key(number), weight: 1, byteCount: 1, at: later) { number }
            }
        }
        #expect(Set(table.mostFrequent(10)) == Set(100..<110))
    }

    @Test("The sketch never counts too little")
    func sketch() {
        var sketch = FrequencySketch(width: 256)
        for number in 0..<2000 { _ = sketch.add(key(number), UInt32(number % 7 + 1)) }
        for number in 0..<2000 { #expect(sketch.estimate(key(number)) >= UInt32(number % 7 + 1)) }
        sketch.halve()
        #expect(sketch.estimate(key(6)) >= 3)
        _ = sketch.add(key(6), .max)
        #expect(sketch.add(key(6), .max) == .max)
    }

    private func mass(_ numbers: [Int], _ exponent: Double) -> Double {
        numbers.reduce(0) { $0 + pow(Double($1 + 1), -exponent) }
    }
}
