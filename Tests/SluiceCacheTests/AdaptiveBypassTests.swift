import SluiceCache
import SluiceCore
import Testing

@Suite("Looking only while it pays")
struct AdaptiveBypassTests {
    /// A gate before an endless cache, fed a thousand requests a second.
    struct World {
        var gate = AdaptiveBypass(timeToLive: .seconds(60), at: .zero)
        var known: [Int: Instant] = [:]
        var now = Instant.zero
        var looked = 0

        mutating func request(_ number: Int) {
            now = now.advanced(byNanoseconds: 1_000_000)
            guard gate.admits(sample: Traces.key(number).sample) else { return }
            looked += 1
            let isHit = (known[number] ?? .zero) > now
            if !isHit { known[number] = now + .seconds(60) }
            gate.record(hit: isHit, at: now)
        }
    }

    @Test("It stops for inputs that never repeat, samples, and resumes when they do")
    func adapts() {
        var world = World()
        var random = RandomSource(seed: 1)
        for number in 0..<59_000 { world.request(number) }
        #expect(world.gate.isOpen, "not judged before the cache can be warm")
        for number in 59_000..<70_000 { world.request(number) }
        #expect(!world.gate.isOpen)
        world.looked = 0
        for number in 100_000..<200_000 { world.request(number) }
        #expect(!world.gate.isOpen)
        #expect(abs(world.looked - 100_000 / 32) < 300)
        for _ in 0..<120_000 { world.request(random.next(below: 5000)) }
        #expect(world.gate.isOpen)
    }

    @Test("It stays open at a hit rate that pays, and for ever at a minimum of zero")
    func stays() {
        var gate = AdaptiveBypass(minimumPerMille: 20, timeToLive: .seconds(1), at: .zero)
        var never = AdaptiveBypass(minimumPerMille: 0, timeToLive: .seconds(1), at: .zero)
        for step in 0..<100_000 {
            let now = Instant(nanoseconds: Int64(step) * 1_000_000)
            gate.record(hit: step % 45 == 0, at: now)
            never.record(hit: false, at: now)
        }
        #expect(gate.isOpen && never.isOpen)
    }

    @Test("A sample that promises too much opens it ever more rarely")
    func backsOff() {
        var gate = AdaptiveBypass(timeToLive: .seconds(1), at: .zero)
        var openings: [Double] = []
        var wasOpen = true
        for step in 0..<2_000_000 {
            let now = Instant(nanoseconds: Int64(step) * 1_000_000)
            // Full traffic never hits, samples always do.
            gate.record(hit: !gate.isOpen, at: now)
            if gate.isOpen && !wasOpen { openings.append((now - .zero).inSeconds) }
            wasOpen = gate.isOpen
        }
        #expect(openings.count > 3 && openings.count < 12)
        for (earlier, later) in zip(openings.dropFirst(), openings.dropFirst(2)) {
            #expect(later > 1.5 * earlier)
        }
    }
}
