import SluiceCore
import SluiceHTTP
import SluiceTestKit
import Testing

/// Heads that go out over HTTP/1.1 much as they went before are copied; the copy must be what would have been
/// written.
@Suite("HTTP/1.1 heads that were written before")
struct HTTP1RepeatedHeadTests {
    /// A head with values that differ each time and others that mostly don't.
    private func fill(_ block: FieldBlock, isRequest: Bool, _ random: inout RandomSource) {
        if isRequest {
            block.append(.method, ["POST", "GET", "HEAD"][random.next(below: 3)])
            block.append(.scheme, "http")
            block.append(.authority, "model:9000")
            // Callers vary their paths, and some can't be written at all.
            let query =
                random.next(below: 8) == 0 ? ["?a b", "?\u{7F}", "#"][random.next(below: 3)] : ""
            block.append(
                .path,
                text: random.next(below: 16) == 0
                    ? "*" : "/v1/models/m\(random.next(below: 30)):predict\(query)"
            )
        } else {
            block.append(status: [200, 204, 304, 503][random.next(below: 4)])
        }
        if random.next(below: 2) == 0 { block.append(.connection, "close") }
        block.append(.contentType, "application/json")
        if random.next(below: 4) == 0 {
            block.append(named: "x-request-id", text: "theirs-\(random.next(below: 100))")
            block.remove(at: block.count - 1)
        }
        if random.next(below: 4) > 0 {
            // As callers may write it.
            let zeros = random.next(below: 4) == 0 ? "00" : ""
            block.append(
                .contentLength,
                text: zeros + "\([5, 6, 1234][random.next(below: 3)])",
                isVolatile: random.next(below: 4) > 0
            )
        }
        let ids = ["a", "b", "0123456789abcdef", "", "a\u{1}b", "a\nb"]
        block.append(.requestID, text: ids[random.next(below: ids.count)], isVolatile: true)
        if random.next(below: 8) == 0 { block.append(.authorization, "Bearer x") }
        if random.next(below: 8) == 0 { block.append(.cookie, "a=b") }
        block.append(.via, "1.1 sluice")
    }

    /// What a session of `arena` writes for the head that `seed` makes.
    private func written(_ seed: UInt64, isRequest: Bool, on arena: HTTPArena) -> String {
        var random = RandomSource(seed: seed)
        let endStream = random.next(below: 2) == 0
        let isLast = random.next(below: 4) == 0
        let block = arena.blocks.take()
        fill(block, isRequest: isRequest, &random)
        let test = HTTP1TestSession(isRequest ? .client : .server, arena: arena)
        if !isRequest {
            test.receive(
                "GET / HTTP/1.\(random.next(below: 2))\r\nhost: a\r\nconnection: keep-alive\r\n\r\n"
            )
        }
        if isLast { test.session.closeAfterThisExchange() }
        guard !isLast || !isRequest else {
            // An idle client's connection closes at once.
            arena.blocks.give(block)
            return ""
        }
        if isRequest {
            test.session.sendRequest(block, endStream: endStream)
        } else {
            test.session.sendHead(block, endStream: endStream)
        }
        return test.writtenText()
    }

    @Test("A copy is what would have been written", arguments: [true, false])
    func copies(isRequest: Bool) {
        let arena = HTTPArena()
        var random = RandomSource(seed: 11)
        for _ in 0..<20_000 {
            // Few enough seeds that heads come again.
            let seed = random.next(below: 5) == 0 ? random.next() : UInt64(random.next(below: 40))
            let copied = written(seed, isRequest: isRequest, on: arena)
            #expect(copied == written(seed, isRequest: isRequest, on: HTTPArena()))
        }
        #expect(arena.blocks.liveCount == 0)
    }

    @Test("A value that may not be written is left out of a copy as well")
    func unsoundValue() {
        let arena = HTTPArena()
        for id in ["one", "two", "x\ny", "three", "x\r\nevil: 1", "four"] {
            let block = arena.blocks.take()
            block.append(.method, "GET")
            block.append(.scheme, "http")
            block.append(.authority, "a")
            block.append(.path, "/")
            block.append(.requestID, text: id, isVolatile: true)
            let test = HTTP1TestSession(.client, arena: arena)
            test.session.sendRequest(block, endStream: true)
            let isSound = !id.contains { $0.isNewline }
            #expect(
                test.writtenText() == "GET / HTTP/1.1\r\nhost: a\r\n"
                    + (isSound ? "x-request-id: \(id)\r\n" : "") + "\r\n"
            )
        }
    }
}
