import SluiceBalancing
import SluiceCore
import Testing

@Suite("Weights, warmth, latency and rings")
struct WeightTests {
    let board = BackendLoads()

    func hosts(_ count: Int, isNewcomer: Bool = false) -> [BackendLoad] {
        (0..<count).map { _ in
            let load = board.add(isNewcomer: isNewcomer)
            if !isNewcomer { load.health = .up }
            return load
        }
    }

    /// Pearson's statistic against shares in proportion to `weights`.
    func chiSquare(_ counts: [Int], _ weights: [Int]) -> Double {
        let total = Double(counts.reduce(0, +))
        let sum = Double(weights.reduce(0, +))
        return zip(counts, weights).reduce(0) { result, pair in
            guard pair.1 > 0 else { return result + (pair.0 > 0 ? 1e9 : 0) }
            let expected = total * Double(pair.1) / sum
            let difference = Double(pair.0) - expected
            return result + difference * difference / expected
        }
    }

    @Test(
        "Idle backends share in proportion to their weights",
        arguments: [LoadBalancing.leastRequest, .roundRobin, .random],
        [[1, 1, 1, 1], [2, 1, 1, 4], [10, 1, 3, 0]]
    )
    func idle(algorithm: LoadBalancing, weights: [Int]) {
        let hosts = hosts(4)
        var picker = BackendPicker(algorithm, weights: weights)
        var random = RandomSource(seed: 5)
        var counts = [0, 0, 0, 0]
        for _ in 0..<20_000 { counts[pick(&picker, hosts, &random) ?? 0] += 1 }
        // 16.3 is passed by chance once in a thousand times, with three degrees of freedom.
        #expect(chiSquare(counts, weights) < 16.3, "\(counts)")
    }

    @Test("Loaded backends of equal speed share in proportion to their weights")
    func loaded() {
        let hosts = hosts(3)
        let weights = [3, 2, 1]
        var picker = BackendPicker(.leastRequest, weights: weights)
        var random = RandomSource(seed: 5)
        var counts = [0, 0, 0]
        var underWay: [Int] = []
        for _ in 0..<60_000 {
            if underWay.count == 60 {
                let ended = random.next(below: 60)
                hosts[underWay[ended]].leave()
                underWay.swapAt(ended, 59)
                underWay.removeLast()
            }
            let index = pick(&picker, hosts, &random) ?? 0
            hosts[index].enter()
            underWay.append(index)
            counts[index] += 1
        }
        for (count, weight) in zip(counts, weights) {
            #expect(abs(Double(count) / 10_000 - Double(weight)) < 0.12, "\(counts)")
        }
    }

    @Test("Smooth weighted round robin goes a a b a c a a for weights 5, 1, 1 (nginx)")
    func smooth() {
        let hosts = hosts(3)
        var picker = BackendPicker(.roundRobin, weights: [5, 1, 1])
        var random = RandomSource(seed: 1)
        let turns = (0..<14).map { _ in pick(&picker, hosts, &random) ?? -1 }
        #expect(turns == [0, 0, 1, 0, 2, 0, 0, 0, 0, 1, 0, 2, 0, 0])
    }

    @Test("A weight of 0 takes nothing, even alone", arguments: LoadBalancing.allCases)
    func zero(algorithm: LoadBalancing) {
        let hosts = hosts(2)
        let ring = HashRing([("a", 0), ("b", 1)])
        var picker = BackendPicker(algorithm, weights: [0, 1], ring: ring)
        var random = RandomSource(seed: 1)
        for key in 0..<100 as Range<UInt64> {
            #expect(pick(&picker, hosts, key: StableHash.of([UInt8(key)]), &random) == 1)
        }
        hosts[1].health = .down
        #expect(pick(&picker, hosts, key: 0, &random) == nil)
    }

    @Test(
        "A backend that joins gets a tenth of its share at first and all of it in the end",
        arguments: [LoadBalancing.leastRequest, .random]
    )
    func slowStart(algorithm: LoadBalancing) {
        var options = BalancingOptions()
        options.slowStart = .seconds(30)
        let hosts = hosts(3) + hosts(1, isNewcomer: true)
        var picker = BackendPicker(algorithm, options: options)
        var random = RandomSource(seed: 9)
        func share(_ at: Double) -> Double {
            var count = 0
            for _ in 0..<20_000 where pick(&picker, hosts, at: second(at), &random) == 3 {
                count += 1
            }
            return Double(count) / 20_000
        }
        // Not probed yet: as cold as can be. A tenth of one beside three whole ones is 3.2 %.
        #expect(abs(share(0) - 0.1 / 3.1) < 0.008)
        hosts[3].cameUp(at: second(10))
        #expect(abs(share(10) - 0.1 / 3.1) < 0.008)
        #expect(abs(share(25) - 0.5 / 3.5) < 0.012)
        #expect(abs(share(40) - 0.25) < 0.015)
        // One that was away starts slowly as well; those who were there from the start never do.
        hosts[0].health = .down
        hosts[0].cameUp(at: second(50))
        var first = 0
        for _ in 0..<20_000 where pick(&picker, hosts, at: second(50), &random) == 0 { first += 1 }
        #expect(abs(Double(first) / 20_000 - 0.1 / 3.1) < 0.008)
    }

    @Test("Peak EWMA: slower counts at once, faster with time, and silence is forgiven")
    func peak() {
        var record = LatencyRecord(word: 0)
        #expect(abs(record.units(at: second(0)) * 4_096 - 30_000_000) < 10_000)
        record = record.noting(nanoseconds: 10_000_000, at: second(0))
        record = record.noting(nanoseconds: 100_000_000, at: second(0.001))
        #expect(abs(record.units(at: second(0.001)) * 4_096 - 100_000_000) < 10_000)
        for step in 1...100 {
            record = record.noting(nanoseconds: 10_000_000, at: second(Double(step) / 10))
        }
        // e^-1 of the 90 ms between them after ten seconds.
        #expect(abs(Double(record.units(at: second(10)) * 4_096) / 1e6 - 43) < 5)
        for step in 100...1_000 {
            record = record.noting(nanoseconds: 10_000_000, at: second(Double(step) / 10))
        }
        #expect(abs(Double(record.units(at: second(100)) * 4_096) / 1e6 - 10) < 1)
        #expect(record.units(at: second(110)) * 4_096 < 4_500_000)
    }

    @Test("peakEwma prefers the faster backend")
    func peakPicks() {
        let hosts = hosts(2)
        hosts[0].note(nanoseconds: 50_000_000, at: second(0))
        hosts[1].note(nanoseconds: 5_000_000, at: second(0))
        var picker = BackendPicker(.peakEwma)
        var random = RandomSource(seed: 2)
        var counts = [0, 0]
        for _ in 0..<1_000 { counts[pick(&picker, hosts, at: second(0), &random) ?? 0] += 1 }
        // Two draws of the same one are a quarter of all.
        #expect(counts[1] > 700)
        for _ in 0..<12 { hosts[1].enter() }
        counts = [0, 0]
        for _ in 0..<1_000 { counts[pick(&picker, hosts, at: second(0), &random) ?? 0] += 1 }
        #expect(counts[0] > 700)
    }

    static func names(_ count: Int) -> [(name: String, weight: Int)] {
        (0..<count).map { ("10.0.0.\($0):8000", 1) }
    }

    @Test("A ring spreads keys over all backends", arguments: [2, 5, 16, 64])
    func ringShares(count: Int) {
        let hosts = hosts(count)
        var picker = BackendPicker(.ringHash, ring: HashRing(Self.names(count)))
        var random = RandomSource(seed: 4)
        var counts = [Int](repeating: 0, count: count)
        for _ in 0..<(count * 1_000) {
            counts[pick(&picker, hosts, key: random.next(), &random) ?? 0] += 1
        }
        #expect(counts.allSatisfy { $0 > 650 && $0 < 1_450 }, "\(counts)")
    }

    @Test("When a backend goes, its keys alone move: at most 1.5/N", arguments: [3, 8, 20])
    func ringMoves(count: Int) {
        let hosts = hosts(count)
        let names = Self.names(count)
        for gone in 0..<count {
            var before = BackendPicker(.ringHash, ring: HashRing(names))
            var rest = names
            rest.remove(at: gone)
            var after = BackendPicker(.ringHash, ring: HashRing(rest))
            var random = RandomSource(seed: 8)
            var moved = 0
            for _ in 0..<4_000 {
                let key = random.next()
                let old = pick(&before, hosts, key: key, &random) ?? 0
                let new = pick(&after, Array(hosts.dropLast()), key: key, &random) ?? 0
                if names[old].name != rest[new].name {
                    moved += 1
                    #expect(old == gone)
                }
            }
            #expect(Double(moved) / 4_000 <= 1.5 / Double(count))
        }
    }

    @Test("A key's backend that is down hands its keys to others and gets them back")
    func ringDown() {
        let hosts = hosts(5)
        var picker = BackendPicker(.ringHash, ring: HashRing(Self.names(5)))
        var random = RandomSource(seed: 8)
        for _ in 0..<500 {
            let key = random.next()
            let own = pick(&picker, hosts, key: key, &random)
            #expect(pick(&picker, hosts, key: key, &random) == own)
            let load = hosts[own ?? 0]
            load.health = .down
            #expect(pick(&picker, hosts, key: key, &random) != own)
            load.health = .up
            #expect(pick(&picker, hosts, key: key, &random) == own)
        }
    }

    @Test("One hot key loads no backend beyond 1.25 times the mean")
    func bounded() {
        let hosts = hosts(8)
        var picker = BackendPicker(.ringHash, ring: HashRing(Self.names(8)))
        var random = RandomSource(seed: 8)
        for count in 1...400 {
            let index = pick(&picker, hosts, key: 42, &random) ?? 0
            hosts[index].enter()
            let bound = Int((1.25 * Double(count) / 8).rounded(.up))
            #expect(hosts[index].inFlight <= bound, "\(hosts[index].inFlight) of \(count)")
        }
    }

    @Test("Without a key a ring takes the least loaded")
    func keyless() {
        let hosts = hosts(3)
        hosts[0].enter()
        hosts[2].enter()
        var picker = BackendPicker(.ringHash, ring: HashRing(Self.names(3)))
        var random = RandomSource(seed: 8)
        #expect(pick(&picker, hosts, &random) == 1)
    }
}
