import SluiceBalancing
import SluiceCore
import Testing

/// The instant that many seconds after the first.
func second(_ seconds: Double) -> Instant {
    Instant(nanoseconds: 1_000_000_000_000 + Int64(seconds * 1e9))
}

@Suite("Failures and load")
struct FailureTests {
    @Test("The penalty is 1 + 4 x odds of the share, an average over about ten answers")
    func penalty() {
        var record = FailureRecord.clean
        #expect(record.penalty(at: second(0)) == FailureRecord.noPenalty)
        record = record.noting(.failed, at: second(0))
        #expect(abs(record.share(at: second(0)) - 0.1) < 0.001)
        #expect(abs(Double(record.penalty(at: second(0))) / 256 - (1 + 4 * 0.1 / 0.9)) < 0.01)
        for _ in 0..<9 { record = record.noting(.failed, at: second(0)) }
        #expect(abs(record.share(at: second(0)) - 0.651) < 0.001)
        for _ in 0..<1_000 { record = record.noting(.failed, at: second(0)) }
        #expect(record.penalty(at: second(0)) <= 1_021 * 256)
        #expect(record.penalty(at: second(0)) >= 1_000 * 256)
    }

    @Test("Failures fade with a time constant of ten seconds, and good answers wash them away")
    func fading() {
        var record = FailureRecord.clean
        for _ in 0..<50 { record = record.noting(.failed, at: second(0)) }
        let share = record.share(at: second(0))
        #expect(abs(record.share(at: second(10)) / share - 0.37) < 0.03)
        #expect(record.share(at: second(60)) < 0.01)
        #expect(record.share(at: second(100_000)) < 0.001)
        // A clock that is behind another core's changes nothing.
        #expect(record.share(at: second(-1)) == share)
        var answers = 0
        while record.word != 0 {
            record = record.noting(.served, at: second(1))
            answers += 1
        }
        #expect(answers < 60)
    }

    @Test("A backend that failed once gets its part of an idle time again after 20 s, not 50")
    func returning() {
        let board = BackendLoads()
        let loads = [board.add(), board.add()]
        _ = loads[0].note(.failed, at: second(0))
        var picker = BackendPicker(.leastRequest)
        var random = RandomSource(seed: 1)
        func draws(at seconds: Double) -> Int {
            (0..<1_000).count { _ in
                picker.pick(
                    from: loads,
                    eligible: .all(2),
                    excluded: BackendSet(),
                    now: second(seconds),
                    random: &random
                ) == 0
            }
        }
        #expect(draws(at: 10) == 0)
        #expect((400...600).contains(draws(at: 20)))
    }

    @Test(
        "Whose fault a status is",
        arguments: [
            (200, BackendOutcome.served), (404, .served), (400, .served), (499, .served),
            (429, .overloaded), (500, .failed), (501, .failed), (502, .unavailable),
            (503, .unavailable), (504, .unavailable), (599, .failed),
        ]
    )
    func http(status: Int, outcome: BackendOutcome) {
        #expect(BackendOutcome(http: status) == outcome)
    }

    @Test(
        "Whose fault a gRPC code is",
        arguments: [
            (0, BackendOutcome.served), (3, .served), (4, .served), (5, .served), (8, .overloaded),
            (13, .failed), (2, .failed), (14, .unavailable), (16, .served),
        ]
    )
    func grpc(code: Int, outcome: BackendOutcome) {
        #expect(BackendOutcome(grpc: code) == outcome)
    }

    /// Requests arrive by chance at a load of 0.8 and are answered one at a time by each backend,
    /// but for the first, which fails in 1 ms; returns the share of all that it draws.
    static func drawn(
        backends: Int,
        load: Double,
        service: Double,
        ejects: Bool,
        seed: UInt64
    ) -> Double {
        let board = BackendLoads()
        let loads = (0..<backends).map { _ in board.add() }
        for load in loads { load.health = .up }
        let detector = OutlierDetector()
        var picker = BackendPicker(.leastRequest)
        var random = RandomSource(seed: seed)
        func chance() -> Double { Double(random.next() >> 11) / 9_007_199_254_740_992 }
        var now = 0.0
        var freeAt = [Double](repeating: 0, count: backends)
        var endings: [(at: Double, host: Int)] = []
        var count = 0
        let total = 40_000
        for _ in 0..<total {
            now += -log(1 - chance()) * service / (load * Double(backends - 1))
            endings.sort { $0.at > $1.at }
            while let last = endings.last, last.at <= now {
                endings.removeLast()
                loads[last.host].leave()
                let outcome = last.host == 0 ? BackendOutcome.unavailable : .served
                guard outcome != .served || loads[last.host].hasFailures else { continue }
                let record = loads[last.host].note(outcome, at: second(last.at))
                guard ejects else { continue }
                _ = detector.record(
                    loads[last.host],
                    record,
                    among: loads,
                    policy: OutlierPolicy(),
                    at: second(last.at)
                )
            }
            guard let host = pick(&picker, loads, at: second(now), &random) else { continue }
            loads[host].enter()
            if host == 0 { count += 1 }
            let time = host == 0 ? 0.001 : -log(1 - chance()) * service
            freeAt[host] = max(freeAt[host], now) + time
            endings.append((freeAt[host], host))
        }
        return Double(count) / Double(total)
    }

    @Test(
        "A backend that fails in 1 ms draws less than 2 % of the traffic",
        arguments: [(4, 0.8), (8, 0.8), (4, 0.5), (4, 0.95)]
    )
    func fastFailure(backends: Int, load: Double) {
        let share = Self.drawn(
            backends: backends,
            load: load,
            service: 0.01,
            ejects: false,
            seed: 3
        )
        #expect(share < 0.02, "\(share)")
        let ejected = Self.drawn(
            backends: backends,
            load: load,
            service: 0.01,
            ejects: true,
            seed: 3
        )
        #expect(ejected < 0.002, "\(ejected)")
    }

    @Test("However many requests are under way, a fast failure draws less than 2 %")
    func fastFailureUnderConcurrency() {
        // 256 callers, three backends that take 100 ms, one that fails in 1 ms.
        let board = BackendLoads()
        let loads = (0..<4).map { _ in board.add() }
        var picker = BackendPicker(.leastRequest)
        var random = RandomSource(seed: 11)
        var endings: [(at: Double, host: Int)] = []
        var (count, total) = (0, 0)
        func begin(_ now: Double) {
            let host = pick(&picker, loads, at: second(now), &random) ?? 0
            loads[host].enter()
            total += 1
            if host == 0 { count += 1 }
            let jitter = Double(random.next(below: 1_000)) / 20_000
            endings.append((now + (host == 0 ? 0.001 : 0.075 + jitter), host))
        }
        for _ in 0..<256 { begin(0) }
        while total < 60_000 {
            let next = endings.indices.min { endings[$0].at < endings[$1].at } ?? 0
            let ended = endings.remove(at: next)
            loads[ended.host].leave()
            if ended.host == 0 { loads[0].note(.failed, at: second(ended.at)) }
            begin(ended.at)
        }
        let share = Double(count) / Double(total)
        #expect(share < 0.02, "\(share)")
    }
}

/// A logarithm by series, since no C library is imported here.
func log(_ x: Double) -> Double {
    var (mantissa, exponent) = (x.significand, Double(x.exponent))
    if mantissa > 1.414 { (mantissa, exponent) = (mantissa / 2, exponent + 1) }
    let ratio = (mantissa - 1) / (mantissa + 1)
    var (term, sum) = (ratio, 0.0)
    for index in 0..<24 {
        sum += term / Double(2 * index + 1)
        term *= ratio * ratio
    }
    return 2 * sum + exponent * 0.6931471805599453
}
