import SluiceHTTP
import SluiceTestKit

private typealias HPACK = HandHPACK
private let open = RawFrame.headers(1, HPACK.post, flags: RawFrame.endHeaders)

extension ConformanceCase {
    static let section6: [ConformanceCase] = [
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

    static let section6Connection: [ConformanceCase] = [
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
