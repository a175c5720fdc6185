import SluiceCore
import SluiceHTTP
import SluiceTestKit
import Testing

private let opening = [RawFrame.preface, .settings(), .settingsAcknowledgement].flatMap(\.bytes)
private let post = RawFrame.headers(1, HandHPACK.post, flags: RawFrame.endHeaders)

/// Sessions of one loop draw their stream records from one arena, so a record that one session
/// gives back soon belongs to another.
@Suite("HTTP/2 stream records")
struct HTTP2LifetimeTests {
    @Test("The rest of a DATA frame doesn't reach the next owner of a reset stream's record")
    func resetWithinData() {
        let arena = HTTPArena()
        let first = TestSession(.server, arena: arena)
        let second = TestSession(.server, arena: arena)
        first.receive(opening + post.bytes)
        let data = RawFrame.data(1, TestSession.body(100)).bytes
        first.receive(Array(data.prefix(50)))
        first.reset(1, .cancel)
        first.session.reap()
        second.receive(opening + post.bytes)
        let before = (first.events, second.events)
        first.receive(Array(data.dropFirst(50)))
        second.receive(data)
        #expect(first.events == before.0)
        #expect(second.messages[1]?.body == TestSession.body(100))
        #expect(first.violations + second.violations == [])
        #expect(arena.openStreamCount == 1)
    }

    @Test("The rest of a header block doesn't either")
    func resetWithinTrailers() {
        let arena = HTTPArena()
        let first = TestSession(.server, arena: arena)
        let second = TestSession(.server, arena: arena)
        first.receive(opening + post.bytes)
        first.receive(RawFrame.headers(1, [], flags: RawFrame.endStream).bytes)
        first.reset(1, .cancel)
        first.session.reap()
        second.receive(opening + post.bytes)
        let count = first.events.count
        first.receive(RawFrame.continuation(1, HandHPACK.literal("a", "b")).bytes)
        #expect(first.events.count == count)
        #expect(first.failure == nil)
        #expect(second.streams[1]?.isRemoteClosed == false)
        #expect(arena.openStreamCount == 1)
        #expect(arena.blocks.liveCount == 0)
    }

    @Test("Streams lost to GOAWAY keep their owner's word until it has been told")
    func goAwayKeepsUserWords() throws {
        let arena = HTTPArena()
        let first = TestSession(.client, arena: arena)
        let second = TestSession(.client, arena: arena)
        first.receive(RawFrame.settings().bytes)
        second.receive(RawFrame.settings().bytes)
        for id in 0..<20 {
            let stream = try #require(first.open(TestSession.post()))
            // Any non-null word will do; it is compared, never followed.
            unsafe first.streams[stream]?.context = UnsafeMutableRawPointer(bitPattern: 0x1000 + id)
        }
        var words: [UInt] = []
        var held = first.streams
        first.onEvent = { session, event in
            switch event {
            case .goAway:
                // What the owner still says on a lost stream is dropped, not fatal.
                for id in session.streams.keys {
                    session.send(id, [1, 2, 3], id % 4 == 1 ? [HeaderField("a", "b")] : nil)
                }
            case .reset(let id, _):
                words.append(unsafe UInt(bitPattern: held.removeValue(forKey: id)?.context))
                // The retry goes to another connection and takes a record at once.
                second.request(TestSession.get())
            default: break
            }
        }
        #expect(first.openStreamCount == 20)
        first.receive(RawFrame.goAway(last: 0).bytes)
        #expect(words.sorted() == (0..<20).map { UInt(0x1000 + $0) })
        #expect(first.openStreamCount == 0)
        #expect(second.openStreamCount == 20)
        #expect(first.violations == [])
        first.session.reap()
        #expect(arena.openStreamCount == 20)
    }

    @Test("Faults are told in the order in which they came, before what follows them")
    func faultOrder() {
        let server = TestSession(.server)
        let heads = [1, 3, 5].map {
            RawFrame.headers($0, HandHPACK.post, flags: RawFrame.endHeaders)
        }
        server.receive(opening + heads.flatMap(\.bytes))
        let frames: [RawFrame] = [
            .windowUpdate(3, 0), .windowUpdate(1, 0), .headers(7), .windowUpdate(5, 0),
        ]
        server.receive(frames.flatMap(\.bytes))
        let told = server.events.suffix(4).map { event -> UInt32 in
            switch event {
            case .reset(let id, _): id
            case .head(let id, _, _): id
            default: 0
            }
        }
        #expect(told == [3, 1, 7, 5])
        #expect(server.violations == [])
    }

    @Test("A fault is told even when the connection fails right after it")
    func faultBeforeFailure() {
        let server = TestSession(.server)
        server.receive(opening + post.bytes)
        server.receive(RawFrame.windowUpdate(1, 0).bytes + RawFrame.data(0, [1]).bytes)
        #expect(server.events.suffix(2) == [.reset(1, .protocolError), .failed(.protocolError)])
    }

    @Test("Resetting a stream twice gives its record back once")
    func resetTwice() throws {
        let arena = HTTPArena()
        let server = TestSession(.server, arena: arena)
        server.receive(opening + post.bytes)
        let stream = try #require(server.streams[1])
        server.session.reset(stream, .cancel)
        server.session.reset(stream, .cancel)
        server.session.consumed(10, by: stream)
        server.session.reap()
        #expect(arena.openStreamCount == 0)
        let resets = FrameReader.frames(in: server.takeOutput()).filter { $0.type == 3 }
        #expect(resets.count == 1)
    }

    @Test("A session that goes away gives everything back", arguments: 0..<8)
    func departure(seed: UInt64) {
        let arena = HTTPArena()
        do {
            let client = TestSession(.client, arena: arena)
            let server = TestSession(.server, arena: arena)
            server.receive(client.takeOutput())
            client.receive(server.takeOutput())
            for index in 0..<5 {
                client.request(
                    TestSession.post(),
                    body: TestSession.body(400_000, seed: seed),
                    trailers: index % 2 == 0 ? [HeaderField("a", "b")] : nil
                )
            }
            let bytes = client.takeOutput()
            var random = RandomSource(seed: seed)
            server.receive(Array(bytes.prefix(random.next(below: bytes.count))))
            client.receive(RawFrame.goAway(last: 3).bytes)
            server.receive([])
        }
        #expect(arena.openStreamCount == 0)
        #expect(arena.blocks.liveCount == 0)
    }

    @Test("GOAWAY after a failure never names a higher stream than one before")
    func goAwayNeverGrows() {
        let server = TestSession(.server)
        server.receive(opening + post.bytes)
        server.session.sendGoAway(isFinal: true)
        server.receive(RawFrame.headers(3).bytes + RawFrame.data(0, [1]).bytes)
        let frames = FrameReader.frames(in: server.takeOutput())
        let goAways = frames.filter { $0.type == 7 }.map { $0.word(0) }
        #expect(goAways == [1, 1])
        #expect(frames.contains { $0.type == 3 && $0.stream == 3 && $0.word(0) == 7 })
    }
}
