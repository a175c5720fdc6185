import SluiceCore
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

/// What a server made of a conversation.
private struct Verdict {
    /// The code of its GOAWAY; nil when the connection lives.
    var code: UInt32?
    var reason = ""
    /// Whether it reset a stream for the peer's mistake.
    var hasReset = false

    static func ours(_ bytes: [UInt8]) -> (Verdict, TestSession) {
        let session = TestSession(.server, connectionWindow: 65_535)
        session.receive(bytes)
        let failure = session.failure
        return (
            Verdict(
                code: failure?.code.rawValue,
                reason: failure.map { "\($0.sentence)" } ?? "",
                hasReset: FrameReader.frames(in: session.takeOutput()).contains { $0.type == 3 }
            ),
            session
        )
    }

    static func nghttp2(_ bytes: [UInt8]) -> Verdict {
        let peer = NghttpPeer(.server, settings: [(3, 256), (4, 256 << 10)])
        peer.receive(bytes)
        let frames = FrameReader.frames(in: peer.takeOutput())
        let hasReset = frames.contains { $0.type == 3 }
        for frame in frames where frame.type == 7 {
            return Verdict(
                code: frame.word(4),
                reason: String(decoding: frame.payload[8...], as: UTF8.self),
                hasReset: hasReset
            )
        }
        return Verdict(code: peer.failure == 0 ? nil : UInt32.max, hasReset: hasReset)
    }
}

/// Where one of the two ends the connection and the other doesn't, and why that is well.
private struct Tolerance {
    enum Strict { case ours, nghttp2 }
    var strict: Strict
    /// How the strict one's reason begins.
    var reason: String
    /// What the conversation must hold besides; nil asks nothing.
    var needs: (@Sendable (FrameReader.Frame) -> Bool)?
    /// Whether the lenient one must have reset a stream.
    var needsReset = false
    /// Why both are right.
    var why: String

    func allows(_ ours: Verdict, _ theirs: Verdict, _ frames: [FrameReader.Frame]) -> Bool {
        let verdict = strict == .ours ? ours : theirs
        guard verdict.code != nil, verdict.reason.hasPrefix(reason) else { return false }
        let lenient = strict == .ours ? theirs : ours
        if needsReset && !lenient.hasReset { return false }
        return needs.map { frames.contains(where: $0) } ?? true
    }

    static let all: [Tolerance] = [
        .init(
            strict: .ours,
            reason: "a stream below one opened before",
            why: "RFC 9113 §5.1.1 demands PROTOCOL_ERROR; nghttp2 ignores the frame"
        ),
        .init(
            strict: .ours,
            reason: "HEADERS on a closed stream",
            why: "§5.1 allows STREAM_CLOSED for what is not a race; nghttp2 ignores the frame"
        ),
        .init(
            strict: .ours,
            reason: "padding longer than its frame",
            why: "§6.1 makes no exception for closed streams, whose DATA nghttp2 skips unread"
        ),
        .init(
            strict: .ours,
            reason: "a padded frame without a pad length",
            why: "the same"
        ),
        .init(
            strict: .ours,
            reason: "HEADERS after the stream's end",
            needsReset: true,
            why: "nghttp2 has reset it for its path or authority, which we check above the session"
        ),
        .init(
            strict: .ours,
            reason: "SETTINGS_",
            needs: { $0.type == 4 && $0.payload.count >= 12 },
            why: "§6.5.3 applies each value in order; nghttp2 looks at the last of one kind only"
        ),
        .init(
            strict: .ours,
            reason: "a frame longer than SETTINGS_MAX_FRAME_SIZE",
            needs: { $0.type == 1 && $0.flags & RawFrame.endHeaders == 0 },
            why: "§4.2 makes no exception for CONTINUATION, whose length nghttp2 doesn't check"
        ),
        .init(
            strict: .nghttp2,
            reason: "SETTINGS: unexpected ACK",
            why: "the RFC is silent; ours counts it as a frame without work"
        ),
        .init(
            strict: .nghttp2,
            reason: "SETTINGS: too many setting entries",
            why: "nghttp2 stops at 32; ours walks the streams once a frame, so needs no limit"
        ),
        .init(
            strict: .nghttp2,
            reason: "DATA: stream in half-closed(remote)",
            why: "§5.1 asks for a stream error, which is what ours sends"
        ),
        .init(
            strict: .nghttp2,
            reason: "HEADERS: stream closed",
            needsReset: true,
            why: "§5.1: ours has reset that stream for a malformed head and ignores the rest"
        ),
        .init(
            strict: .nghttp2,
            reason: "SETTINGS: SETTINGS_NO_RFC7540_PRIORITIES",
            why: "RFC 9218 §2.1 is not ours to enforce; we ignore priorities"
        ),
        .init(
            strict: .nghttp2,
            reason: "SETTINGS: invalid SETTINGS_NO_RFC7540_PRIORITIES",
            why: "the same"
        ),
        .init(
            strict: .nghttp2,
            reason: "SETTINGS: invalid SETTINGS_ENABLE_CONNECT_PROTOCOL",
            why: "RFC 8441 is an extension we don't speak; unknown settings are ignored"
        ),
        .init(
            strict: .nghttp2,
            reason: "DATA: stream closed",
            why: "§5.1 allows either; ours resets the stream and counts it"
        ),
        .init(
            strict: .nghttp2,
            reason: "depend on itself",
            why: "§5.3 drops priorities; RFC 7540 §5.3.1 asks for a stream error as ours sends"
        ),
        .init(
            strict: .nghttp2,
            reason: "GOAWAY: invalid last_stream_id",
            why: "a server pushes nothing, so the number means nothing to it"
        ),
        .init(
            strict: .nghttp2,
            reason: "WINDOW_UPDATE: window_size_increment == 0",
            needs: { $0.type == 8 && $0.stream != 0 },
            why: "§6.9 asks for a stream error on a stream, as ours sends"
        ),
        .init(
            strict: .nghttp2,
            reason: "",
            needs: { $0.type == 2 && $0.payload.count != 5 },
            why: "§6.3 asks for a stream error, as ours sends"
        ),
    ]
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
            let (ours, session) = Verdict.ours(bytes)
            let theirs = Verdict.nghttp2(bytes)
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
            if !Tolerance.all.contains(where: { $0.allows(ours, theirs, frames) }) {
                let sides = "ours: \(ours.reason), nghttp2: \(theirs.code ?? 0) \(theirs.reason)"
                Issue.record("seed \(iteration): \(sides) \(frames)")
            }
        }
        // The conversations are worth having: a good part of them goes wrong, and a part does not.
        #expect(ended > iterations / 10)
        #expect(ended < iterations * 9 / 10)
    }
}
