import SluiceHTTP
import SluiceTestKit

private typealias HPACK = HandHPACK
private let open = RawFrame.headers(1, HPACK.post, flags: RawFrame.endHeaders)
private let done = RawFrame.headers(1)
private let large = [UInt8](repeating: 0, count: 16_385)

extension ConformanceCase {
    /// The whole table, in the order of the document.
    static var all: [ConformanceCase] {
        section3 + section4 + section5 + section6 + section6Connection + section8 + clients
    }

    private static let section3: [ConformanceCase] = [
        .init(
            bare: "3.4",
            "another preface",
            .connection(.protocolError),
            RawFrame(Array("PRI * HTTP/2.0\r\n\r\nSM\r\n\rX".utf8))
        ),
        .init(
            bare: "3.4",
            "HTTP/1.1 instead",
            .connection(.protocolError),
            RawFrame(Array("GET / HTTP/1.1\r\n\r\n".utf8))
        ),
        .init(
            bare: "3.4",
            "the first frame is not SETTINGS",
            .connection(.protocolError),
            .preface,
            .ping()
        ),
        .init(
            bare: "3.4",
            "the first frame is an acknowledgement",
            .connection(.protocolError),
            .preface,
            .settingsAcknowledgement
        ),
        .init(bare: "3.4", "empty SETTINGS suffice", .accepted, .preface, .settings()),
    ]

    private static let section4: [ConformanceCase] = [
        .init("4.1", "an unknown type is ignored", .accepted, RawFrame(type: 0x16, stream: 0, [1])),
        .init(
            "4.1",
            "an unknown type on a stream is ignored",
            .accepted,
            open,
            RawFrame(type: 0xFF, flags: 0xFF, stream: 1, [1, 2, 3])
        ),
        .init(
            "4.1",
            "undefined flags are ignored",
            .accepted,
            RawFrame(type: 6, flags: 0x16, stream: 0, [UInt8](repeating: 0, count: 8))
        ),
        .init(
            "4.1",
            "the reserved bit is ignored",
            .accepted,
            RawFrame(type: 6, stream: 0x8000_0000, [UInt8](repeating: 0, count: 8))
        ),
        .init(
            "4.2",
            "a DATA frame of 2^14 octets",
            .accepted,
            open,
            .data(1, Array(large.dropLast()))
        ),
        .init(
            "4.2",
            "a DATA frame above the limit",
            .connection(.frameSizeError),
            open,
            .data(1, large)
        ),
        .init("4.2", "HEADERS above the limit", .connection(.frameSizeError), .headers(1, large)),
        .init(
            "4.2",
            "an unknown frame above the limit",
            .connection(.frameSizeError),
            RawFrame(type: 0x20, stream: 0, large)
        ),
        .init(
            "4.3",
            "a header block that does not decode",
            .connection(.compressionError),
            .headers(1, [0x00, 0x85, 0xF2, 0xB2, 0x4A, 0x84, 0xFF, 0x84, 0x49, 0x50, 0x9F, 0xFF])
        ),
        .init(
            "4.3",
            "an index beyond the table",
            .connection(.compressionError),
            .headers(1, [0xFF, 0x80, 0x01])
        ),
        .init(
            "4.3",
            "index zero",
            .connection(.compressionError),
            .headers(1, [0x80])
        ),
        .init(
            "4.3",
            "a block that stops within a field",
            .connection(.compressionError),
            .headers(1, Array(HPACK.get.dropLast(3)))
        ),
        .init(
            "4.3",
            "a table size update above our limit",
            .connection(.compressionError),
            .headers(1, [0x3F, 0xE2, 0x1F] + HPACK.get)
        ),
        .init(
            "4.3",
            "a table size update after a field",
            .connection(.compressionError),
            .headers(1, HPACK.get + [0x20])
        ),
        .init(
            "4.3",
            "PRIORITY within a header block",
            .connection(.protocolError),
            .headers(1, HPACK.get, flags: 0),
            .priority(1)
        ),
        .init(
            "4.3",
            "HEADERS of another stream within a header block",
            .connection(.protocolError),
            .headers(1, HPACK.get, flags: 0),
            .headers(3)
        ),
        .init(
            "4.3",
            "an unknown frame within a header block",
            .connection(.protocolError),
            .headers(1, HPACK.get, flags: 0),
            RawFrame(type: 0x16, stream: 1)
        ),
    ]

    private static let section5: [ConformanceCase] = [
        .init("5.1", "DATA on an idle stream", .connection(.protocolError), .data(1, [1])),
        .init("5.1", "RST_STREAM on an idle stream", .connection(.protocolError), .reset(1)),
        .init(
            "5.1",
            "WINDOW_UPDATE on an idle stream",
            .connection(.protocolError),
            .windowUpdate(1, 100)
        ),
        .init(
            "5.1",
            "CONTINUATION on an idle stream",
            .connection(.protocolError),
            .continuation(1, HPACK.get)
        ),
        .init("5.1", "PRIORITY on an idle stream", .accepted, .priority(1)),
        .init("5.1", "half-closed (remote): DATA", .stream(1, .streamClosed), done, .data(1, [1])),
        .init(
            "5.1",
            "half-closed (remote): HEADERS",
            .connection(.streamClosed),
            done,
            .headers(1)
        ),
        .init(
            "5.1",
            "half-closed (remote): CONTINUATION",
            .connection(.protocolError),
            done,
            .continuation(1, [])
        ),
        .init(
            "5.1",
            "half-closed (remote): WINDOW_UPDATE, PRIORITY, RST_STREAM",
            .accepted,
            done,
            .windowUpdate(1, 1),
            .priority(1),
            .reset(1)
        ),
        .init(
            "5.1",
            "closed by RST_STREAM: DATA",
            .stream(1, .streamClosed),
            open,
            .reset(1),
            .data(1)
        ),
        .init(
            "5.1",
            "closed by RST_STREAM: HEADERS",
            .connection(.streamClosed),
            open,
            .reset(1),
            .headers(1)
        ),
        .init(
            "5.1",
            "closed: PRIORITY, WINDOW_UPDATE and RST_STREAM",
            .accepted,
            open,
            .reset(1),
            .priority(1),
            .windowUpdate(1, 1),
            .reset(1)
        ),
        .init(
            "5.1.1",
            "a client's stream with an even number",
            .connection(.protocolError),
            .headers(2)
        ),
        .init(
            "5.1.1",
            "a stream below one opened before",
            .connection(.protocolError),
            .headers(5),
            .headers(3)
        ),
        .init("5.1.1", "numbers may be skipped", .accepted, .headers(5), .headers(101)),
        .init(
            "5.3.1",
            "HEADERS that depend on their own stream",
            .stream(1, .protocolError),
            .headers(
                1,
                RawFrame.word(1) + [16] + HPACK.get,
                flags: RawFrame.endHeaders | RawFrame.endStream | RawFrame.prioritized
            )
        ),
        .init(
            "5.3.1",
            "PRIORITY that depends on its own stream",
            .stream(1, .protocolError),
            open,
            .priority(1, on: 1)
        ),
        .init(
            "5.3.1",
            "the same on an idle stream, which can't be reset",
            .connection(.protocolError),
            .priority(3, on: 3)
        ),
        .init("5.5", "an unknown setting is ignored", .accepted, .settings([(0x5A5A, 1)])),
    ]

    private static let section6: [ConformanceCase] = [
        .init("6.1", "DATA on stream 0", .connection(.protocolError), .data(0, [1])),
        .init(
            "6.1",
            "padding as long as the payload",
            .connection(.protocolError),
            open,
            .data(1, [4, 0, 0, 0], flags: RawFrame.padded)
        ),
        .init(
            "6.1",
            "padding that leaves nothing",
            .accepted,
            open,
            .data(1, [3, 0, 0, 0], flags: RawFrame.padded)
        ),
        .init(
            "6.1",
            "the padded flag without a pad length",
            .connection(.frameSizeError),
            open,
            .data(1, [], flags: RawFrame.padded)
        ),
        .init("6.2", "HEADERS on stream 0", .connection(.protocolError), .headers(0)),
        .init(
            "6.2",
            "padding as long as the payload",
            .connection(.protocolError),
            .headers(1, [200] + HPACK.get, flags: RawFrame.endHeaders | RawFrame.padded)
        ),
        .init(
            "6.2",
            "padding and priority together",
            .accepted,
            .headers(
                1,
                [2] + RawFrame.word(0) + [16] + HPACK.get + [0, 0],
                flags: RawFrame.endHeaders | RawFrame.padded | RawFrame.prioritized
            )
        ),
        .init(
            "6.2",
            "too short for its priority",
            .connection(.frameSizeError),
            .headers(1, [0, 0], flags: RawFrame.endHeaders | RawFrame.prioritized)
        ),
        .init("6.3", "PRIORITY on stream 0", .connection(.protocolError), .priority(0)),
        .init(
            "6.3",
            "PRIORITY that is not five octets",
            .stream(1, .frameSizeError),
            open,
            RawFrame(type: 2, stream: 1, [0, 0, 0, 0])
        ),
        .init("6.4", "RST_STREAM on stream 0", .connection(.protocolError), .reset(0)),
        .init(
            "6.4",
            "RST_STREAM that is not four octets",
            .connection(.frameSizeError),
            open,
            RawFrame(type: 3, stream: 1, [0, 0, 0])
        ),
        .init("6.4", "an unknown error code", .accepted, open, .reset(1, 0xFFFF)),
        .init(
            "6.5",
            "an acknowledgement with a payload",
            .connection(.frameSizeError),
            RawFrame(type: 4, flags: 1, stream: 0, [0])
        ),
        .init(
            "6.5",
            "SETTINGS on a stream",
            .connection(.protocolError),
            RawFrame(type: 4, stream: 1, [0, 3, 0, 0, 0, 1])
        ),
        .init(
            "6.5",
            "SETTINGS that is not a multiple of six",
            .connection(.frameSizeError),
            RawFrame(type: 4, stream: 0, [0, 3, 0, 0, 0])
        ),
        .init("6.5.2", "ENABLE_PUSH of 2", .connection(.protocolError), .settings([(2, 2)])),
        .init("6.5.2", "ENABLE_PUSH of 1 from a client", .accepted, .settings([(2, 1)])),
        .init(
            "6.5.2",
            "INITIAL_WINDOW_SIZE of 2^31",
            .connection(.flowControlError),
            .settings([(4, 1 << 31)])
        ),
        .init(
            "6.5.2",
            "INITIAL_WINDOW_SIZE of 2^31-1",
            .accepted,
            open,
            .settings([(4, 0x7FFF_FFFF)])
        ),
        .init(
            "6.5.2",
            "MAX_FRAME_SIZE below 2^14",
            .connection(.protocolError),
            .settings([(5, 16_383)])
        ),
        .init(
            "6.5.2",
            "MAX_FRAME_SIZE of 2^24",
            .connection(.protocolError),
            .settings([(5, 1 << 24)])
        ),
        .init("6.5.2", "MAX_FRAME_SIZE of 2^24-1", .accepted, .settings([(5, (1 << 24) - 1)])),
        .init(
            "6.5.2",
            "all others take any value",
            .accepted,
            .settings([(1, .max), (3, .max), (6, .max), (3, 0), (6, 0), (1, 0)])
        ),
        .init("6.5.3", "settings apply in order", .accepted, .settings([(4, 100), (4, 1)])),
        .init(
            "6.6",
            "PUSH_PROMISE from a client",
            .connection(.protocolError),
            open,
            RawFrame(type: 5, flags: 4, stream: 1, RawFrame.word(2) + HPACK.get)
        ),
    ]

    private static let section6Connection: [ConformanceCase] = [
        .init(
            "6.7",
            "PING on a stream",
            .connection(.protocolError),
            RawFrame(type: 6, stream: 1, [UInt8](repeating: 0, count: 8))
        ),
        .init(
            "6.7",
            "PING that is not eight octets",
            .connection(.frameSizeError),
            .ping([1, 2, 3, 4, 5, 6])
        ),
        .init(
            "6.7",
            "an acknowledgement nobody asked for",
            .accepted,
            RawFrame(type: 6, flags: 1, stream: 0, [UInt8](repeating: 0, count: 8))
        ),
        .init(
            "6.8",
            "GOAWAY on a stream",
            .connection(.protocolError),
            RawFrame(type: 7, stream: 1, [UInt8](repeating: 0, count: 8))
        ),
        .init(
            "6.8",
            "GOAWAY shorter than eight octets",
            .connection(.frameSizeError),
            RawFrame(type: 7, stream: 0, [0, 0, 0, 0])
        ),
        .init(
            "6.8",
            "GOAWAY with debug data",
            .accepted,
            RawFrame(type: 7, stream: 0, [UInt8](repeating: 0, count: 80))
        ),
        .init(
            "6.8",
            "GOAWAY that takes streams back",
            .connection(.protocolError),
            .goAway(last: 0),
            .goAway(last: 2)
        ),
        .init(
            "6.9",
            "WINDOW_UPDATE of 0 for the connection",
            .connection(.protocolError),
            .windowUpdate(0, 0)
        ),
        .init(
            "6.9",
            "WINDOW_UPDATE of 0 for a stream",
            .stream(1, .protocolError),
            open,
            .windowUpdate(1, 0)
        ),
        .init(
            "6.9",
            "WINDOW_UPDATE that is not four octets",
            .connection(.frameSizeError),
            RawFrame(type: 8, stream: 0, [0, 0, 1])
        ),
        .init(
            "6.9.1",
            "a connection window above 2^31-1",
            .connection(.flowControlError),
            .windowUpdate(0, 0x7FFF_FFFF)
        ),
        .init(
            "6.9.1",
            "a connection window of 2^31-1",
            .accepted,
            .windowUpdate(0, 0x7FFF_FFFF - 65_535)
        ),
        .init(
            "6.9.1",
            "a stream's window above 2^31-1",
            .stream(1, .flowControlError),
            open,
            .windowUpdate(1, 0x7FFF_FFFF)
        ),
        .init(
            "6.9.2",
            "SETTINGS that lift an open stream's window above 2^31-1",
            .connection(.flowControlError),
            open,
            .windowUpdate(1, 0x7FFF_0000),
            .settings([(4, 65_536)])
        ),
        .init(
            "6.9.2",
            "the same for a moment only",
            .connection(.flowControlError),
            open,
            .windowUpdate(1, 0x7FFF_0000),
            .settings([(4, 65_536), (4, 1)])
        ),
        .init(
            "6.10",
            "CONTINUATION frames of any number up to 16",
            .accepted,
            .headers(1, [], flags: RawFrame.endStream),
            RawFrame((0..<15).flatMap { _ in RawFrame.continuation(1, [], flags: 0).bytes }),
            .continuation(1, HPACK.get)
        ),
        .init(
            "10.5",
            "CONTINUATION without end",
            .connection(.enhanceYourCalm),
            .headers(1, [], flags: RawFrame.endStream),
            RawFrame((0..<17).flatMap { _ in RawFrame.continuation(1, [], flags: 0).bytes })
        ),
        .init(
            "6.10",
            "CONTINUATION after END_HEADERS",
            .connection(.protocolError),
            open,
            .continuation(1, [])
        ),
        .init(
            "6.10",
            "CONTINUATION on stream 0",
            .connection(.protocolError),
            .headers(1, HPACK.get, flags: 0),
            .continuation(0, [])
        ),
        .init(
            "6.10",
            "CONTINUATION after DATA",
            .connection(.protocolError),
            open,
            .data(1, [1]),
            .continuation(1, [])
        ),
    ]
}
