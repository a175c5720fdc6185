import SluiceBalancing
import SluiceCore
import Testing

@Suite("Choosing")
struct PickerTests {
    static func loads(_ board: BackendLoads, _ counts: [Int]) -> [BackendLoad] {
        counts.map { count in
            let load = board.add()
            load.health = .up
            for _ in 0..<count { load.enter() }
            return load
        }
    }

    @Test("leastRequest takes the least loaded")
    func least() {
        let board = BackendLoads()
        let loads = Self.loads(board, [3, 1, 2])
        var picker = BackendPicker(.leastRequest)
        for seed in 0..<50 as Range<UInt64> {
            var random = RandomSource(seed: seed)
            #expect(pick(&picker, loads, &random) == 1)
            #expect(pick(&picker, loads, excluded: 2, &random) == 2)
            #expect(pick(&picker, loads, eligible: 1, &random) == 0)
        }
    }

    @Test(
        "Idle backends share evenly: ties are broken by chance",
        arguments: LoadBalancing.allCases
    )
    func even(algorithm: LoadBalancing) {
        let board = BackendLoads()
        let loads = Self.loads(board, [0, 0, 0, 0])
        var picker = BackendPicker(algorithm)
        var random = RandomSource(seed: 1)
        var counts = [0, 0, 0, 0]
        for _ in 0..<40_000 {
            let index = pick(&picker, loads, &random)
            counts[index ?? 0] += 1
        }
        // Five standard deviations of a fair draw.
        for count in counts { #expect(abs(count - 10_000) < 440) }
    }

    @Test(
        "Equally fast backends share evenly while many requests are under way",
        arguments: [1, 8, 128]
    )
    func evenUnderLoad(clients: Int) {
        let board = BackendLoads()
        let loads = Self.loads(board, [0, 0, 0, 0])
        var picker = BackendPicker(.leastRequest)
        var random = RandomSource(seed: 7)
        var counts = [0, 0, 0, 0]
        var underWay: [Int] = []
        for _ in 0..<40_000 {
            if underWay.count == clients {
                // Any request may be the next to end.
                let ended = random.next(below: clients)
                loads[underWay[ended]].leave()
                underWay.swapAt(ended, clients - 1)
                underWay.removeLast()
            }
            let index = pick(&picker, loads, &random) ?? 0
            loads[index].enter()
            underWay.append(index)
            counts[index] += 1
        }
        // Five standard deviations of a fair draw, which one client's requests are.
        for count in counts { #expect(abs(count - 10_000) < 440) }
    }

    @Test(
        "A copy of a request takes nobody's turn",
        arguments: [[1, 1], [1, 1, 1], [3, 1], [5, 1, 1]],
        [LoadBalancing.roundRobin, .leastRequest, .random, .peakEwma]
    )
    func outOfTurn(weights: [Int], algorithm: LoadBalancing) {
        let board = BackendLoads()
        let loads = Self.loads(board, weights.map { _ in 0 })
        var (plain, copying) = (
            BackendPicker(algorithm, weights: weights), BackendPicker(algorithm, weights: weights)
        )
        var (random, same) = (RandomSource(seed: 3), RandomSource(seed: 3))
        var other = RandomSource(seed: 4)
        for _ in 0..<100 {
            let first = pick(&plain, loads, &random)
            #expect(pick(&copying, loads, &same) == first)
            let copy = copying.pickOutOfTurn(
                from: loads,
                eligible: .all(weights.count),
                excluded: BackendSet(first: 1 << UInt64(first ?? 0)),
                now: second(0),
                random: &other
            )
            #expect(copy != nil && copy != first)
        }
    }

    @Test("Nobody is picked where everybody is down or tried", arguments: LoadBalancing.allCases)
    func nobody(algorithm: LoadBalancing) {
        let board = BackendLoads()
        let loads = Self.loads(board, [0, 0])
        var picker = BackendPicker(algorithm)
        var random = RandomSource(seed: 1)
        #expect(pick(&picker, loads, excluded: 3, &random) == nil)
        for load in loads { load.health = .down }
        #expect(pick(&picker, loads, &random) == nil)
        loads[1].health = .up
        #expect(pick(&picker, loads, &random) == 1)
    }
}

/// Picks at the beginning of time.
func pick(
    _ picker: inout BackendPicker,
    _ loads: [BackendLoad],
    eligible: UInt64 = .max,
    excluded: UInt64 = 0,
    key: UInt64? = nil,
    at now: Instant = .zero,
    _ random: inout RandomSource
) -> Int? {
    picker.pick(
        from: loads,
        eligible: BackendSet(first: eligible),
        excluded: BackendSet(first: excluded),
        key: key,
        now: now,
        random: &random
    )
}
