import SluiceCore
import SluiceFuzzing
import SluiceHTTP
import SluiceTestKit
import Testing

/// Frames that are mostly right, so that the wrong ones get somewhere.
private struct FrameWriter {
    var random: RandomSource
    private var opened: [UInt32] = []

    init(seed: UInt64) { random = RandomSource(seed: seed) }

    mutating func pick<Element>(_ elements: [Element]) -> Element {
        elements[random.next(below: elements.count)]
    }

    mutating func chance(_ one: Int, in many: Int) -> Bool { random.next(below: many) < one }

    mutating func bytes(_ count: Int) -> [UInt8] {
        (0..<count).map { _ in UInt8(truncatingIfNeeded: random.next()) }
    }

    /// Mostly a stream that has been opened.
    mutating func stream() -> UInt32 {
        opened.isEmpty || chance(1, in: 12) ? pick([0, 1, 2, 3, 5, 9]) : pick(opened)
    }

    /// Mostly the next stream.
    mutating func newStream() -> UInt32 {
        guard chance(5, in: 6) else { return stream() }
        opened.append(
            (opened.last ?? 0) + (chance(1, in: 10) ? 1 : 0) * 4 + (opened.isEmpty ? 1 : 2)
        )
        return opened[opened.count - 1]
    }

    mutating func flags(_ usual: UInt8) -> UInt8 {
        chance(1, in: 20) ? UInt8(truncatingIfNeeded: random.next()) : usual
    }

    mutating func block() -> [UInt8] {
        switch random.next(below: 8) {
        case 0: chance(1, in: 4) ? bytes(random.next(below: 30)) : HandHPACK.get
        case 1: HandHPACK.request("POST", [("content-length", "\(random.next(below: 4))")])
        case 2: HandHPACK.literal("x-trailer", "1")
        case 3: [0x82, 0x86, 0x84, 0x41, 0x01, 0x61] + pick([[], [], [], [0x20], [0xBE], [0x90]])
        case 4: pick([[0x20], [0x3F, 0xE1, 0x1F], [0x20, 0x3F, 0x80, 0x1F], []]) + HandHPACK.get
        default: pick([HandHPACK.get, HandHPACK.post])
        }
    }

    mutating func frame() -> RawFrame {
        let id = stream()
        switch random.next(below: 20) {
        case 0..<5:
            return .headers(newStream(), block(), flags: flags(pick([4, 4, 4, 5, 5, 5, 0])))
        case 5..<9:
            let count = pick([0, 1, 2, 3, 100])
            return .data(id, bytes(count), flags: flags(pick([0, 0, 0, 1, 8])))
        case 9: return .continuation(id, block(), flags: flags(4))
        case 10: return .priority(id, on: stream())
        case 11: return .reset(id, UInt32(random.next(below: 20)))
        case 12, 13:
            let values: [UInt32] = [0, 1, 100, 16_384, 20_000, 16_384, 1 << 24, 1 << 31]
            let entry = (UInt16(random.next(below: 8)), pick(values))
            return pick([
                .settings([entry]), .settings([entry, entry]), .settings(),
                .settingsAcknowledgement,
            ])
        case 14:
            return RawFrame(
                type: 6,
                flags: flags(pick([0, 1])),
                stream: pick([0, 0, 0, id]),
                bytes(pick([8, 8, 8, 8, 8, 7]))
            )
        case 15: return .goAway(last: pick([0, 0, 2, 4]), UInt32(random.next(below: 15)))
        case 16, 17: return .windowUpdate(pick([0, id]), pick([1, 1, 1000, 0, 0x7FFF_FFFF]))
        case 18: return RawFrame(type: UInt8(5 + random.next(below: 250)), stream: id, bytes(3))
        default:
            guard chance(1, in: 4) else { return .ping() }
            return RawFrame(
                type: UInt8(random.next(below: 10)),
                flags: flags(0),
                stream: id,
                bytes(random.next(below: 12))
            )
        }
    }

    /// A conversation after the preface, whose last frame is whole.
    mutating func conversation() -> [UInt8] {
        var bytes = (0...random.next(below: 12)).flatMap { _ in frame().bytes }
        if chance(1, in: 4) {
            for _ in 0...random.next(below: 3) {
                let place = random.next(below: bytes.count)
                bytes[place] =
                    chance(1, in: 2)
                    ? UInt8(truncatingIfNeeded: random.next())
                    : bytes[place] ^ (1 << UInt8(random.next(below: 8)))
            }
        }
        var start = 0
        while start + 9 <= bytes.count {
            let length =
                Int(bytes[start]) << 16 | Int(bytes[start + 1]) << 8 | Int(bytes[start + 2])
            // Both refuse it by its header alone.
            if length > 16_384 { return bytes }
            let end = start + 9 + length
            if end > bytes.count { bytes += [UInt8](repeating: 0, count: end - bytes.count) }
            start = end
        }
        return Array(bytes.prefix(start))
    }
}

extension HTTP2Verdict {
    fileprivate static func ours(_ bytes: [UInt8]) -> (HTTP2Verdict, TestSession) {
        let session = TestSession(.server, connectionWindow: 65_535)
        session.receive(bytes)
        let failure = session.failure
        return (
            HTTP2Verdict(
                code: failure?.code.rawValue,
                reason: failure.map { "\($0.sentence)" } ?? "",
                hasReset: FrameReader.frames(in: session.takeOutput()).contains { $0.type == 3 }
            ),
            session
        )
    }
}

@Suite("HTTP/2, ours and nghttp2 side by side")
struct HTTP2DifferentialTests {
    @Test("Both servers end the same connections", .timeLimit(.minutes(10)))
    func agree() {
        let iterations = Environment.fuzzIterations(otherwise: 20_000)
        let opening = [RawFrame.preface, .settings(), .settingsAcknowledgement].flatMap(\.bytes)
        var ended = 0
        for iteration in 0..<iterations {
            var writer = FrameWriter(seed: UInt64(iteration))
            let bytes = opening + writer.conversation()
            let (ours, session) = HTTP2Verdict.ours(bytes)
            let theirs = HTTP2Verdict.nghttp2(bytes)
            if ours.code != nil { ended += 1 }
            #expect(session.violations == [])
            guard (ours.code == nil) != (theirs.code == nil) else { continue }
            let frames = FrameReader.frames(in: bytes)
            // Ours reads a header block once it is whole; nghttp2 reads it as it comes.
            if ours.code == nil, let last = frames.last, [1, 9].contains(last.type),
                last.flags & 4 == 0
            {
                continue
            }
            if !HTTP2Tolerance.allows(ours, theirs, frames) {
                let sides = "ours: \(ours.reason), nghttp2: \(theirs.code ?? 0) \(theirs.reason)"
                Issue.record("seed \(iteration): \(sides) \(frames)")
            }
        }
        // The conversations are worth having: a good part of them goes wrong, and a part does not.
        #expect(ended > iterations / 10)
        #expect(ended < iterations * 9 / 10)
    }
}
