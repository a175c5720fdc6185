import SluiceBalancing
import SluiceCore
import Testing

@Suite("Choosing")
struct PickerTests {
    static func loads(_ board: LoadBoard, _ counts: [Int]) -> [BackendLoad] {
        counts.map { count in
            let load = board.add()
            load.health = .up
            for _ in 0..<count { load.enter() }
            return load
        }
    }

    @Test("leastRequest takes the least loaded")
    func least() {
        let board = LoadBoard()
        let loads = Self.loads(board, [3, 1, 2])
        var picker = BackendPicker(.leastRequest)
        for seed in 0..<50 as Range<UInt64> {
            var random = RandomSource(seed: seed)
            #expect(picker.pick(from: loads, eligible: .max, excluded: 0, random: &random) == 1)
            #expect(picker.pick(from: loads, eligible: .max, excluded: 2, random: &random) == 2)
            #expect(picker.pick(from: loads, eligible: 1, excluded: 0, random: &random) == 0)
        }
    }

    @Test(
        "Idle backends share evenly: ties are broken by chance",
        arguments: LoadBalancing.allCases
    )
    func even(algorithm: LoadBalancing) {
        let board = LoadBoard()
        let loads = Self.loads(board, [0, 0, 0, 0])
        var picker = BackendPicker(algorithm)
        var random = RandomSource(seed: 1)
        var counts = [0, 0, 0, 0]
        for _ in 0..<40_000 {
            let index = picker.pick(from: loads, eligible: .max, excluded: 0, random: &random)
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
        let board = LoadBoard()
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
            let index = picker.pick(from: loads, eligible: .max, excluded: 0, random: &random) ?? 0
            loads[index].enter()
            underWay.append(index)
            counts[index] += 1
        }
        // Five standard deviations of a fair draw, which one client's requests are.
        for count in counts { #expect(abs(count - 10_000) < 440) }
    }

    @Test("Nobody is picked where everybody is down or tried", arguments: LoadBalancing.allCases)
    func nobody(algorithm: LoadBalancing) {
        let board = LoadBoard()
        let loads = Self.loads(board, [0, 0])
        var picker = BackendPicker(algorithm)
        var random = RandomSource(seed: 1)
        #expect(picker.pick(from: loads, eligible: .max, excluded: 3, random: &random) == nil)
        for load in loads { load.health = .down }
        #expect(picker.pick(from: loads, eligible: .max, excluded: 0, random: &random) == nil)
        loads[1].health = .up
        #expect(picker.pick(from: loads, eligible: .max, excluded: 0, random: &random) == 1)
    }
}
