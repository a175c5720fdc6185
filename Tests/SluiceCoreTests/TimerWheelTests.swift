import SluiceCore
import Testing

@Suite("Timer wheel")
struct TimerWheelTests {
    final class Recorder: TimerTarget {
        var fired: [(tag: UInt, at: Instant)] = []
        func timerFired(_ tag: UInt, at now: Instant) { fired.append((tag, now)) }
    }

    static func run(_ wheel: inout TimerWheel, to now: Instant) {
        while let (target, tag) = wheel.popDue(at: now) { target.timerFired(tag, at: now) }
    }

    @Test("A timer fires never early and at most a slot late, near or far")
    func punctual() {
        let recorder = Recorder()
        var random = RandomSource(seed: 7)
        var wheel = TimerWheel(now: .zero)
        var deadlines: [UInt: Instant] = [:]
        for tag in 0..<2000 as Range<UInt> {
            let deadline = Instant(nanoseconds: Int64(random.next(below: 30_000_000_000)))
            deadlines[tag] = deadline
            _ = wheel.set(at: deadline, target: recorder, tag: tag)
        }
        var now = Instant.zero
        while wheel.count > 0 {
            now = now + .milliseconds(random.next(below: 20) + 1)
            Self.run(&wheel, to: now)
            for (tag, at) in recorder.fired {
                let late = (at - (deadlines[tag] ?? .zero)).nanoseconds
                #expect(late >= 0 && late <= 2 * 8_388_608 + 20_000_000)
            }
            recorder.fired.removeAll()
        }
    }

    @Test("The wheel names a time at which it has something to do, never too late")
    func nextDeadline() {
        let recorder = Recorder()
        var wheel = TimerWheel(now: .zero)
        #expect(wheel.nextDeadline == nil)
        let deadline = Instant(nanoseconds: 100_000_000)
        _ = wheel.set(at: deadline, target: recorder, tag: 1)
        var steps = 0
        while recorder.fired.isEmpty, let next = wheel.nextDeadline, steps < 20 {
            Self.run(&wheel, to: next)
            steps += 1
        }
        #expect(recorder.fired.count == 1)
        #expect(recorder.fired[0].at >= deadline)
        #expect((recorder.fired[0].at - deadline).nanoseconds <= 2 * 8_388_608)
    }

    @Test("A cancelled timer never fires, and cancelling twice harms nobody")
    func cancel() {
        let recorder = Recorder()
        var wheel = TimerWheel(now: .zero)
        let first = wheel.set(at: Instant(nanoseconds: 1_000_000), target: recorder, tag: 1)
        _ = wheel.set(at: Instant(nanoseconds: 1_000_000), target: recorder, tag: 2)
        wheel.cancel(first)
        // The node is reused: the stale name must not hit its new owner.
        _ = wheel.set(at: Instant(nanoseconds: 1_000_000), target: recorder, tag: 3)
        wheel.cancel(first)
        Self.run(&wheel, to: Instant(nanoseconds: 1_000_000_000))
        #expect(recorder.fired.map(\.tag).sorted() == [2, 3])
        #expect(wheel.count == 0)
    }
}
