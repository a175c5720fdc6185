import SluiceCore
import SluiceHTTP
import Testing

@Suite("HTTP/1.1 sessions under mutated input")
struct HTTP1FuzzTests {
    /// Pieces that parsers have stumbled over.
    static let dictionary: [String] = [
        "\r\n", "\n", "\r", "\0", " ", "\t", ":", ",", ";", "0\r\n\r\n", "\r\n\r\n", "chunked",
        "Transfer-Encoding: chunked\r\n", "Content-Length: 3\r\n", "Connection: close\r\n",
        "Connection: x\r\n", "Expect: 100-continue\r\n", "HTTP/1.0", "HTTP/1.1 200 OK\r\n",
        "HTTP/1.1 100 Continue\r\n\r\n", "GET / HTTP/1.1\r\nHost: a\r\n\r\n", "FFFFFFFFFFFFFFFF",
        "7FFFFFFFFFFFFFFF", "9223372036854775807", "Host: a\r\n", "TE: trailers\r\n", "\u{7f}",
    ]

    static func mutate(_ wire: [UInt8], _ random: inout RandomSource) -> [UInt8] {
        var wire = wire
        for _ in 0..<(1 + random.next(below: 4)) where !wire.isEmpty {
            let place = random.next(below: wire.count)
            switch random.next(below: 6) {
            case 0: wire[place] = UInt8(truncatingIfNeeded: random.next())
            case 1: wire[place] ^= 1 << UInt8(random.next(below: 8))
            case 2: wire.remove(at: place)
            case 3:
                let end = min(wire.count, place + random.next(below: 20))
                wire.insert(
                    contentsOf: Array(wire[place..<end]),
                    at: random.next(below: wire.count)
                )
            case 4: wire.removeSubrange(place..<min(wire.count, place + random.next(below: 20)))
            default:
                let word = dictionary[random.next(below: dictionary.count)]
                wire.insert(contentsOf: Array(word.utf8), at: place)
            }
        }
        return wire
    }

    /// Feeds `wire` in random pieces, then perhaps the end.
    static func feed(_ test: HTTP1TestSession, _ wire: [UInt8], _ random: inout RandomSource) {
        var start = 0
        while start < wire.count {
            let count = min(wire.count - start, 1 + random.next(below: 80))
            test.receive(Array(wire[start..<(start + count)]))
            start += count
        }
        if random.next(below: 2) == 0 { test.receiveEnd() }
    }

    @Test("Whatever a client sends, a server neither crashes nor loses a block", arguments: 0..<10)
    func requests(seed: UInt64) {
        var random = RandomSource(seed: seed)
        for round in 0..<1000 {
            let exchanges = HTTP1RequestTests.exchanges
            let wire = Array(exchanges[random.next(below: exchanges.count)].wire.utf8)
            let mutant = HTTP1FuzzTests.mutate(wire, &random)
            var fragments = random
            let (test, twin) = (HTTP1TestSession.answering(), HTTP1TestSession.answering())
            HTTP1FuzzTests.feed(test, mutant, &fragments)
            twin.receive(mutant)
            let (heard, whole) = (test.heard, twin.heard)
            // Apart from how the connection ended, the cuts change nothing.
            #expect(heard.starts(with: whole), "seed \(seed), round \(round): \(mutant)")
            check(test, "seed \(seed), round \(round): \(mutant)")
            random = fragments
        }
    }

    @Test("Whatever a server sends, a client neither crashes nor loses a block", arguments: 0..<10)
    func responses(seed: UInt64) {
        var random = RandomSource(seed: 1000 + seed)
        for round in 0..<1000 {
            let answers = HTTP1ResponseTests.answers
            let answer = answers[random.next(below: answers.count)]
            let mutant = HTTP1FuzzTests.mutate(Array(answer.wire.utf8), &random)
            let test = HTTP1TestSession.asking(answer.methods)
            HTTP1FuzzTests.feed(test, mutant, &random)
            check(test, "seed \(seed), round \(round): \(mutant)")
        }
    }

    /// A head under way may hold one block; the session must give it back at its own end.
    private func check(_ test: HTTP1TestSession, _ comment: String) {
        let arena = test.arena
        #expect(arena.blocks.liveCount <= 1, Comment(rawValue: comment))
        test.session = HTTP1Session(role: test.role, arena: arena)
        #expect(arena.blocks.liveCount == 0, Comment(rawValue: comment))
    }
}
