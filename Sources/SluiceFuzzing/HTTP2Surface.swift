// HTTP/2: [flags][cuts][frames]
//
// Flags: 1 we are the client, 2 frames are as they are on the wire, 4 nghttp2 says what it thinks,
// 8 we answer, 16 with a body that doesn't fit a window, 32 as the cache does (``HTTP2Answer``), by the
// names of the blocks where the session takes that: which must come to the very bytes of the long way.
//
// Without flag 2 each frame is [type][flags][stream][length][payload], so that most inputs have
// whole frames of streams that exist: type 16 and up takes a header block from a short list.
//
// Cutting must change nothing, no stream may be spoken of that isn't there, every block and stream
// must come back; and where one of the two servers ends the connection, so must the other, but for
// what the table of ``HTTP2Tolerance`` excuses.
import SluiceCore
import SluiceHTTP
import SluiceTestKit

enum HTTP2Surface {
    static func check(_ bytes: UnsafeRawBufferPointer) throws(Finding) {
        guard bytes.count > 2 else { return }
        let flags = unsafe bytes[0]
        let isClient = flags & 1 != 0
        let isRaw = flags & 2 != 0
        var wire = isClient ? HTTP2Script.settings : HTTP2Script.opening
        if isRaw {
            unsafe wire += bytes.after(2)
        } else {
            unsafe HTTP2Script.write(bytes.after(2), to: &wire)
        }
        let seed = unsafe bytes[1]
        let whole = Listener(flags)
        unsafe wire.withUnsafeBytes { unsafe whole.receive($0) }
        let cut = Listener(flags)
        cut.receive(wire, seed: seed)
        if !isClient, flags & 40 == 40 {
            let (longWhole, longCut) = (
                Listener(flags, repeats: false), Listener(flags, repeats: false)
            )
            unsafe wire.withUnsafeBytes { unsafe longWhole.receive($0) }
            longCut.receive(wire, seed: seed)
            for (short, long) in [(whole, longWhole), (cut, longCut)] {
                try expect(short.output == long.output, "the short way comes to other bytes")
                try expect(long.end() == 0, "blocks and streams were lost on the long way")
                try HTTP2Answer.check(short.output, mayBeLarge: flags & 16 != 0)
            }
        }
        for one in [whole, cut] {
            if let finding = one.finding { throw Finding(finding) }
            try expect(
                one.outputCount <= (400 << 10) + 64 * wire.count,
                "\(one.outputCount) bytes of output"
            )
        }
        // Whether an answer that may have to wait for a window has left by the time the peer makes a
        // mistake depends on the cuts, and with it what kind of mistake that is.
        try expect(
            flags & 8 != 0 && flags & 48 != 0 || whole.transcript == cut.transcript,
            "cut: \(cut.transcript.text), whole: \(whole.transcript.text)"
        )
        if flags & 4 != 0, !isClient, flags & 8 == 0 { try agree(whole, wire) }
        for one in [whole, cut] {
            let left = one.end()
            try expect(left == 0, "\(left) blocks and streams were lost")
        }
    }

    private static func agree(_ ours: Listener, _ wire: [UInt8]) throws(Finding) {
        // nghttp2 judges a frame by its header, and a head as it comes; ours when it is whole.
        let frames = FrameReader.frames(in: wire)
        let length = frames.reduce(HTTP2Script.prefaceCount) { $0 + 9 + $1.payload.count }
        guard length == wire.count else { return }
        if let last = frames.last, last.type == 1 || last.type == 9, last.flags & 4 == 0 { return }
        let verdict = HTTP2Verdict(
            code: ours.failure?.code.rawValue,
            reason: ours.failure.map { "\($0.sentence)" } ?? "",
            hasReset: FrameReader.frames(in: ours.output).contains { $0.type == 3 }
        )
        let theirs = HTTP2Verdict.nghttp2(wire)
        guard (verdict.code == nil) != (theirs.code == nil) else { return }
        // nghttp2 allows eight CONTINUATION frames; ours counts their bytes.
        if theirs.code == .max, frames.count(where: { $0.type == 9 }) > 8 { return }
        try expect(
            HTTP2Tolerance.allows(verdict, theirs, frames),
            "ours: \(verdict.reason), nghttp2: \(theirs.code ?? 0) \(theirs.reason): \(frames)"
        )
    }

    /// A session with an owner that keeps books.
    @safe
    final class Listener {
        private let arena = HTTPArena()
        private let role: HTTP2Session.Role
        private let answer: [UInt8]?
        /// Whether answers are the cache's, with some that are large or without; nil: they aren't.
        private let cached: (mayBeLarge: Bool, repeats: Bool)?
        private var session: HTTP2Session?
        private(set) var transcript = Transcript()
        private(set) var failure: HTTP2Failure?
        private(set) var finding: String?
        private var streams: [UInt32: HTTP2Stream] = [:]
        private var answered: Set<UInt32> = []

        init(_ flags: UInt8, repeats: Bool = true) {
            role = flags & 1 != 0 ? .client : .server
            cached = flags & 32 == 0 ? nil : (flags & 16 != 0, repeats)
            answer = flags & 8 == 0 ? nil : flags & 16 == 0 ? [1, 2, 3] : HTTP2Script.large
            session = HTTP2Session(role: role, arena: arena, connectionWindow: 65_535)
            if role == .client { for _ in 0..<3 { ask() } }
        }

        private func ask() {
            let block = arena.blocks.take()
            block.append(named: ":method", text: "GET")
            block.append(named: ":scheme", text: "http")
            block.append(named: ":authority", text: "a.example")
            block.append(named: ":path", text: "/")
            let made = unsafe session?.openStream(block, endStream: true, context: nil)
            if let stream = made ?? nil { streams[stream.id] = stream }
        }

        var outputCount: Int { session?.output.count ?? 0 }
        var output: [UInt8] { unsafe (session?.output.bytes).map { unsafe Array($0) } ?? [] }

        func receive(_ bytes: UnsafeRawBufferPointer) {
            unsafe session?.receive(bytes, at: 0)
            do throws(HTTP2Failure) {
                while let event = try session?.nextEvent() ?? nil { take(event) }
            } catch {
                if failure != nil { finding = "failed twice: \(error.sentence)" }
                failure = error
                transcript.note("!", error.code.rawValue)
            }
        }

        /// Takes bytes in the pieces that follow from `seed`.
        func receive(_ wire: [UInt8], seed: UInt8) {
            var fragments = Fragments(seed: seed)
            var start = 0
            while start < wire.count {
                let end = start + fragments.next(of: wire.count - start)
                unsafe wire[start..<end].withUnsafeBytes { unsafe receive($0) }
                start = end
            }
        }

        /// Gives everything back; returns what is missing.
        func end() -> Int {
            session = nil
            return arena.blocks.liveCount + arena.openStreamCount
        }

        private func take(_ event: HTTP2Event) {
            switch event {
            case .head(let stream, let block, let end):
                if role == .server, streams[stream.id] != nil {
                    finding = "a second head of stream \(stream.id)"
                }
                streams[stream.id] = stream
                head("h", stream, block)
                finish(stream, end)
            case .oversizedHead(let stream, let block, let end):
                streams[stream.id] = stream
                head("o", stream, block)
                finish(stream, end)
            case .interim(let stream, let block):
                known(stream)
                head("i", stream, block)
            case .data(let stream, let bytes, let end):
                known(stream)
                unsafe transcript.fragment(bytes, of: stream.id)
                session?.consumed(bytes.count, by: stream)
                finish(stream, end)
            case .trailers(let stream, let block):
                known(stream)
                head("t", stream, block)
                finish(stream, true)
            case .reset(let stream, let code):
                known(stream)
                streams[stream.id] = nil
                // Whether an answer has left whole by then depends on when its window opened.
                guard !answered.contains(stream.id) else { return }
                transcript.note("r", stream.id)
                transcript.note("c", code.rawValue)
            case .drained(let stream, _):
                known(stream)
                forgetIfOver(stream)
            case .goAway(let last, let code):
                transcript.note("g", last)
                transcript.note("c", code.rawValue)
            case .settings: transcript.note("s")
            }
        }

        private func head(_ kind: Unicode.Scalar, _ stream: HTTP2Stream, _ block: FieldBlock) {
            transcript.note(kind, stream.id)
            transcript.add(block)
            arena.blocks.give(block)
        }

        private func known(_ stream: HTTP2Stream) {
            if streams[stream.id] != stream { finding = "a stream nobody knows: \(stream.id)" }
        }

        private func forgetIfOver(_ stream: HTTP2Stream) {
            if stream.isLocalClosed, stream.isRemoteClosed { streams[stream.id] = nil }
        }

        private func finish(_ stream: HTTP2Stream, _ end: Bool) {
            guard end else { return }
            transcript.note("e", stream.id)
            if !stream.isRemoteClosed { finding = "stream \(stream.id) has ended and is open" }
            if role == .server, let answer, !stream.isLocalClosed {
                answered.insert(stream.id)
                if let cached {
                    let answer = HTTP2Answer(on: stream.id, mayBeLarge: cached.mayBeLarge)
                    if !cached.repeats || !answer.sendRepeated(over: &session, on: stream) {
                        answer.send(over: &session, on: stream, arena.blocks)
                    }
                    forgetIfOver(stream)
                    return
                }
                let block = arena.blocks.take()
                block.append(named: ":status", text: "200")
                session?.sendHead(block, endStream: false, on: stream)
                _ = unsafe answer.withUnsafeBytes {
                    unsafe session?.send($0, endStream: true, on: stream)
                }
            }
            forgetIfOver(stream)
        }
    }
}

/// Frames in few bytes.
enum HTTP2Script {
    private static let preface = Array("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".utf8)
    static let prefaceCount = preface.count
    static let settings: [UInt8] = [0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 4, 1, 0, 0, 0, 0]
    static let opening = preface + settings
    /// More than the first window of a stream.
    static let large = [UInt8](repeating: 7, count: 70_000)

    private static let request: [UInt8] = [0x82, 0x86, 0x84, 0x41, 0x01, 0x61]
    private static let blocks: [[UInt8]] = [
        request, [0x83] + request[1...],
        [0x83] + request[1...] + literal("content-length", "3"),
        literal("x-trailer", "1"), [0x88], literal(":status", "100"),
        [0x88] + literal("content-length", "4"), [0x20] + request, [0x3F, 0xE1, 0x1F] + request,
        request + [0xBE], [0x40, 1, 0x61, 1, 0x62] + request, literal("te", "trailers"),
        request + literal("te", "trailers"), request + literal("connection", "close"),
        request + literal("cookie", "a=b") + literal("cookie", "c=d"), [0x90],
    ]

    private static func literal(_ name: String, _ value: String) -> [UInt8] {
        [0, UInt8(name.utf8.count)] + Array(name.utf8) + [UInt8(value.utf8.count)]
            + Array(value.utf8)
    }

    /// Writes the frames that `script` describes.
    static func write(_ script: UnsafeRawBufferPointer, to wire: inout [UInt8]) {
        var index = 0
        while index + 4 <= script.count {
            let (type, flags) = unsafe (script[index], script[index + 1])
            let (stream, length) = unsafe (script[index + 2], Int(script[index + 3]))
            index += 4
            var payload: [UInt8]
            if type >= 16 {
                payload = blocks[length % blocks.count]
            } else {
                // What is missing at the end is zeros: the last frame is whole, too.
                let end = min(script.count, index + length)
                payload = unsafe Array(script[index..<end])
                payload += [UInt8](repeating: 0, count: length - payload.count)
                index = end
            }
            wire += [0, 0, UInt8(payload.count), type >= 16 ? 1 + 8 * (type & 1) : type, flags]
            // Stream 255 is one whose first bit is set, which means nothing (§4.1).
            wire += stream == 255 ? [0x80, 0, 0, 1] : [0, 0, 0, stream]
            wire += payload
        }
    }
}
