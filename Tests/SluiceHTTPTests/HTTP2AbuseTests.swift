import SluiceCore
import SluiceHTTP
import SluiceTestKit
import Testing

private let opening = [RawFrame.preface, .settings(), .settingsAcknowledgement].flatMap(\.bytes)

private func server(_ frames: [RawFrame] = []) -> TestSession {
    let server = TestSession(.server)
    server.receive(opening + frames.flatMap(\.bytes))
    _ = server.takeOutput()
    return server
}

/// A frame that costs us something and brings nothing.
struct Nuisance: Sendable, CustomTestStringConvertible {
    var name: String
    var frame: RawFrame
    /// How many pass at least.
    var allowed = 990
    var reason = AbuseReason.uselessFrames
    var testDescription: String { name }

    static let all: [Nuisance] = [
        .init(name: "PING", frame: .ping(), reason: .pingFlood),
        .init(
            name: "PING acknowledgement",
            frame: RawFrame(type: 6, flags: 1, stream: 0, .init(repeating: 0, count: 8)),
            reason: .pingFlood
        ),
        .init(name: "SETTINGS", frame: .settings([(3, 1)]), allowed: 90, reason: .settingsFlood),
        .init(name: "SETTINGS acknowledgement", frame: .settingsAcknowledgement),
        .init(name: "PRIORITY", frame: .priority(1)),
        .init(name: "empty DATA", frame: .data(1)),
        .init(name: "padding", frame: .data(1, [0], flags: RawFrame.padded)),
        .init(name: "WINDOW_UPDATE", frame: .windowUpdate(0, 1)),
        .init(name: "WINDOW_UPDATE of a stream", frame: .windowUpdate(1, 1)),
        .init(name: "RST_STREAM of a closed stream", frame: .reset(3)),
        .init(name: "GOAWAY", frame: .goAway(last: 0)),
        .init(name: "an unknown type", frame: RawFrame(type: 0x42, stream: 0)),
    ]
}

@Suite("HTTP/2 under abuse")
struct HTTP2AbuseTests {
    @Test("Frames without work spend a budget", arguments: Nuisance.all)
    func nuisance(row: Nuisance) {
        let server = server([
            .headers(1, HandHPACK.post, flags: RawFrame.endHeaders), .headers(3), .reset(3),
        ])
        for _ in 0..<row.allowed {
            server.receive(row.frame.bytes)
            _ = server.takeOutput()
        }
        #expect(server.failure == nil)
        for _ in 0..<60 {
            server.receive(row.frame.bytes)
            _ = server.takeOutput()
        }
        #expect(server.failure?.code == .enhanceYourCalm)
        #expect(server.failure?.abuse == row.reason)
    }

    @Test("Who downloads much may answer each 4 KiB with two window updates")
    func longDownload() {
        let server = server([.headers(1), .settings([(5, 1 << 20)])])
        server.respond(1, TestSession.status(200), body: [UInt8](repeating: 7, count: 16 << 20))
        var heard = 0
        while server.failure == nil {
            let frames = FrameReader.frames(in: server.takeOutput()).filter { $0.type == 0 }
            if frames.isEmpty { break }
            for frame in frames {
                heard += frame.payload.count
                for start in stride(from: 0, to: frame.payload.count, by: 4096) {
                    let size = UInt32(min(4096, frame.payload.count - start))
                    server.receive(RawFrame.windowUpdate(0, size).bytes)
                    server.receive(RawFrame.windowUpdate(1, size).bytes)
                }
            }
        }
        #expect(server.failure == nil)
        #expect(heard == 16 << 20)
        expectQuiet(server)
    }

    @Test("Streams broken on purpose are counted (CVE-2025-8671)")
    func madeYouReset() {
        for fault in [RawFrame.windowUpdate(0, 0x7FFF_FFFF), .windowUpdate(0, 0)] {
            let server = server()
            var opened = 0
            while server.failure == nil && opened < 1000 {
                let id = UInt32(2 * opened + 1)
                let head = RawFrame.headers(id, HandHPACK.post, flags: RawFrame.endHeaders)
                var broken = fault.bytes
                broken.replaceSubrange(5..<9, with: RawFrame.word(id))
                server.receive(head.bytes + broken)
                _ = server.takeOutput()
                opened += 1
            }
            #expect(server.failure?.code == .enhanceYourCalm)
            #expect((100...110).contains(opened))
            #expect(server.openStreamCount == 1, "the one that was too many")
        }
    }

    @Test("Streams opened to be reset end the connection (CVE-2023-44487)")
    func rapidReset() {
        let server = server()
        var opened = 0
        while server.failure == nil && opened < 1000 {
            let id = UInt32(2 * opened + 1)
            server.receive(RawFrame.headers(id).bytes + RawFrame.reset(id).bytes)
            _ = server.takeOutput()
            opened += 1
        }
        #expect(server.failure?.abuse == .rapidReset)
        #expect(opened == 250)
    }

    @Test("Deadlines that pass for fewer than half of the streams are no attack")
    func honestResets() {
        let server = server()
        for number in 0..<2000 {
            let id = UInt32(2 * number + 1)
            server.receive(RawFrame.headers(id).bytes)
            if number % 5 < 2 {
                server.receive(RawFrame.reset(id).bytes)
            } else {
                server.respond(id, TestSession.status(200))
            }
            _ = server.takeOutput()
        }
        #expect(server.failure == nil)
    }

    @Test("Each second forgives ten frames, and each minute a hundred SETTINGS")
    func forgiveness() {
        let server = server()
        var quiet = RawFrame.settings([(3, 100)]).bytes
        for _ in 0..<10 { quiet += RawFrame.ping().bytes + RawFrame.priority(1).bytes }
        for second in 1...(600 as Int64) {
            server.receive(quiet, at: second * 1_000_000_000)
            _ = server.takeOutput()
        }
        #expect(server.failure == nil)
    }

    @Test("Fewer than 250 resets a second are not judged, however long they go on")
    func slowResets() {
        let server = server()
        for second in 0..<20 {
            for number in 0..<249 {
                let id = UInt32(2 * (249 * second + number) + 1)
                server.receive(
                    RawFrame.headers(id).bytes + RawFrame.reset(id).bytes,
                    at: Int64(second + 1) * 1_000_000_000
                )
                _ = server.takeOutput()
            }
        }
        #expect(server.failure == nil)
    }

    @Test("Answers that nobody reads end the connection")
    func unreadAnswers() {
        let server = server()
        let pings = (0..<9).flatMap { _ in RawFrame.ping().bytes }
        var count = 0
        while server.failure == nil && count < 5000 {
            let id = UInt32(2 * count + 1)
            server.receive(RawFrame.headers(id).bytes + RawFrame.reset(id).bytes + pings)
            count += 1
        }
        #expect(server.failure?.code == .enhanceYourCalm)
        #expect(server.outputCount < 200 << 10)
    }

    @Test("A block that unfolds beyond four times the limit ends the connection")
    func bomb() {
        // One entry of 4000 bytes goes into the table; each further octet names it again.
        let entry = [0x40] + HandHPACK.literal("x", String(repeating: "a", count: 3900)).dropFirst()
        let block = HandHPACK.get + entry
        let mild = server([.headers(1, block + [UInt8](repeating: 0xBE, count: 40))])
        #expect(mild.events.last == .oversizedHead(1, end: true))
        #expect(mild.failure == nil)
        let wild = server([.headers(1, block + [UInt8](repeating: 0xBE, count: 80))])
        #expect(wild.failure?.code == .enhanceYourCalm)
        #expect(wild.arena.blocks.liveCount == 0)
    }

    @Test("The table stays in step through refused, oversized and malformed heads")
    func tableInStep() {
        var settings = HTTP2Settings()
        settings.maxConcurrentStreams = 1
        settings.maxHeaderListSize = 4096
        let server = TestSession(.server, settings: settings)
        let client = NghttpPeer(.client)
        let open = client.request(TestSession.post(), body: nil, trailers: nil)
        server.receive(client.takeOutput())
        let extra = [HeaderField("x-a", "1"), HeaderField("x-b", "2")]
        let refused = client.request(TestSession.get() + extra)
        server.receive(client.takeOutput())
        server.respond(UInt32(open), TestSession.status(200))
        let big = HeaderField("x-big", String(repeating: "a", count: 6000))
        let oversized = client.request(TestSession.get() + [big] + extra)
        server.receive(client.takeOutput())
        #expect(server.events.last == .oversizedHead(UInt32(oversized), end: true))
        server.respond(UInt32(oversized), TestSession.status(431))
        let last = client.request(TestSession.get() + extra)
        exchange(server, client)
        #expect(client.messages[refused]?.resetCode == HTTP2ErrorCode.refusedStream.rawValue)
        #expect(server.messages[UInt32(refused)] == nil)
        #expect(server.messages[UInt32(last)]?.head == TestSession.get() + extra)
        server.respond(UInt32(last), TestSession.status(200))
        exchange(server, client)
        expectQuiet(server)
    }

    @Test("Interim responses have an end")
    func interimFlood() throws {
        let client = TestSession(.client)
        let id = try #require(client.request(TestSession.get()))
        client.receive(RawFrame.settings().bytes)
        let interim = RawFrame.headers(1, HandHPACK.response("103"), flags: RawFrame.endHeaders)
        for _ in 0..<32 { client.receive(interim.bytes) }
        #expect(client.messages[id]?.interims.count == 32)
        client.receive(interim.bytes)
        #expect(client.events.last == .reset(id, .protocolError))
    }
}
