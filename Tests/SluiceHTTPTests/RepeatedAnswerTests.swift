import SluiceCore
import SluiceHTTP
import SluiceTestKit
import Testing

/// Answers that are called by the names of their blocks; nghttp2 must read what was meant.
@Suite("Answers whose fields a connection has sent before")
struct RepeatedAnswerTests {
    /// A server of ours with an nghttp2 client.
    final class Line {
        let server = TestSession(.server)
        let client: NghttpPeer
        /// How many answers went out by the names of their blocks.
        private(set) var repeatedCount = 0

        init(settings: [(UInt32, UInt32)] = []) {
            client = NghttpPeer(.client, settings: settings)
        }

        /// What the client hears when the server answers under these names, the short way if it can.
        func hears(
            _ revision: String,
            name: UInt64,
            _ values: (String, String),
            _ body: [UInt8],
            trailersName: UInt64 = 1
        ) -> Heard {
            let id = client.request(TestSession.get())
            exchange(server, client)
            guard let stream = server.streams[UInt32(id)] else { return Heard() }
            if !sendsShort(name, values, body, trailersName, on: stream) {
                server.session.sendHead(
                    head(revision, name: name, values),
                    endStream: false,
                    on: stream
                )
                _ = unsafe body.withUnsafeBytes {
                    unsafe server.session.send($0, endStream: false, on: stream)
                }
                let trailers = server.arena.blocks.take()
                trailers.append(.grpcStatus, "0")
                trailers.repeatName = HeadName(trailersName)
                server.session.sendTrailers(trailers, on: stream)
            }
            exchange(server, client)
            server.streams[UInt32(id)] = nil
            let message = client.messages[id]
            return Heard(
                head: message?.head ?? [],
                body: message?.body ?? [],
                trailers: message?.trailers ?? [],
                isComplete: message?.isComplete ?? false
            )
        }

        private func head(
            _ revision: String,
            name: UInt64,
            _ values: (String, String)
        ) -> FieldBlock {
            let head = server.arena.blocks.take()
            head.append(status: 200)
            head.append(.contentType, "application/grpc")
            head.append(.requestID, text: values.0, isVolatile: true)
            head.append(.sluiceRevision, text: revision)
            head.append(.cacheStatus, text: values.1, isVolatile: true)
            head.repeatName = HeadName(name)
            return head
        }

        private func sendsShort(
            _ name: UInt64,
            _ values: (String, String),
            _ body: [UInt8],
            _ trailersName: UInt64,
            on stream: HTTP2Stream
        ) -> Bool {
            let (first, second) = (Array(values.0.utf8), Array(values.1.utf8))
            let isSent = unsafe first.withUnsafeBytes { first in
                unsafe second.withUnsafeBytes { second in
                    unsafe body.withUnsafeBytes { body in
                        let answer = unsafe RepeatedAnswer(
                            head: HeadName(name),
                            values: .init(first, second),
                            body: (
                                UnsafeRawBufferPointer(rebasing: body.prefix(body.count / 2)),
                                UnsafeRawBufferPointer(rebasing: body.dropFirst(body.count / 2))
                            ),
                            trailers: HeadName(trailersName)
                        )
                        return server.session.sendRepeated(answer, on: stream)
                    }
                }
            }
            if isSent { repeatedCount += 1 }
            return isSent
        }
    }

    struct Heard: Equatable {
        var head: [HeaderField] = []
        var body: [UInt8] = []
        var trailers: [HeaderField] = []
        var isComplete = false

        init() {}

        init(head: [HeaderField], body: [UInt8], trailers: [HeaderField], isComplete: Bool) {
            (self.head, self.body, self.trailers) = (head, body, trailers)
            self.isComplete = isComplete
        }

        /// What an answer means.
        init(_ revision: String, _ values: (String, String), _ body: [UInt8]) {
            self.init(
                head: [
                    HeaderField(":status", "200"), HeaderField("content-type", "application/grpc"),
                    HeaderField("x-request-id", values.0),
                    HeaderField("x-sluice-revision", revision),
                    HeaderField("cache-status", values.1),
                ],
                body: body,
                trailers: [HeaderField("grpc-status", "0")],
                isComplete: true
            )
        }
    }

    @Test("Any mixture is read as it was meant, and most goes the short way", arguments: 0..<20)
    func mixtures(seed: Int) {
        var random = RandomSource(seed: UInt64(seed))
        let tableSize = [0, 100, 300, 4096][seed % 4]
        let line = Line(settings: [(1, UInt32(tableSize))])
        for round in 0..<200 {
            let revision = "r\(random.next(below: 3))"
            let values = (
                String(repeating: "i", count: [0, 1, 36, 126, 127, 300][random.next(below: 6)]),
                "sluice; hit; ttl=\(random.next(below: 100_000))"
            )
            let body = TestSession.body(1 + random.next(below: 3000), seed: UInt64(round))
            let name = 7 + UInt64(revision.utf8.last ?? 0)
            #expect(line.hears(revision, name: name, values, body) == Heard(revision, values, body))
        }
        // In 100 bytes each answer pushes its own fields out again.
        #expect(line.repeatedCount > 150 || tableSize == 100)
        #expect(line.server.failure == nil)
        expectQuiet(line.server)
    }

    @Test("A name that was never sent is not known")
    func unknownNames() {
        let line = Line()
        for name in 10..<14 as Range<UInt64> {
            let heard = line.hears("a", name: name, ("i", "hit"), [1], trailersName: name + 100)
            #expect(heard == Heard("a", ("i", "hit"), [1]))
        }
        // The first is known by now; its trailers go by another name.
        #expect(line.repeatedCount == 0)
        _ = line.hears("a", name: 13, ("i", "hit"), [1], trailersName: 999)
        #expect(line.repeatedCount == 0)
        _ = line.hears("a", name: 13, ("i", "hit"), [1], trailersName: 999)
        #expect(line.repeatedCount == 1)
    }

    @Test("A body that has to wait goes the long way, and all of it arrives")
    func waitingBody() {
        // 4 is SETTINGS_INITIAL_WINDOW_SIZE.
        let line = Line(settings: [(4, 100)])
        for count in [1, 100, 101, 5000, 100, 16_384, 16_385] {
            for _ in 0..<3 {
                let before = line.repeatedCount
                let body = TestSession.body(count)
                #expect(
                    line.hears("a", name: 9, ("i", "hit"), body) == Heard("a", ("i", "hit"), body)
                )
                if count > 100 { #expect(line.repeatedCount == before) }
            }
        }
        #expect(line.repeatedCount > 5)
        expectQuiet(line.server)
    }

    @Test("A table that changes its size in between is told of first")
    func changedTable() {
        let line = Line()
        for size in [4096, 0, 200, 4096] {
            line.client.submitSettings([(1, UInt32(size))])
            exchange(line.server, line.client)
            for _ in 0..<4 {
                #expect(
                    line.hears("a", name: 9, ("i", "hit"), [7]) == Heard("a", ("i", "hit"), [7])
                )
            }
        }
        #expect(line.repeatedCount >= 4)
        #expect(line.server.failure == nil)
    }

    @Test("An empty body is sent the long way")
    func emptyBody() {
        let line = Line()
        for _ in 0..<4 {
            #expect(line.hears("a", name: 9, ("i", "hit"), []) == Heard("a", ("i", "hit"), []))
        }
        #expect(line.repeatedCount == 0)
    }
}
