import SluiceBalancing
import SluiceGateway
import SluiceSimulation
import Testing

@Suite("Requests to revisions of more than 64 backends")
struct ManyBackendsTests {
    private static func call(_ kind: EchoCall.Kind, _ number: Int) -> EchoCall {
        EchoCall(id: "c\(number)", kind: kind, payload: [1, 2, 3, 4], messageCount: 1)
    }

    private static func isGood(_ call: EchoCall) -> Bool {
        call.complaint == nil && call.outcome == .answered(call.kind.isGRPC ? 0 : 200)
    }

    @Test(
        "The one backend that answers is found among all that refuse, each of which is tried once",
        arguments: [EchoCall.Kind.v2, .grpc],
        [0, 1]
    )
    func lastOfMany(kind: EchoCall.Kind, maxInFlight: Int) throws {
        let calls = (1...3).map { Self.call(kind, $0) }
        let scene = try HedgeScene(
            [HedgeScene.Backend](repeating: .absent, count: 140) + [.echo(.zero)],
            calls: calls,
            { $0.hedge = nil },
            maxInFlight: maxInFlight
        )
        try scene.run()
        #expect(calls.allSatisfy(Self.isGood))
        #expect(try scene.close() == [])
        let attempts = scene.attempts
        #expect(attempts.count == 3 && attempts.values.allSatisfy { (1...141).contains($0) })
    }

    @Test("Where all refuse, the request is refused once each was tried")
    func noneOfMany() throws {
        let calls = [Self.call(.v2, 1), Self.call(.v2, 2)]
        let scene = try HedgeScene(
            [HedgeScene.Backend](repeating: .absent, count: 300),
            calls: calls,
            { $0.hedge = nil }
        )
        try scene.run()
        for call in calls {
            guard case .answered(let status) = call.outcome else {
                Issue.record("\(call.outcome)")
                continue
            }
            #expect(status == 502 || status == 503)
        }
        #expect(try scene.close() == [])
    }

    @Test("A copy goes to a backend that wasn't tried, and neither does it twice")
    func copies() throws {
        let call = Self.call(.v2, 1)
        let scene = try HedgeScene(
            [HedgeScene.Backend](repeating: .absent, count: 70) + [.silent, .silent, .echo(.zero)],
            calls: [call],
            maxAttempts: 3
        )
        try scene.run()
        #expect(Self.isGood(call))
        #expect(scene.hedgeCount == 2 && scene.count("won") == 1)
        #expect(try scene.close() == [])
    }
}
