import SluiceCore
import SluiceHTTP
import SluiceTestKit
import Testing

/// What an owner can see of a request's body when its head has been told.
@Suite("A body that has come with its head")
struct UpcomingBodyTests {
    private static let opening = [RawFrame.preface, .settings(), .settingsAcknowledgement]
        .flatMap(\.bytes)
    private static let head = RawFrame.headers(1, HandHPACK.post, flags: RawFrame.endHeaders).bytes

    /// The body foreseen at stream 1's head when `rest` comes with it, and the one that was told.
    private static func lookAhead(
        _ rest: [UInt8],
        cut: Cut = .whole
    ) -> (seen: [UInt8]?, told: [UInt8]) {
        let server = TestSession(.server)
        var seen: [UInt8]?
        server.onEvent = { server, event in
            guard case .head(1, _, _) = event, let stream = server.streams[1],
                let bytes = unsafe server.session.upcomingBody(of: stream)
            else { return }
            seen = unsafe [UInt8](bytes)
        }
        server.receive(opening)
        server.receive(head + rest, cut: cut)
        #expect(server.failure == nil)
        return (seen, server.messages[1]?.body ?? [])
    }

    @Test("A whole one is seen, and told as ever", arguments: [1, 100, 16_384])
    func whole(count: Int) {
        let body = TestSession.body(count)
        let (seen, told) = Self.lookAhead(RawFrame.data(1, body, flags: RawFrame.endStream).bytes)
        #expect(seen == body)
        #expect(told == body)
    }

    @Test("One that isn't whole, plain and next is not")
    func others() {
        let body = TestSession.body(100)
        let data = RawFrame.data(1, body, flags: RawFrame.endStream).bytes
        #expect(Self.lookAhead(data, cut: .at(Self.head.count)).seen == nil)
        #expect(Self.lookAhead(data, cut: .at(Self.head.count + 5)).seen == nil)
        #expect(Self.lookAhead(data, cut: .at(Self.head.count + 108)).seen == nil)
        #expect(Self.lookAhead(RawFrame.data(1, body).bytes).seen == nil)
        let other = RawFrame.headers(3, HandHPACK.post, flags: RawFrame.endHeaders).bytes
        #expect(Self.lookAhead(other + data).seen == nil)
        #expect(Self.lookAhead([]).seen == nil)
        for fragments in [Cut.bytewise, .random(seed: 4), .whole] {
            #expect(Self.lookAhead(data, cut: fragments).told == body)
        }
    }
}
