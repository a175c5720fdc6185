import SluiceBalancing
import SluiceCore
import Testing

@Suite("Revisions of more than 64 backends")
struct LargeSetTests {
    // Its lines live as long as it does.
    let board = BackendLoads()

    func loads(_ count: Int) -> [BackendLoad] {
        PickerTests.loads(board, [Int](repeating: 0, count: count))
    }

    static func picker(_ algorithm: LoadBalancing, _ count: Int) -> BackendPicker {
        let hosts = (0..<count).map { (name: "10.0.\($0 / 250).\($0 % 250):8000", weight: 1) }
        return BackendPicker(algorithm, ring: algorithm == .ringHash ? HashRing(hosts) : nil)
    }

    @Test("A set is what was put into it, whatever the order", arguments: [1, 64, 65, 128, 1_000])
    func membership(count: Int) {
        let members = Set(stride(from: 0, to: count, by: 3))
        var (up, down) = (BackendSet(), BackendSet())
        for number in members.sorted() { up.insert(number) }
        for number in members.sorted(by: >) { down.insert(number) }
        #expect(up == down && up.isEmpty == members.isEmpty)
        for number in 0..<(count + 130) {
            #expect(up.contains(number) == members.contains(number), "\(number)")
        }
        #expect(BackendSet.all(count).contains(count - 1) && !BackendSet.all(count).contains(count))
        up.removeAll()
        #expect(up.isEmpty && up == BackendSet(more: [0, 0]))
    }

    @Test(
        "Only eligible backends are picked, and all of them",
        arguments: LoadBalancing.allCases,
        [65, 200, 1_000]
    )
    func eligible(algorithm: LoadBalancing, count: Int) {
        let loads = loads(count)
        var picker = Self.picker(algorithm, count)
        var random = RandomSource(seed: 5)
        // The last few, as where seventy speak gRPC alone and the rest speak REST.
        for first in [count - 1, count - 5, 60] {
            var (set, met) = (BackendSet(), Set<Int>())
            for number in first..<count { set.insert(number) }
            for _ in 0..<(count - first) * 40 {
                let picked = picker.pick(
                    from: loads,
                    eligible: set,
                    excluded: BackendSet(),
                    key: random.next(),
                    now: .zero,
                    random: &random
                )
                if let picked { met.insert(picked) }
                #expect(picked.map { set.contains($0) } == true)
            }
            #expect(met.count == count - first, "\(met.count) of \(count - first)")
        }
    }

    @Test(
        "Each is tried once, and then none is left",
        arguments: LoadBalancing.allCases,
        [64, 65, 200]
    )
    func excluded(algorithm: LoadBalancing, count: Int) {
        let loads = loads(count)
        var picker = Self.picker(algorithm, count)
        var random = RandomSource(seed: 6)
        var tried = BackendSet()
        func pick(_ key: UInt64) -> Int? {
            picker.pick(
                from: loads,
                eligible: .all(count),
                excluded: tried,
                key: key,
                now: .zero,
                random: &random
            )
        }
        for _ in 0..<count {
            guard let picked = pick(77) else {
                Issue.record("none is left too early")
                return
            }
            #expect(!tried.contains(picked))
            tried.insert(picked)
        }
        #expect(pick(77) == nil)
    }

    @Test("Where few are eligible they share evenly, though they stand side by side")
    func evenAmongFew() {
        let loads = loads(1_000)
        var set = BackendSet()
        for number in 990..<1_000 { set.insert(number) }
        var picker = BackendPicker(.random)
        var random = RandomSource(seed: 7)
        var counts = [Int](repeating: 0, count: 10)
        for _ in 0..<20_000 {
            let picked = picker.pick(
                from: loads,
                eligible: set,
                excluded: BackendSet(),
                now: .zero,
                random: &random
            )
            counts[(picked ?? 990) - 990] += 1
        }
        // Five standard deviations of a fair draw.
        for count in counts { #expect(abs(count - 2_000) < 215, "\(counts)") }
    }

    @Test("Panic counts the eligible alone, wherever they stand")
    func panic() {
        let loads = loads(200)
        var set = BackendSet()
        for number in 100..<200 { set.insert(number) }
        for load in loads[100..<160] { load.health = .down }
        #expect(BackendPicker.isPanic(loads, eligible: set, percent: 50, at: .zero))
        #expect(!BackendPicker.isPanic(loads, percent: 50, at: .zero))
    }

    @Test("The line serves those whose backends are beyond the 64th")
    func line() {
        let loads = loads(100)
        for load in loads { load.limit = 1 }
        let queue = RevisionQueue()
        let candidates = RevisionQueue.Candidates(
            loads: loads,
            picker: BackendPicker(.leastRequest)
        )
        var (rest, tried) = (BackendSet(), BackendSet())
        for number in 70..<100 { rest.insert(number) }
        for number in 70..<99 { tried.insert(number) }
        for token in 0..<3 as Range<UInt64> {
            let waiter = RevisionQueue.Waiter(
                worker: 0,
                token: token,
                candidates: candidates,
                eligible: rest,
                excluded: token == 2 ? BackendSet() : tried
            )
            #expect(queue.join(waiter, maximum: 10) != nil)
        }
        var random = RandomSource(seed: 8)
        let grants = queue.serve(at: .zero, random: &random)
        #expect(grants.map(\.token) == [0, 2])
        #expect(grants.first?.backend == loads[99])
        #expect(loads[70..<100].map(\.inFlight).reduce(0, +) == 2)
        loads[99].leaveLimited()
        #expect(queue.serve(at: .zero, random: &random).map(\.token) == [1])
    }

    @Test("A ring is made once for the same hosts, and anew for others")
    func rings() {
        let shelf = RevisionSharedState().rings
        let hosts = (0..<200).map { (name: "10.0.0.\($0):80", weight: 1) }
        func isKnown(_ hosts: [(name: String, weight: Int)]) -> Bool { shelf.known(hosts) != nil }
        #expect(!isKnown(hosts))
        _ = shelf.ring(of: hosts)
        #expect(isKnown(hosts))
        let fewer = Array(hosts.dropLast())
        #expect(!isKnown(fewer) && !isKnown(hosts.map { ($0.name, 2) }))
        _ = shelf.ring(of: fewer)
        #expect(isKnown(fewer) && !isKnown(hosts))
    }

    @Test("Who has waited in line is dealt to a backend by the model's own policy")
    func linePolicy() {
        let loads = loads(80)
        for load in loads { load.limit = 2 }
        let queue = RevisionQueue()
        let ring = Self.picker(.ringHash, 80)
        let candidates = RevisionQueue.Candidates(loads: loads, picker: ring)
        var random = RandomSource(seed: 9)
        for key in 0..<50 as Range<UInt64> {
            let hash = StableHash.of("\(key)".utf8)
            let waiter = RevisionQueue.Waiter(
                worker: 0,
                token: key,
                candidates: candidates,
                eligible: .all(80),
                excluded: BackendSet(),
                key: hash
            )
            #expect(queue.join(waiter, maximum: 10) != nil)
            let granted = queue.serve(at: .zero, random: &random).first?.backend
            granted?.leaveLimited()
            var own = ring
            let index = own.pick(
                from: loads,
                eligible: .all(80),
                excluded: BackendSet(),
                key: hash,
                now: .zero,
                random: &random
            )
            #expect(granted == index.map { loads[$0] })
        }
    }
}
