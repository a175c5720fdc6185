import SluiceBalancing
import SluiceCore
import SluiceGateway
import SluiceSimulation
import SluiceTestKit
import Testing

@Suite("Second copies of slow requests")
struct HedgeTests {
    private static func call(
        _ kind: EchoCall.Kind = .v2,
        _ number: Int = 1,
        size: Int = 20,
        fragments: Int = 1,
        progressTimeout: Duration? = nil
    ) -> EchoCall {
        let call = EchoCall(
            id: "c\(number)",
            kind: kind,
            payload: [UInt8](repeating: 7, count: size),
            messageCount: 1
        )
        call.fragments = fragments
        call.pause = 50_000_000
        call.progressTimeout = progressTimeout?.nanoseconds
        return call
    }

    private static func isGood(_ call: EchoCall) -> Bool {
        call.complaint == nil && call.outcome == .answered(call.kind.isGRPC ? 0 : 200)
    }

    @Test(
        "Where the first backend is slow, the second answers, in every form",
        arguments: [EchoCall.Kind.v1, .v2, .binary, .grpc],
        [true, false]
    )
    func secondWins(kind: EchoCall.Kind, http2: Bool) throws {
        let call = Self.call(kind)
        let scene = try HedgeScene(
            [.echo(.milliseconds(800)), .echo(.milliseconds(5))],
            calls: [call],
            http2: http2
        )
        let duration = try scene.run()
        #expect(Self.isGood(call))
        #expect((50..<120).contains(duration))
        try scene.pass(.milliseconds(10))
        // The loser's place is free at once, and it is told.
        #expect(scene.remains == [])
        #expect(scene.count("won") == 1 && scene.hedgeCount == 1)
        #expect(scene.answers(0, kind == .grpc ? "CANCELLED" : "499") == 1)
        #expect(scene.answers(1, kind == .grpc ? "OK" : "200") == 1)
        try scene.pass(.seconds(2))
        #expect(try scene.close() == [])
        #expect(scene.attempts == ["c1": 2])
        // A backend that has been told to stop asks no model.
        #expect(scene.model.counts == ["c1": 1])
    }

    @Test("Where the first backend is quick, there is no second copy")
    func quick() throws {
        let calls = (1...20).map { Self.call(.grpc, $0) }
        let scene = try HedgeScene(
            [.echo(.milliseconds(20)), .echo(.milliseconds(20))],
            calls: calls
        )
        try scene.run()
        try scene.pass(.seconds(2))
        #expect(calls.allSatisfy(Self.isGood))
        #expect(scene.hedgeCount == 0)
        #expect(try scene.close() == [])
    }

    @Test("Where the first is slow and the second slower, the first is heard")
    func firstWins() throws {
        let call = Self.call()
        let scene = try HedgeScene(
            [.echo(.milliseconds(100)), .echo(.milliseconds(500))],
            calls: [call]
        )
        let duration = try scene.run()
        #expect(Self.isGood(call) && (100..<150).contains(duration))
        try scene.pass(.milliseconds(10))
        #expect(scene.count("lost") == 1 && scene.hedgeCount == 1)
        #expect(scene.answers(0, "200") == 1 && scene.answers(1, "499") == 1)
        #expect(scene.remains == [])
        #expect(try scene.close() == [])
        #expect(scene.attempts == ["c1": 2])
    }

    @Test("Where the first fails beside the second, the second goes on in its place")
    func firstFails() throws {
        let call = Self.call()
        let scene = try HedgeScene(
            [.echo(.milliseconds(500)), .echo(.milliseconds(150))],
            calls: [call]
        ) { $0.retry.attempts = 0 }
        try scene.pass(.milliseconds(100))
        scene.closeFirst()
        try scene.run()
        #expect(Self.isGood(call))
        #expect(scene.count("won") == 1 && scene.hedgeCount == 1)
        #expect(scene.answers(0, "502") == 1 && scene.answers(1, "200") == 1)
        try scene.pass(.milliseconds(10))
        #expect(scene.remains == [])
        #expect(try scene.close() == [])
    }

    @Test(
        "A copy that comes to nothing is nobody's loss, and the next sets out at once",
        arguments: [EchoCall.Kind.v2, .grpc],
        [2, 3]
    )
    func secondFails(kind: EchoCall.Kind, maxAttempts: Int) throws {
        for second in [HedgeScene.Backend.absent, .unavailable] {
            let call = Self.call(kind)
            let scene = try HedgeScene(
                [.echo(.milliseconds(300)), second, .echo(.milliseconds(5))],
                calls: [call],
                maxAttempts: maxAttempts
            )
            let duration = try scene.run()
            #expect(Self.isGood(call))
            #expect(scene.count("failed") == 1)
            #expect(scene.count("won") == maxAttempts - 2)
            #expect(maxAttempts == 2 ? duration >= 300 : duration < 100)
            try scene.pass(.milliseconds(10))
            #expect(scene.remains == [])
            #expect(try scene.close() == [])
        }
    }

    @Test(
        "A caller that leaves, or whose time is over, ends all attempts",
        arguments: [true, false]
    )
    func ended(callerLeaves: Bool) throws {
        let call = Self.call(.grpc, progressTimeout: callerLeaves ? .milliseconds(200) : nil)
        let scene = try HedgeScene(
            [.silent, .silent, .silent],
            calls: [call],
            maxAttempts: 3
        )
        try scene.run()
        #expect(call.outcome == (callerLeaves ? .cancelled : .answered(4)))
        try scene.pass(.milliseconds(20))
        #expect(scene.count("cancelled") == 2 && scene.hedgeCount == 2)
        #expect(scene.remains == [])
        // RST_STREAM with CANCEL, to each.
        #expect(
            scene.silent.map { $0.connections.first?.peer.messages[1]?.resetCode } == [8, 8, 8]
        )
        #expect(try scene.close() == [])
    }

    @Test("A copy whose own try is over has failed, and takes no other's place", arguments: [2, 3])
    func tryEnds(maxAttempts: Int) throws {
        let call = Self.call(.grpc)
        let scene = try HedgeScene(
            [.silent, .silent, .silent],
            calls: [call],
            delay: .milliseconds(60),
            maxAttempts: maxAttempts,
            { $0.retry.tryTimeout = .milliseconds(400) }
        )
        try scene.run()
        #expect(call.outcome == .answered(4))
        try scene.pass(.milliseconds(20))
        #expect(scene.remains == [])
        // Whatever was sent was called back.
        #expect(
            scene.silent.allSatisfy { backend in
                backend.connections.allSatisfy { connection in
                    connection.peer.order.allSatisfy {
                        connection.peer.messages[$0]?.resetCode == 8
                    }
                }
            }
        )
        #expect(try scene.close() == [])
    }

    @Test(
        "A backend that has too much to do is the last to get a copy",
        arguments: [
            [HeaderField(":status", "429")],
            [HeaderField(":status", "503"), HeaderField("x-sluice-overloaded", "1")],
            [HeaderField(":status", "503"), HeaderField("grpc-retry-pushback-ms", "-1")],
        ]
    )
    func overloaded(answer: [HeaderField]) throws {
        let call = Self.call()
        let scene = try HedgeScene(
            [.echo(.milliseconds(300)), .silent, .echo(.milliseconds(5))],
            calls: [call],
            maxAttempts: 3
        )
        try scene.pass(.milliseconds(80))
        scene.silent[0].connections[0].answer(1, answer)
        try scene.run()
        #expect(Self.isGood(call))
        #expect(scene.count("failed") == 1 && scene.hedgeCount == 1)
        #expect(scene.answers(0, "200") == 1)
        #expect(try scene.close() == [])
    }

    @Test("A connection that has both attempts and breaks fails both")
    func sharedConnection() throws {
        let call = Self.call(.grpc)
        let scene = try HedgeScene(
            [.silent, .absent],
            calls: [call],
            sharesEndpoint: true
        ) { $0.retry.attempts = 0 }
        try scene.pass(.milliseconds(100))
        #expect(scene.silent[0].connections[0].peer.order == [1, 3])
        scene.silent[0].connections[0].close()
        try scene.run()
        #expect(call.outcome == .answered(14))
        try scene.pass(.milliseconds(10))
        #expect(scene.remains == [])
        #expect(try scene.close() == [])
    }

    @Test("Each copy says how many attempts came before it")
    func previousAttempts() throws {
        let call = Self.call(.grpc)
        let scene = try HedgeScene(
            [.silent, .silent, .silent],
            calls: [call],
            maxAttempts: 3
        )
        try scene.run()
        let heads = scene.silent.map { $0.connections.first?.peer.messages[1]?.head ?? [] }
        let said = heads.map { head in
            head.filter { $0.name == "grpc-previous-rpc-attempts" }.map(\.value)
        }
        #expect(said == [[], ["1"], ["2"]])
        // The time that is left is less each time.
        let timeouts = heads.map { $0.first { $0.name == "grpc-timeout" }?.value }
        #expect(Set(timeouts).count == (timeouts[0] == nil ? 1 : 3))
        #expect(
            heads.map { $0.first { $0.name == ":authority" }?.value } == [
                "b:9001", "b:9002", "b:9003",
            ]
        )
        let bodies = scene.silent.map { $0.connections.first?.peer.messages[1]?.body }
        #expect(bodies[0] != nil && Set(bodies).count == 1)
        #expect(try scene.close() == [])
    }

    @Test("A fifth of the requests in flight may have copies, and three at least")
    func budget() throws {
        let calls = (1...30).map { Self.call(.grpc, $0) }
        let scene = try HedgeScene(
            [.echo(.milliseconds(300)), .echo(.milliseconds(300))],
            calls: calls
        )
        try scene.run()
        #expect(calls.allSatisfy(Self.isGood))
        let sent = scene.count("won") + scene.count("lost")
        // Copies are in flight as well: 30 and some.
        #expect((6...8).contains(sent) && scene.count("skipped") == 30 - sent)
        try scene.pass(.milliseconds(10))
        #expect(scene.remains == [])
        #expect(try scene.close() == [])
    }

    @Test("A copy takes nobody's turn: the slower of two has every other request, not all")
    func turns() throws {
        let calls = (1...6).map { number in
            let call = Self.call(.v2, number)
            call.start = Int64(number) * 400_000_000
            return call
        }
        let scene = try HedgeScene(
            [.echo(.milliseconds(300)), .echo(.milliseconds(5))],
            calls: calls
        )
        try scene.run()
        try scene.pass(.seconds(1))
        #expect(calls.allSatisfy(Self.isGood))
        #expect(scene.count("won") == 3 && scene.hedgeCount == 3)
        #expect(scene.answers(0, "499") == 3 && scene.answers(1, "200") == 6)
        #expect(try scene.close() == [])
    }

    @Test("A request that is still being sent is copied once it has come whole")
    func slowCaller() throws {
        // Four pieces in 150 ms, and a backend that never answers.
        let call = Self.call(.v2, fragments: 4)
        let scene = try HedgeScene(
            [.silent, .echo(.milliseconds(5))],
            calls: [call],
            delay: .milliseconds(40)
        )
        let duration = try scene.run()
        #expect(Self.isGood(call) && duration >= 150)
        #expect(scene.count("won") == 1)
        #expect(try scene.close() == [])
    }

    @Test("A request too large to be kept has no copy")
    func tooLarge() throws {
        let call = Self.call(.binary, size: 200_000)
        let scene = try HedgeScene(
            [.echo(.milliseconds(300)), .echo(.milliseconds(5))],
            calls: [call]
        )
        #expect(try scene.run() >= 300)
        #expect(Self.isGood(call) && scene.hedgeCount == 0)
        #expect(try scene.close() == [])
    }

    @Test("A large request's body goes out again as it was", arguments: [true, false])
    func largeBody(http2: Bool) throws {
        let call = Self.call(.binary, size: 200_000)
        let scene = try HedgeScene(
            [.echo(.milliseconds(700)), .echo(.milliseconds(5))],
            calls: [call],
            http2: http2
        ) { $0.retry.bufferBytes = 1 << 20 }
        #expect(try scene.run() < 500)
        #expect(Self.isGood(call) && scene.count("won") == 1)
        #expect(try scene.close() == [])
    }

    @Test("A copy waits in no line")
    func noRoom() throws {
        // Two backends with one place each, and a call on either.
        let calls = [Self.call(.v2, 1), Self.call(.v2, 2)]
        let scene = try HedgeScene(
            [.echo(.milliseconds(300)), .echo(.milliseconds(300))],
            calls: calls,
            maxInFlight: 1
        )
        try scene.run()
        #expect(calls.allSatisfy(Self.isGood))
        #expect(scene.count("skipped") == 2 && scene.hedgeCount == 2)
        try scene.pass(.milliseconds(10))
        #expect(scene.remains == [])
        #expect(try scene.close() == [])
    }

    @Test("Learnt concurrency counts copies too, and refuses nobody over them")
    func learntLimit() throws {
        let call = Self.call()
        let scene = try HedgeScene(
            [.echo(.milliseconds(300)), .echo(.milliseconds(5))],
            calls: [call]
        ) { $0.concurrency = ConcurrencyBounds(minimum: 1, maximum: 1) }
        #expect(try scene.run() >= 300)
        #expect(Self.isGood(call) && scene.count("skipped") == 1)
        try scene.pass(.milliseconds(10))
        #expect(scene.remains == [])
        #expect(try scene.close() == [])
    }

    @Test("Only an idempotent model has copies, whatever the plan says")
    func notIdempotent() throws {
        let call = Self.call()
        let scene = try HedgeScene(
            [.echo(.milliseconds(300)), .echo(.milliseconds(5))],
            calls: [call]
        ) { $0.retry.isIdempotent = false }
        #expect(try scene.run() >= 300)
        #expect(Self.isGood(call) && scene.hedgeCount == 0)
        #expect(try scene.close() == [])
    }

    @Test(
        "Whatever becomes of copies, requests are answered as ever",
        arguments: Seeds.wanted(0..<100) + Seeds.wanted(400..<520)
    )
    func worlds(seed: UInt64) throws {
        var scenario = Scenario(seed: seed, wire: seed % 1_000 < 400 ? .http1 : .http2)
        // Some with a shadow beside them.
        if seed % 4 == 0 { scenario = scenario.mirrored() }
        try GatewaySimulationTests.play(scenario.hedged())
    }
}

extension Scenario {
    /// The same world, where slow requests go to a second backend and a third.
    func hedged() -> Scenario {
        var scenario = self
        scenario.isIdempotent = true
        scenario.hedge = HedgePolicy(
            delay: .milliseconds([1, 10, 60][Int(seed % 3)]),
            maxAttempts: 2 + Int(seed % 2)
        )
        return scenario
    }
}
