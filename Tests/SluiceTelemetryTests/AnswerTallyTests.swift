import SluiceCore
import SluiceTelemetry
import Testing

@Suite("Backends' answers, counted for rollouts")
struct AnswerTallyTests {
    @Test("A reading is the sum over all writers of that revision, and of no other")
    func sums() throws {
        let board = AnswerTallies()
        let first = try #require(board.makeTally(model: "iris", revision: "v1"))
        let second = try #require(board.makeTally(model: "iris", revision: "v1"))
        let other = try #require(board.makeTally(model: "iris", revision: "v2"))
        for tally in [first, second] {
            tally.good(nanoseconds: 10_000_000)
            tally.good(nanoseconds: -1)
            tally.good(nanoseconds: .max)
            tally.goodUnmeasured()
            tally.failure()
            tally.clientFault()
        }
        other.failure()
        var expected = AnswerReading()
        expected.durations[DurationScale.bucket(nanoseconds: 10_000_000)] = 2
        expected.durations[0] = 2
        expected.durations[DurationScale.count - 1] = 2
        (expected.unmeasured, expected.failures, expected.clientFaults) = (2, 2, 2)
        #expect(board.read(model: "iris", revision: "v1") == expected)
        #expect(board.read(model: "iris", revision: "v2").failures == 1)
        #expect(board.read(model: "rose", revision: "v1") == AnswerReading())
    }

    @Test("Beyond the bound there are no more tallies, and those there are go on")
    func bound() throws {
        let board = AnswerTallies()
        var last: AnswerTally?
        for number in 0..<AnswerTallies.tallyMaximum {
            last = board.makeTally(model: "m\(number)", revision: "v1")
        }
        #expect(board.makeTally(model: "one", revision: "more") == nil)
        try #require(last).failure()
        let name = "m\(AnswerTallies.tallyMaximum - 1)"
        #expect(board.read(model: name, revision: "v1").failures == 1)
    }
}
