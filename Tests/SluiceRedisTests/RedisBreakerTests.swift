import SluiceCore
import SluiceRedis
import Testing

@Suite("The breaker before Redis")
struct RedisBreakerTests {
    static func at(_ milliseconds: Int) -> Instant {
        Instant(nanoseconds: Int64(milliseconds) * 1_000_000)
    }

    @Test("Five failures in a row open it, however slowly they come")
    func inARow() {
        var breaker = RedisBreaker()
        for second in 0..<4 {
            breaker.record(success: false, at: RedisBreakerTests.at(second * 5000))
        }
        breaker.record(success: true, at: RedisBreakerTests.at(20_000))
        for second in 5..<9 {
            breaker.record(success: false, at: RedisBreakerTests.at(second * 5000))
        }
        #expect(breaker.admits)
        breaker.record(success: false, at: RedisBreakerTests.at(45_000))
        #expect(breaker.state == .open(until: RedisBreakerTests.at(45_250)))
    }

    @Test("Half of a second's look-ups failing open it; a few among many don't")
    func share() {
        var breaker = RedisBreaker()
        for step in 0..<1000 {
            breaker.record(success: step % 10 != 0, at: RedisBreakerTests.at(step))
        }
        #expect(breaker.admits)
        for step in 0..<20 {
            breaker.record(success: step % 2 == 0, at: RedisBreakerTests.at(1000 + step))
        }
        #expect(!breaker.admits)
    }

    @Test("One probe at a time decides; the pause doubles up to a second and starts over")
    func probes() {
        var breaker = RedisBreaker()
        breaker.trip(at: .zero)
        var now = 0
        for pause in [250, 500, 1000, 1000, 1000] {
            #expect(breaker.nextProbe == RedisBreakerTests.at(now + pause))
            let early = breaker.startProbe(at: RedisBreakerTests.at(now + pause - 1))
            #expect(!early)
            // What was sent before it opened says nothing any more.
            breaker.record(success: true, at: RedisBreakerTests.at(now + 1))
            #expect(!breaker.admits)
            now += pause
            let first = breaker.startProbe(at: RedisBreakerTests.at(now))
            let second = breaker.startProbe(at: RedisBreakerTests.at(now))
            #expect(first && !second && !breaker.admits)
            now += 20
            breaker.record(success: false, at: RedisBreakerTests.at(now))
        }
        now += 1000
        _ = breaker.startProbe(at: RedisBreakerTests.at(now))
        breaker.record(success: true, at: RedisBreakerTests.at(now))
        #expect(breaker.admits && breaker.nextProbe == .distantFuture)
        breaker.trip(at: RedisBreakerTests.at(now))
        #expect(breaker.nextProbe == RedisBreakerTests.at(now + 250))
    }
}
