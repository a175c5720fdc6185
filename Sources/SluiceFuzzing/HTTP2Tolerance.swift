package import SluiceTestKit

/// What a server made of a conversation.
package struct HTTP2Verdict {
    /// The code of its GOAWAY; nil when the connection lives.
    package var code: UInt32?
    /// Why, in its own words.
    package var reason = ""
    /// Whether it reset a stream for the peer's mistake.
    package var hasReset = false

    /// A verdict.
    package init(code: UInt32?, reason: String = "", hasReset: Bool = false) {
        self.code = code
        self.reason = reason
        self.hasReset = hasReset
    }

    /// The verdict of nghttp2's server.
    package static func nghttp2(_ bytes: [UInt8]) -> HTTP2Verdict {
        let peer = NghttpPeer(.server, settings: [(3, 256), (4, 256 << 10)])
        peer.receive(bytes)
        let frames = FrameReader.frames(in: peer.takeOutput())
        let hasReset = frames.contains { $0.type == 3 }
        for frame in frames where frame.type == 7 {
            return HTTP2Verdict(
                code: frame.word(4),
                reason: String(decoding: frame.payload[8...], as: UTF8.self),
                hasReset: hasReset
            )
        }
        return HTTP2Verdict(code: peer.failure == 0 ? nil : UInt32.max, hasReset: hasReset)
    }
}

/// Where one of the two ends the connection and the other doesn't, and why that is well.
package struct HTTP2Tolerance {
    private enum Strict { case ours, nghttp2 }
    private var strict: Strict
    /// How the strict one's reason begins.
    private var reason: String
    /// What the conversation must hold besides; nil asks nothing.
    private var needs: (@Sendable (FrameReader.Frame) -> Bool)?
    /// Whether the lenient one must have reset a stream.
    private var needsReset = false
    /// Why both are right.
    private var cause: String

    private func allows(
        _ ours: HTTP2Verdict,
        _ theirs: HTTP2Verdict,
        _ frames: [FrameReader.Frame]
    ) -> Bool {
        let verdict = strict == .ours ? ours : theirs
        guard verdict.code != nil, verdict.reason.hasPrefix(reason) else { return false }
        let lenient = strict == .ours ? theirs : ours
        if needsReset && !lenient.hasReset { return false }
        return needs.map { frames.contains(where: $0) } ?? true
    }

    /// Whether the table excuses that one of the two ended the connection and the other didn't.
    package static func allows(
        _ ours: HTTP2Verdict,
        _ theirs: HTTP2Verdict,
        _ frames: [FrameReader.Frame]
    ) -> Bool {
        all.contains { $0.allows(ours, theirs, frames) }
    }

    private static let all: [HTTP2Tolerance] = [
        .init(
            strict: .ours,
            reason: "a stream below one opened before",
            cause: "RFC 9113 §5.1.1 demands PROTOCOL_ERROR; nghttp2 ignores the frame"
        ),
        .init(
            strict: .ours,
            reason: "HEADERS on a closed stream",
            cause: "§5.1 allows STREAM_CLOSED for what is not a race; nghttp2 ignores the frame"
        ),
        .init(
            strict: .ours,
            reason: "padding longer than its frame",
            cause: "§6.1 makes no exception for closed streams, whose DATA nghttp2 skips unread"
        ),
        .init(
            strict: .ours,
            reason: "a padded frame without a pad length",
            cause: "the same"
        ),
        .init(
            strict: .ours,
            reason: "HEADERS after the stream's end",
            needsReset: true,
            cause:
                "nghttp2 has reset it for its path or authority, which we check above the session"
        ),
        .init(
            strict: .ours,
            reason: "SETTINGS_",
            needs: { $0.type == 4 && $0.payload.count >= 12 },
            cause: "§6.5.3 applies each value in order; nghttp2 looks at the last of one kind only"
        ),
        .init(
            strict: .ours,
            reason: "a frame longer than SETTINGS_MAX_FRAME_SIZE",
            needs: { $0.type == 1 && $0.flags & 4 == 0 },
            cause: "§4.2 makes no exception for CONTINUATION, whose length nghttp2 doesn't check"
        ),
        .init(
            strict: .ours,
            reason: "a window above 2^31-1",
            needs: { $0.type == 4 && $0.payload.count >= 6 },
            cause:
                "§6.9.2 asks for a connection error where SETTINGS do it; nghttp2 resets the stream"
        ),
        .init(
            strict: .nghttp2,
            reason: "SETTINGS: unexpected ACK",
            cause: "the RFC is silent; ours counts it as a frame without work"
        ),
        .init(
            strict: .nghttp2,
            reason: "SETTINGS: too many setting entries",
            cause: "nghttp2 stops at 32; ours walks the streams once a frame, so needs no limit"
        ),
        .init(
            strict: .nghttp2,
            reason: "DATA: stream in half-closed(remote)",
            cause: "§5.1 asks for a stream error, which is what ours sends"
        ),
        .init(
            strict: .nghttp2,
            reason: "HEADERS: stream closed",
            needsReset: true,
            cause: "§5.1: ours has reset that stream for a malformed head and ignores the rest"
        ),
        .init(
            strict: .nghttp2,
            reason: "SETTINGS: SETTINGS_NO_RFC7540_PRIORITIES",
            cause: "RFC 9218 §2.1 is not ours to enforce; we ignore priorities"
        ),
        .init(
            strict: .nghttp2,
            reason: "SETTINGS: invalid SETTINGS_NO_RFC7540_PRIORITIES",
            cause: "the same"
        ),
        .init(
            strict: .nghttp2,
            reason: "SETTINGS: invalid SETTINGS_ENABLE_CONNECT_PROTOCOL",
            cause: "RFC 8441 is an extension we don't speak; unknown settings are ignored"
        ),
        .init(
            strict: .nghttp2,
            reason: "DATA: stream closed",
            cause: "§5.1 allows either; ours resets the stream and counts it"
        ),
        .init(
            strict: .nghttp2,
            reason: "depend on itself",
            cause: "§5.3 drops priorities; RFC 7540 §5.3.1 asks for a stream error as ours sends"
        ),
        .init(
            strict: .nghttp2,
            reason: "request HEADERS: depend on itself",
            cause: "the same"
        ),
        .init(
            strict: .nghttp2,
            reason: "HEADERS: depend on itself",
            cause: "the same"
        ),
        .init(
            strict: .nghttp2,
            reason: "GOAWAY: invalid last_stream_id",
            cause: "a server pushes nothing, so the number means nothing to it"
        ),
        .init(
            strict: .nghttp2,
            reason: "WINDOW_UPDATE: window_size_increment == 0",
            needs: { $0.type == 8 && $0.stream != 0 },
            cause: "§6.9 asks for a stream error on a stream, as ours sends"
        ),
        .init(
            strict: .nghttp2,
            reason: "",
            needs: { $0.type == 2 && $0.payload.count != 5 },
            cause: "§6.3 asks for a stream error, as ours sends"
        ),
    ]
}
