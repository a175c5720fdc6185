import SluiceCore
import SluiceHTTP
import SluiceTestKit
import Testing

@Suite("HTTP/2 flow control")
struct HTTP2FlowControlTests {
    @Test(
        "A body crosses a peer's tiny window in as many steps as it takes",
        arguments: [0, 1, 7, 100, 1000],
        [false, true]
    )
    func tinyWindow(window: UInt32, hasTrailers: Bool) {
        let server = TestSession(.server)
        let client = NghttpPeer(.client, settings: [(4, window)], creditsByHand: true)
        let body = TestSession.body(3000)
        let trailers = hasTrailers ? [HeaderField("x-end", "1")] : nil
        let id = client.request(TestSession.get())
        exchange(server, client)
        server.respond(UInt32(id), TestSession.status(200), body: body, trailers: trailers)
        exchange(server, client)
        #expect(client.messages[id]?.body == Array(body.prefix(Int(window))))
        var heard = Int(window)
        while heard < body.count {
            let step = min(37, body.count - heard)
            client.updateWindow(id, by: Int32(step))
            exchange(server, client)
            heard += step
            #expect(client.messages[id]?.body.count == heard)
        }
        #expect(client.messages[id]?.body == body)
        #expect(client.messages[id]?.trailers == trailers)
        #expect(client.messages[id]?.isComplete == true)
        let source = server.outgoing[UInt32(id)]
        #expect((source?.drained ?? 0) + (source?.sentAtOnce ?? 0) == body.count)
        expectQuiet(server)
    }

    @Test("A window that shrinks below nothing in the middle of a body, and comes back")
    func shrinkingWindow() {
        let server = TestSession(.server)
        let client = NghttpPeer(.client, settings: [(4, 1000)], creditsByHand: true)
        let body = TestSession.body(5000)
        let id = client.request(TestSession.get())
        exchange(server, client)
        server.respond(UInt32(id), TestSession.status(200), body: body)
        exchange(server, client)
        #expect(client.messages[id]?.body.count == 1000)
        client.submitSettings([(4, 0)])
        exchange(server, client)
        // The window is 1000 in debt now; paying most of it back lets nothing through.
        client.updateWindow(id, by: 1000)
        exchange(server, client)
        #expect(client.messages[id]?.body.count == 1000)
        client.updateWindow(id, by: 1)
        exchange(server, client)
        #expect(client.messages[id]?.body.count == 1001)
        client.submitSettings([(4, 100_000)])
        exchange(server, client)
        #expect(client.messages[id]?.body == body)
        expectQuiet(server)
    }

    @Test("Streams that share an exhausted connection window take turns")
    func connectionWindow() {
        let server = TestSession(.server)
        let client = NghttpPeer(.client, settings: [(4, 1 << 20)], creditsByHand: true)
        let ids = (0..<4).map { _ in client.request(TestSession.get()) }
        exchange(server, client)
        for id in ids {
            server.respond(
                UInt32(id),
                TestSession.status(200),
                body: TestSession.body(100_000, seed: UInt64(id))
            )
        }
        exchange(server, client)
        #expect(ids.map { client.messages[$0]?.body.count ?? 0 }.reduce(0, +) == 65_535)
        for _ in 0..<6 {
            client.updateWindow(0, by: 64 << 10)
            exchange(server, client)
        }
        for id in ids {
            #expect(client.messages[id]?.body == TestSession.body(100_000, seed: UInt64(id)))
        }
        expectQuiet(server)
    }

    @Test(
        "A peer sends no more than our windows until we pass some of it on",
        arguments: [1, 100, 16_384, 65_535, 100_000]
    )
    func ourWindow(window: Int) {
        var settings = HTTP2Settings()
        settings.initialWindowSize = window
        let server = TestSession(.server, settings: settings, connectionWindow: 65_535)
        server.consumesAtOnce = false
        let client = NghttpPeer(.client)
        exchange(server, client)
        let body = TestSession.body(300_000)
        let id = client.request(TestSession.post(), body: body)
        exchange(server, client)
        #expect(server.unconsumed[UInt32(id)] == min(window, 65_535))
        for _ in 0..<1000 where server.messages[UInt32(id)]?.isComplete == false {
            server.consume(.max, UInt32(id))
            exchange(server, client)
            #expect(server.unconsumed[UInt32(id)] ?? 0 <= 1 << 20)
        }
        #expect(server.messages[UInt32(id)]?.body == body)
        #expect(server.failure == nil)
    }

    @Test("The window grows once the first half of a body has been passed on")
    func growth() {
        let server = TestSession(.server)
        let client = NghttpPeer(.client)
        exchange(server, client)
        let id = client.request(TestSession.post(), body: TestSession.body(200_000))
        server.receive(client.takeOutput())
        let frames = FrameReader.frames(in: server.takeOutput())
        let updates = frames.filter { $0.type == 8 && $0.stream == UInt32(id) }
        #expect(updates.map { $0.word(0) } == [128 << 10 + 768 << 10])
    }

    @Test("Bodies kept by the owner close the connection window for all, and a reset opens it")
    func resetGivesBack() {
        let server = TestSession(.server, connectionWindow: 65_535)
        server.consumesAtOnce = false
        let client = NghttpPeer(.client)
        exchange(server, client)
        let first = client.request(TestSession.post(), body: TestSession.body(100_000))
        exchange(server, client)
        #expect(client.sendWindow == 0)
        let second = client.request(TestSession.post(), body: TestSession.body(1000))
        exchange(server, client)
        #expect(server.messages[UInt32(second)]?.body == [])
        server.reset(UInt32(first), .cancel)
        exchange(server, client)
        #expect(server.messages[UInt32(second)]?.body == TestSession.body(1000))
        #expect(client.sendWindow >= 32_768)
    }

    @Test("A client that hasn't read our SETTINGS may still use the default window")
    func defaultWindowBeforeAcknowledgement() {
        var settings = HTTP2Settings()
        settings.initialWindowSize = 100
        let flags = RawFrame.endHeaders
        let opening = [RawFrame.preface, .settings(), .headers(1, HandHPACK.post, flags: flags)]
        let data = RawFrame.data(1, [UInt8](repeating: 1, count: 10_000))
        let server = TestSession(.server, settings: settings)
        server.consumesAtOnce = false
        server.receive((opening + [data, data]).flatMap(\.bytes))
        #expect(server.events.last != .reset(1, .flowControlError))
        #expect(server.unconsumed[1] == 20_000)
        server.receive((RawFrame.settingsAcknowledgement.bytes + RawFrame.data(1, [1]).bytes))
        #expect(server.events.last == .reset(1, .flowControlError))
    }

    @Test("More DATA than a window ends the stream, or the connection")
    func overrun() {
        let opening = [
            RawFrame.preface, .settings(), .settingsAcknowledgement,
            .headers(1, HandHPACK.post, flags: RawFrame.endHeaders),
        ]
        let data = RawFrame.data(1, [UInt8](repeating: 1, count: 16_384))
        let server = TestSession(.server)
        server.consumesAtOnce = false
        server.receive((opening + [RawFrame](repeating: data, count: 16)).flatMap(\.bytes))
        #expect(server.unconsumed[1] == 256 << 10)
        server.receive(data.bytes)
        #expect(server.events.last == .reset(1, .flowControlError))
        #expect(server.failure == nil)

        let second = TestSession(.server, connectionWindow: 65_535)
        second.consumesAtOnce = false
        second.receive((opening + [RawFrame](repeating: data, count: 4)).flatMap(\.bytes))
        #expect(second.failure?.code == .flowControlError)
    }

    @Test("Padding counts against a stream's window (§6.1)")
    func paddingCounts() {
        var settings = HTTP2Settings()
        settings.initialWindowSize = 100
        let server = TestSession(.server, settings: settings)
        server.consumesAtOnce = false
        let opening = [
            RawFrame.preface, .settings(), .settingsAcknowledgement,
            .headers(1, HandHPACK.post, flags: RawFrame.endHeaders),
        ]
        let frame = { (count: Int) in
            RawFrame.data(1, [40] + [UInt8](repeating: 0, count: count - 1), flags: RawFrame.padded)
        }
        server.receive((opening + [frame(49), frame(49)]).flatMap(\.bytes))
        #expect(server.messages[1]?.body.count == 16)
        server.receive(frame(49).bytes)
        #expect(server.failure == nil)
        let updates = FrameReader.frames(in: server.takeOutput()).filter { $0.stream == 1 }
        let given = updates.filter { $0.type == 8 }.map { Int($0.word(0)) }.reduce(0, +)
        // The padding of the first frames came back with an update that also grew the window.
        var left = 100 + given - 3 * 49
        while left > 0 {
            let size = min(left, 16_384)
            server.receive(RawFrame.data(1, [UInt8](repeating: 0, count: size)).bytes)
            left -= size
        }
        #expect(server.streams[1] != nil)
        server.receive(RawFrame.data(1, [0]).bytes)
        #expect(server.events.last == .reset(1, .flowControlError))
    }

    @Test("Frames of nothing but padding give their window back")
    func padding() {
        var settings = HTTP2Settings()
        settings.initialWindowSize = 65_535
        let server = TestSession(.server, settings: settings, connectionWindow: 65_535)
        let opening = [
            RawFrame.preface, .settings(), .settingsAcknowledgement,
            .headers(1, HandHPACK.post, flags: RawFrame.endHeaders),
        ]
        let frame = RawFrame.data(
            1,
            [255] + [UInt8](repeating: 0, count: 255),
            flags: RawFrame.padded
        )
        server.receive((opening + [RawFrame](repeating: frame, count: 900)).flatMap(\.bytes))
        #expect(server.failure == nil)
        let updates = FrameReader.frames(in: server.takeOutput()).filter { $0.type == 8 }
        let stream = updates.filter { $0.stream == 1 }.map { Int($0.word(0)) }.reduce(0, +)
        let connection = updates.filter { $0.stream == 0 }.map { Int($0.word(0)) }.reduce(0, +)
        #expect(stream >= 900 * 256 - 65_535)
        #expect(connection >= 900 * 256 - 32_768)
    }

    @Test("What waits in a stream goes out only while the output has room")
    func highWater() throws {
        let client = TestSession(.client)
        client.receive(
            (RawFrame.settings([(4, 10 << 20)]).bytes + RawFrame.windowUpdate(0, 10 << 20).bytes)
        )
        let id = try #require(client.request(TestSession.post(), body: TestSession.body(2 << 20)))
        #expect(client.outputCount < 300 << 10)
        #expect(client.streams[id]?.pendingCount ?? 0 <= 64 << 10)
        var output: [UInt8] = []
        while client.outputCount > 0 {
            output += client.takeOutput(maximum: 10_000)
            #expect(client.outputCount < 300 << 10)
        }
        let body = FrameReader.frames(in: output).filter { $0.type == 0 }.flatMap(\.payload)
        #expect(body == TestSession.body(2 << 20))
    }

    @Test("A body that gets no window is told apart from one that moves")
    func stalled() {
        let server = TestSession(.server)
        let client = NghttpPeer(.client, settings: [(4, 100)], creditsByHand: true)
        let ids = [client.request(TestSession.get()), client.request(TestSession.get())]
        exchange(server, client)
        for id in ids {
            server.respond(UInt32(id), TestSession.status(200), body: TestSession.body(3000))
        }
        exchange(server, client)
        for _ in 0..<3 {
            client.updateWindow(ids[0], by: 10)
            exchange(server, client)
            let sweep = server.session.sweepStalled(limit: 3)
            #expect(sweep.isAnyWaiting)
            #expect(sweep.stalled.isEmpty)
        }
        let last = server.session.sweepStalled(limit: 3)
        #expect(last.stalled.map(\.id) == [UInt32(ids[1])])
        for id in ids { client.updateWindow(id, by: 10_000) }
        exchange(server, client)
        let done = server.session.sweepStalled(limit: 0)
        #expect(!done.isAnyWaiting)
        #expect(done.stalled.isEmpty)
    }

    @Test("Frames that follow each other are different pieces; a header block is one")
    func fragments() {
        let server = TestSession(.server)
        server.receive([RawFrame.preface, .settings(), .settingsAcknowledgement].flatMap(\.bytes))
        let start = server.session.fragmentCount
        server.receive(RawFrame.headers(1, Array(HandHPACK.get.prefix(3)), flags: 1).bytes)
        for byte in HandHPACK.get.dropFirst(3).prefix(5) {
            #expect(server.isMidFrame)
            server.receive(RawFrame.continuation(1, [byte], flags: 0).bytes)
        }
        #expect(server.session.fragmentCount == start + 1)
        server.receive(RawFrame.continuation(1, Array(HandHPACK.get.dropFirst(8))).bytes)
        #expect(!server.isMidFrame)
        // Each read ends in the middle of a frame, and each time of another one.
        var bytes: [UInt8] = []
        for _ in 0..<3 { bytes += RawFrame.ping().bytes }
        var counts: [UInt64] = []
        for fragment in [bytes[..<12], bytes[12..<29], bytes[29..<46]] {
            server.receive(Array(fragment))
            #expect(server.isMidFrame)
            counts.append(server.session.fragmentCount)
        }
        #expect(counts == [start + 2, start + 3, start + 4])
    }
}
