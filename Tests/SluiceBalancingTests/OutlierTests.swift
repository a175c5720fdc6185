import SluiceBalancing
import SluiceCore
import Testing

@Suite("Ejection")
struct OutlierTests {
    let board = BackendLoads()
    let detector = OutlierDetector()
    let policy = OutlierPolicy()

    func hosts(_ count: Int) -> [BackendLoad] {
        (0..<count).map { _ in
            let load = board.add()
            load.health = .up
            return load
        }
    }

    /// Lets `host` fail `count` times in a row; returns whether that ejected it.
    func fail(
        _ host: BackendLoad,
        _ count: Int,
        _ outcome: BackendOutcome = .unavailable,
        among hosts: [BackendLoad],
        at now: Instant
    ) -> Bool {
        var isEjected = false
        for _ in 0..<count {
            let record = host.note(outcome, at: now)
            if detector.record(host, record, among: hosts, policy: policy, at: now) {
                isEjected = true
            }
        }
        return isEjected
    }

    func isUsable(_ host: BackendLoad, among hosts: [BackendLoad], at now: Instant) -> Bool {
        var options = BalancingOptions()
        options.panicPercent = 0
        var picker = BackendPicker(.leastRequest, options: options)
        var random = RandomSource(seed: 1)
        guard let index = hosts.firstIndex(of: host) else { return false }
        return pick(&picker, hosts, eligible: 1 << UInt64(index), at: now, &random) == index
    }

    @Test("Five failures in a row eject, four don't, and one good answer starts the count anew")
    func five() {
        let hosts = hosts(4)
        #expect(!fail(hosts[0], 4, among: hosts, at: second(0)))
        hosts[0].note(.served, at: second(0))
        #expect(!fail(hosts[0], 4, among: hosts, at: second(0)))
        #expect(fail(hosts[0], 1, among: hosts, at: second(0)))
        #expect(hosts[0].health == .ejected)
    }

    @Test(
        "Only failures that say the backend can't serve eject",
        arguments: BackendOutcome.allCases
    )
    func kinds(outcome: BackendOutcome) {
        let hosts = hosts(4)
        let wanted: [BackendOutcome] = [.connectFailed, .reset, .unavailable, .timedOut]
        #expect(
            fail(hosts[0], 100, outcome, among: hosts, at: second(0)) == wanted.contains(outcome)
        )
    }

    @Test("One poisonous input takes no backend out")
    func poison() {
        let hosts = hosts(5)
        for host in hosts { #expect(!fail(host, 50, .failed, among: hosts, at: second(0))) }
        #expect(hosts.allSatisfy { $0.health == .up })
    }

    @Test("The n-th ejection lasts n times 30 s, 300 s at most, and good times are credited")
    func durations() {
        let hosts = hosts(2)
        var now = 0.0
        for expected in [30.0, 60, 90, 120, 150, 180, 210, 240, 270, 300, 300, 300] {
            #expect(fail(hosts[0], 5, among: hosts, at: second(now)))
            #expect(!isUsable(hosts[0], among: hosts, at: second(now + expected - 0.01)))
            #expect(isUsable(hosts[0], among: hosts, at: second(now + expected)))
            #expect(hosts[0].health == .up)
            now += expected
        }
        now += 29 * 30
        #expect(fail(hosts[0], 5, among: hosts, at: second(now)))
        #expect(isUsable(hosts[0], among: hosts, at: second(now + 30)))
    }

    @Test(
        "At most half are ejected, one of several always may be, and never the last",
        arguments: [(1, 0), (2, 1), (3, 1), (4, 2), (5, 2), (10, 5)]
    )
    func bounds(count: Int, maximum: Int) {
        let hosts = hosts(count)
        for host in hosts { _ = fail(host, 5, among: hosts, at: second(0)) }
        #expect(hosts.count { $0.health == .ejected } == maximum)
    }

    @Test("The last backend that works isn't ejected when the others are down")
    func last() {
        let hosts = hosts(3)
        hosts[1].health = .down
        hosts[2].health = .down
        #expect(!fail(hosts[0], 50, among: hosts, at: second(0)))
    }

    @Test("A probe that is answered ends a first ejection")
    func probe() {
        let hosts = hosts(2)
        #expect(fail(hosts[0], 5, among: hosts, at: second(0)))
        hosts[0].cameUp(at: second(1))
        #expect(hosts[0].health == .up && isUsable(hosts[0], among: hosts, at: second(1)))
    }

    @Test("A probe spares a backend 30 s of each ejection, and no more")
    func probesThatWereWrong() {
        let hosts = hosts(2)
        var now = 0.0
        for spared in [0.0, 30, 60, 90, 120, 150, 180, 210, 240, 270, 270] {
            #expect(fail(hosts[0], 5, among: hosts, at: second(now)))
            if spared > 0 { hosts[0].cameUp(at: second(now + spared - 0.01)) }
            #expect(hosts[0].health == .ejected)
            hosts[0].cameUp(at: second(now + spared))
            #expect(hosts[0].health == .up)
            now += spared + 1
        }
        // One that probes have found down, and then well, has been mended as far as they can tell.
        #expect(fail(hosts[0], 5, among: hosts, at: second(now)))
        hosts[0].health = .down
        hosts[0].cameUp(at: second(now + 5))
        #expect(hosts[0].health == .up)
        // Good times are counted from when the ejection would have ended.
        now += 300 + 29 * 30
        #expect(fail(hosts[0], 5, among: hosts, at: second(now)))
        hosts[0].cameUp(at: second(now))
        #expect(hosts[0].health == .up)
    }

    /// Ten minutes of 200 requests a second over `count` backends, the first of which answers every
    /// probe well and fails every prediction at once; returns its failures in each minute.
    private func failures(_ algorithm: LoadBalancing, _ count: Int) -> [Int] {
        let hosts = hosts(count)
        var picker = BackendPicker(algorithm)
        var random = RandomSource(seed: 3)
        var minutes = [Int](repeating: 0, count: 10)
        // Who answers when: each request takes 50 ms.
        var answers = [BackendLoad?](repeating: nil, count: 10)
        for step in 0..<120_000 {
            let now = second(Double(step) / 200)
            if let host = answers[step % 10] {
                host.leave()
                answers[step % 10] = nil
            }
            // Every 5 s.
            if step % 1_000 == 999 { for host in hosts { host.cameUp(at: now) } }
            guard let index = pick(&picker, hosts, at: now, &random) else { continue }
            if index == 0 {
                minutes[step / 12_000] += 1
                _ = fail(hosts[0], 1, among: hosts, at: now)
            } else {
                hosts[index].enter()
                answers[step % 10] = hosts[index]
            }
        }
        return minutes
    }

    @Test(
        "A backend whose probes succeed and whose predictions fail is asked ever more rarely",
        arguments: [LoadBalancing.leastRequest, .roundRobin, .random],
        [2, 4]
    )
    func wellToProbesOnly(algorithm: LoadBalancing, count: Int) {
        let minutes = failures(algorithm, count)
        // Five failures each at 0, 5, 35, 95, 185, 305 and 455 s: 35 of 120,000. Were each probe's word
        // taken, they would be 600.
        #expect(minutes.reduce(0, +) <= 35, "\(minutes)")
        // The least loaded is passed over for its failures as well, and so ejected later.
        if algorithm != .leastRequest { #expect(minutes[0] >= 10, "\(minutes)") }
        #expect(minutes[5...].reduce(0, +) <= 10, "\(minutes)")
    }

    @Test("Below half of the backends all are used; when all are down, none")
    func panic() {
        let hosts = hosts(4)
        var random = RandomSource(seed: 1)
        func shares() -> [Int] {
            var picker = BackendPicker(.random)
            var counts = [0, 0, 0, 0]
            for _ in 0..<4_000 {
                if let index = pick(&picker, hosts, at: second(0), &random) { counts[index] += 1 }
            }
            return counts
        }
        hosts[0].health = .down
        hosts[1].health = .down
        #expect(!BackendPicker.isPanic(hosts, percent: 50, at: second(0)))
        #expect(shares()[0] == 0 && shares()[1] == 0)
        hosts[2].health = .down
        #expect(BackendPicker.isPanic(hosts, percent: 50, at: second(0)))
        #expect(shares().allSatisfy { $0 > 500 })
        #expect(!BackendPicker.isPanic(hosts, percent: 0, at: second(0)))
        hosts[3].health = .down
        #expect(shares() == [0, 0, 0, 0])
    }

    @Test("With one ejected and the other down, the ejected one is better than none")
    func ejectedAndDown() {
        let hosts = hosts(2)
        #expect(fail(hosts[0], 5, among: hosts, at: second(0)))
        hosts[1].health = .down
        var picker = BackendPicker(.leastRequest)
        var random = RandomSource(seed: 1)
        #expect(pick(&picker, hosts, at: second(0), &random) != nil)
    }
}
