import SluiceCache
import SluiceCore
import SluiceGateway
import SluiceSimulation
import SluiceTestKit
import Testing

/// A request has a second, and so patience for half of one.
@Suite("Equal calls behind one that hangs")
struct PatienceTests {
    /// Equal questions, the first at once and the others at these milliseconds.
    private static func calls(_ others: [Int], _ kind: EchoCall.Kind = .v2) -> [EchoCall] {
        ([0] + others).map { start in
            let call = EchoCall(id: "same", kind: kind, payload: [1, 2, 3], messageCount: 1)
            call.start = Int64(start) * 1_000_000
            return call
        }
    }

    private static func scene(
        _ backends: [HedgeScene.Backend],
        _ calls: [EchoCall]
    ) throws -> HedgeScene {
        try HedgeScene(
            backends,
            calls: calls,
            { $0.hedge = nil },
            cache: CachePolicy(timeToLive: .seconds(60))
        )
    }

    private static func asked(_ scene: HedgeScene, _ backend: Int) -> Int {
        ["200", "499", "504", "OK", "CANCELLED", "DEADLINE_EXCEEDED"]
            .reduce(0) { $0 + scene.answers(backend, $1) }
    }

    @Test(
        "Half way one of two hundred asks another backend, and its answer is everybody's",
        arguments: [EchoCall.Kind.v2, .grpc]
    )
    func oneRefetches(kind: EchoCall.Kind) throws {
        let calls = Self.calls([Int](repeating: 1, count: 199), kind)
        let scene = try Self.scene([.silent, .echo(.milliseconds(5))], calls)
        try scene.pass(.milliseconds(495))
        #expect(calls.allSatisfy { $0.outcome == .pending })
        try scene.pass(.milliseconds(30))
        let good = EchoCall.Outcome.answered(kind == .grpc ? 0 : 200)
        #expect(calls.count { $0.outcome == good && $0.complaint == nil } == 199)
        #expect(Self.asked(scene, 1) == 1)
        #expect(scene.looked("overtaken") == 1 && scene.looked("collapsed") == 199)
        // Whoever asked first has a call of its own, and its own time.
        #expect((470...490).contains(try scene.run()))
        #expect(calls.count { $0.outcome == .answered(kind == .grpc ? 4 : 504) } == 1)
        #expect(calls.allSatisfy { $0.complaint == nil })
        #expect(Self.asked(scene, 0) == 1)
        #expect(try scene.close() == [])
    }

    @Test("A call that takes less than half of the time stays the only one")
    func slowIsNotHung() throws {
        let calls = Self.calls((0..<300).map { $0 })
        let scene = try Self.scene([.echo(.milliseconds(450)), .echo(.milliseconds(5))], calls)
        try scene.run()
        #expect(calls.allSatisfy { $0.outcome == .answered(200) && $0.complaint == nil })
        #expect(Self.asked(scene, 0) == 1 && Self.asked(scene, 1) == 0)
        #expect(scene.looked("overtaken") == 0)
        #expect(try scene.close() == [])
    }

    @Test("Where nobody answers, there is one call every half of the time, and all end in theirs")
    func allHang() throws {
        // 200 in each of two seconds.
        let calls = Self.calls((0..<400).map { $0 * 5 })
        let scene = try Self.scene([.silent, .silent], calls)
        try scene.run()
        #expect(calls.allSatisfy { $0.outcome == .answered(504) && $0.complaint == nil })
        try scene.pass(.seconds(1))
        let total = Self.asked(scene, 0) + Self.asked(scene, 1)
        #expect((4...7).contains(total), "\(total) calls in three seconds")
        #expect(try scene.close() == [])
    }

    @Test("A failure half way is told to who asked; the others wait for the call that is left")
    func failsHalfWay() throws {
        let calls = Self.calls([Int](repeating: 1, count: 20))
        let scene = try Self.scene([.echo(.milliseconds(800)), .unavailable], calls)
        try scene.run()
        #expect(calls.count { $0.outcome == .answered(200) } == 20)
        #expect(calls.count { $0.outcome == .answered(500) } == 1)
        #expect(try scene.close() == [])
    }

    @Test("Callers who leave leave nothing behind, whoever of them had overtaken")
    func leaving() throws {
        let calls = Self.calls([Int](repeating: 1, count: 30))
        for call in calls { call.progressTimeout = 600_000_000 }
        let scene = try Self.scene([.silent, .silent], calls)
        try scene.run()
        #expect(calls.allSatisfy { $0.outcome == .cancelled })
        try scene.pass(.milliseconds(20))
        #expect(scene.remains == [])
        #expect(try scene.close() == [])
    }
}
