import SluiceBalancing
import SluiceCore
import Testing

@testable import SluiceGateway

@Suite("Backends beyond the 64th that a request has tried")
struct TriedSetsTests {
    @Test("A request without a place has tried its first 64 alone")
    func placeless() {
        let sets = TriedSets()
        let set = sets.set(first: 0b101, at: 0)
        #expect(set.contains(0) && !set.contains(1) && set.contains(2) && !set.contains(64))
    }

    @Test(
        "Requests have places of their own, whichever numbers they try",
        arguments: [64, 127, 128, 1_000]
    )
    func apart(number: Int) {
        var sets = TriedSets()
        var (one, other) = (UInt32(0), UInt32(0))
        sets.insert(number, at: &one)
        sets.insert(number + 1, at: &other)
        sets.insert(number + 2, at: &one)
        #expect(one != 0 && other != 0 && one != other)
        let first = sets.set(first: 1, at: one)
        #expect(first.contains(0) && first.contains(number) && first.contains(number + 2))
        #expect(!first.contains(number + 1) && !first.contains(1))
        let second = sets.set(first: 0, at: other)
        #expect(second.contains(number + 1) && !second.contains(number) && !second.contains(0))
    }

    @Test("A place that comes back is used again, and nothing of its last request is left")
    func reuse() {
        var sets = TriedSets()
        var place = UInt32(0)
        sets.insert(70, at: &place)
        sets.insert(700, at: &place)
        let before = place
        sets.remove(at: &place)
        #expect(place == 0)
        // It has none, and gives none back.
        sets.remove(at: &place)
        var (next, further) = (UInt32(0), UInt32(0))
        sets.insert(99, at: &next)
        sets.insert(99, at: &further)
        #expect(next == before && further != next)
        let set = sets.set(first: 0, at: next)
        #expect(set.contains(99) && !set.contains(70) && !set.contains(700))
    }
}

@Suite("What of an attempt's time its caller took")
struct AttemptClockTests {
    private static func at(_ milliseconds: Int64) -> Instant {
        Instant(nanoseconds: 1_000_000_000 + milliseconds * 1_000_000)
    }

    @Test("A backend stalls from the first byte it doesn't take until it has taken all that waits")
    func stalled() {
        var clock = AttemptClock()
        #expect(clock.stalledSince == nil)
        clock.wait(forBackend: 0, at: Self.at(1))
        #expect(clock.stalledSince == nil)
        clock.wait(forBackend: 100, at: Self.at(2))
        clock.wait(forBackend: 50, at: Self.at(9))
        #expect(clock.stalledSince == Self.at(2))
        clock.taken(149)
        #expect(clock.stalledSince == Self.at(2))
        clock.taken(1)
        #expect(clock.stalledSince == nil)
        clock.wait(forBackend: 1, at: Self.at(20))
        #expect(clock.stalledSince == Self.at(20))
        // More than waits: the rest went at once.
        clock.taken(1_000)
        #expect(clock.stalledSince == nil)
    }

    @Test("Times in which the answer waited for its caller add up; overlapping ones count once")
    func unread() {
        var clock = AttemptClock()
        #expect(clock.unreadTime(at: Self.at(100)) == 0)
        clock.wait(forCaller: 10, at: Self.at(0))
        clock.wait(forCaller: 10, at: Self.at(5))
        #expect(clock.unreadTime(at: Self.at(7)) == 7_000_000)
        clock.read(15, at: Self.at(8))
        #expect(clock.unreadTime(at: Self.at(9)) == 9_000_000)
        clock.read(5, at: Self.at(10))
        #expect(clock.unreadTime(at: Self.at(50)) == 10_000_000)
        clock.read(5, at: Self.at(60))
        clock.wait(forCaller: 1, at: Self.at(100))
        clock.read(1, at: Self.at(103))
        #expect(clock.unreadTime(at: Self.at(200)) == 13_000_000)
    }

    @Test("What waits for one side says nothing of the other")
    func sides() {
        var clock = AttemptClock()
        clock.wait(forCaller: 10, at: Self.at(0))
        #expect(clock.stalledSince == nil)
        clock.taken(10)
        #expect(clock.unreadTime(at: Self.at(3)) == 3_000_000)
    }
}
