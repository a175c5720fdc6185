import SluiceCore
import SluiceRedis
import SluiceTestKit
import Testing

@Suite("A conversation with a server that lies")
struct RedisFuzzTests {
    static let dictionary = [
        "\r\n", "\n", "$", "*", "+", "-", ":", "$-1\r\n", "*-1\r\n", "*0\r\n", "$0\r\n\r\n",
        "+OK\r\n", "-ERR no\r\n", ":1\r\n", "$9999999999\r\n", "*2147483647\r\n",
        "9223372036854775807",
        "\0", "*2\r\n", "$3\r\n",
    ]

    static func mutate(_ wire: [UInt8], _ random: inout RandomSource) -> [UInt8] {
        var wire = wire
        for _ in 0..<(1 + random.next(below: 4)) where !wire.isEmpty {
            let place = random.next(below: wire.count)
            let end = min(wire.count, place + random.next(below: 24))
            switch random.next(below: 6) {
            case 0: wire[place] = UInt8(truncatingIfNeeded: random.next())
            case 1: wire[place] ^= 1 << UInt8(random.next(below: 8))
            case 2: wire.removeSubrange(place..<end)
            case 3:
                let target = random.next(below: wire.count)
                wire.insert(contentsOf: Array(wire[place..<end]), at: target)
            case 4: wire.removeLast(wire.count - place)
            default:
                let word = dictionary[random.next(below: dictionary.count)]
                wire.insert(contentsOf: Array(word.utf8), at: place)
            }
        }
        return wire
    }

    static func feed(_ test: RedisTestSession, _ wire: [UInt8], _ random: inout RandomSource) {
        var start = 0
        while start < wire.count {
            let count = min(wire.count - start, 1 + random.next(below: 60))
            test.receive(Array(wire[start..<(start + count)]))
            start += count
        }
    }

    /// The tokens the events speak of, each of which must be there once.
    static func tokens(_ events: [RedisEvent]) -> [UInt64] {
        events.compactMap { event in
            switch event {
            case .value(let token), .reply(let token, _), .timedOut(let token), .lost(let token):
                token
            case .ready, .ended: nil
            }
        }
    }

    @Test(
        "Mutated replies never crash it, and every command gets exactly one outcome",
        .tags(.property),
        arguments: 0..<8 as Range<UInt64>
    )
    func mutated(seed: UInt64) {
        var random = RandomSource(seed: seed)
        for round in 0..<Environment.fuzzIterations(otherwise: 1000) {
            let wire = Array(RedisTestSession.answers.joined().utf8)
            let mutant = RedisFuzzTests.mutate(wire, &random)
            let (test, twin) = (RedisTestSession.greeted(), RedisTestSession.greeted())
            test.sendOneOfEach()
            twin.sendOneOfEach()
            RedisFuzzTests.feed(test, mutant, &random)
            twin.receive(mutant)
            #expect(test.events == twin.events, "seed \(seed), round \(round)")
            if random.next(below: 2) == 0 {
                test.session.deadlineReached(at: .distantFuture)
            }
            test.session.connectionEnded()
            test.collect()
            let tokens = RedisFuzzTests.tokens(test.events)
            #expect(tokens.sorted() == Array(1...7), "seed \(seed), round \(round)")
            let ends = test.events.filter { if case .ended = $0 { true } else { false } }
            #expect(ends.count == 1)
        }
    }

    @Test("Random bytes never crash it", .tags(.property), arguments: 0..<4 as Range<UInt64>)
    func garbage(seed: UInt64) {
        var random = RandomSource(seed: seed)
        let alphabet = Array("$*+-:0123456789\r\n".utf8)
        for _ in 0..<Environment.fuzzIterations(otherwise: 1000) {
            let test = RedisTestSession.greeted()
            test.sendOneOfEach()
            let isRESP = random.next(below: 2) == 0
            let bytes = (0..<random.next(below: 400)).map { _ in
                isRESP
                    ? alphabet[random.next(below: alphabet.count)]
                    : UInt8(truncatingIfNeeded: random.next())
            }
            RedisFuzzTests.feed(test, bytes, &random)
            test.session.connectionEnded()
            test.collect()
            #expect(RedisFuzzTests.tokens(test.events).sorted() == Array(1...7))
        }
    }

    @Test(
        "Whatever a mutation does, no key is given another key's answer",
        .tags(.property),
        arguments: 0..<8 as Range<UInt64>
    )
    func mismatched(seed: UInt64) {
        var random = RandomSource(seed: seed)
        let pool = BufferPool()
        let keys = (0..<8).map { Array("sluice:iris:v1:\($0)".utf8) }
        let answers = (0..<8).map { [UInt8](repeating: UInt8($0 + 65), count: 4 + $0 % 3) }
        var wire: [UInt8] = []
        for (index, answer) in answers.enumerated() {
            var stored = ByteBuffer(pool: pool)
            unsafe answer.withUnsafeBytes { answer in
                unsafe StoredValue(form: 1, freshUntilMilliseconds: 5)
                    .appendHeader(key: UInt64(index), answer: answer, to: &stored)
            }
            stored.append(answer)
            wire += Array("$\(stored.count)\r\n".utf8)
            wire += unsafe Array(stored.bytes)
            wire += [13, 10]
        }
        var believed = 0
        for _ in 0..<Environment.fuzzIterations(otherwise: 1000) {
            let test = RedisTestSession.greeted()
            for (index, key) in keys.enumerated() {
                test.get(String(decoding: key, as: UTF8.self), UInt64(index))
            }
            RedisFuzzTests.feed(test, RedisFuzzTests.mutate(wire, &random), &random)
            for event in test.events {
                guard case .reply(let token, .bytes(let value)) = event else { continue }
                let isOurs = unsafe value.withUnsafeBytes {
                    unsafe StoredValue($0, key: token) != nil
                }
                guard isOurs else { continue }
                believed += 1
                #expect(Array(value.dropFirst(32)) == answers[Int(token)])
            }
        }
        #expect(believed > 0)
    }
}
