import SluiceCore
import SluiceHTTP
import Testing

@Suite("An HTTP/1.1 client and server, back to back")
struct HTTP1RoundTripTests {
    /// One message, drawn at random.
    struct Message: Equatable {
        var fields: [String] = []
        var fragments: [String] = []
        var hasLength = false
        var trailers: [String] = []

        var body: String { fragments.joined() }

        static func random(_ random: inout RandomSource) -> Message {
            var message = Message()
            for index in 0..<random.next(below: 5) {
                message.fields.append("x-\(index): \(text(24, &random))")
            }
            for _ in 0..<random.next(below: 4) {
                message.fragments.append(text(random.next(below: 8) == 0 ? 5000 : 40, &random))
            }
            message.hasLength = random.next(below: 2) == 0
            if !message.hasLength, random.next(below: 3) == 0 {
                message.trailers = ["grpc-status: \(random.next(below: 17))"]
            }
            return message
        }

        private static func text(_ maximum: Int, _ random: inout RandomSource) -> String {
            var bytes: [UInt8] = []
            for _ in 0..<random.next(below: maximum) {
                bytes.append(UInt8(0x21 + random.next(below: 94)))
            }
            return String(decoding: bytes, as: UTF8.self)
        }

        func send(_ pseudo: [String], by peer: HTTP1TestSession) {
            var lines = pseudo + fields
            if hasLength { lines.append("content-length: \(body.utf8.count)") }
            let isWhole = fragments.isEmpty && trailers.isEmpty
            if peer.role == .client {
                peer.request(lines, endStream: isWhole)
            } else {
                peer.respond(lines, endStream: isWhole)
            }
            guard !isWhole else { return }
            for (index, fragment) in fragments.enumerated() {
                peer.send(fragment, endStream: trailers.isEmpty && index == fragments.count - 1)
            }
            if !trailers.isEmpty { peer.trailers(trailers) }
        }

        func heard(_ pseudo: [String], impliesLength: Bool) -> [HTTP1Heard] {
            var lines = pseudo + fields
            let isWhole = fragments.isEmpty && trailers.isEmpty
            if hasLength || (isWhole && impliesLength) {
                lines.append("content-length: \(body.utf8.count)")
            }
            var heard: [HTTP1Heard] = [.head(lines)]
            if !body.isEmpty { heard.append(.body(body)) }
            if !trailers.isEmpty { heard.append(.trailers(trailers)) }
            heard.append(.end)
            return heard
        }
    }

    /// Carries what `from` has written to `to`, in random pieces.
    static func carry(
        _ from: HTTP1TestSession,
        _ to: HTTP1TestSession,
        _ random: inout RandomSource
    ) {
        let bytes = from.written()
        var start = 0
        while start < bytes.count {
            let mean = random.next(below: 2) == 0 ? 8 : 4000
            let count = min(bytes.count - start, 1 + random.next(below: mean))
            to.receive(Array(bytes[start..<(start + count)]))
            start += count
        }
    }

    @Test(
        "Every message arrives as it was sent, whatever its shape and its cuts",
        arguments: 0..<64
    )
    func exchanges(seed: UInt64) {
        var random = RandomSource(seed: seed)
        let (client, server) = (HTTP1TestSession(.client), HTTP1TestSession(.server))
        var (asked, answered): ([HTTP1Heard], [HTTP1Heard]) = ([], [])
        for number in 0..<20 {
            let (request, response) = (Message.random(&random), Message.random(&random))
            let method = ["GET", "POST", "PUT", "OPTIONS"][random.next(below: 4)]
            let pseudo = [
                ":method: \(method)", ":scheme: http", ":authority: h:\(number)",
                ":path: /\(number)",
            ]
            request.send(pseudo, by: client)
            HTTP1RoundTripTests.carry(client, server, &random)
            asked += request.heard(pseudo, impliesLength: method == "POST" || method == "PUT")
            #expect(server.heard == asked)
            response.send([":status: 200"], by: server)
            HTTP1RoundTripTests.carry(server, client, &random)
            answered += response.heard([":status: 200"], impliesLength: true)
            #expect(client.heard == answered)
            #expect(client.isIdle && server.isIdle)
        }
        #expect(client.arena.blocks.liveCount == 0 && server.arena.blocks.liveCount == 0)
    }

    @Test("Pipelined requests are answered in order, one at a time", arguments: 0..<32)
    func pipelining(seed: UInt64) {
        var random = RandomSource(seed: seed)
        let server = HTTP1TestSession(.server)
        var wire: [UInt8] = []
        var asked: [HTTP1Heard] = []
        for number in 0..<10 {
            let request = Message.random(&random)
            // A session of its own for each, since ours don't pipeline.
            let client = HTTP1TestSession(.client)
            let pseudo = [
                ":method: POST", ":scheme: http", ":authority: h", ":path: /\(number)",
            ]
            request.send(pseudo, by: client)
            wire += client.written()
            asked += request.heard(pseudo, impliesLength: true)
        }
        var (ended, sent) = (0, 0)
        server.onEvent = { _, heard in if heard == .end { ended += 1 } }
        var start = 0
        while start < wire.count || sent < 10 {
            #expect(ended <= sent + 1)
            let isAnswering = ended > sent && random.next(below: 3) == 0
            if isAnswering || !server.wantsInput || start == wire.count {
                guard ended > sent else {
                    Issue.record("neither input nor an answer is wanted")
                    return
                }
                server.respond([":status: 200", "x-number: \(sent)"])
                sent += 1
                server.pump()
            } else {
                let count = min(wire.count - start, 1 + random.next(below: 600))
                server.receive(Array(wire[start..<(start + count)]))
                start += count
            }
        }
        #expect(server.heard == asked)
        let expected = (0..<10).map {
            "HTTP/1.1 200 OK\r\nx-number: \($0)\r\ncontent-length: 0\r\n\r\n"
        }
        #expect(server.writtenText() == expected.joined())
        #expect(server.isIdle && server.arena.blocks.liveCount == 0)
    }
}
