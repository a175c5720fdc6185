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
}
