import SluiceHTTP
import SluiceTestKit

private typealias HPACK = HandHPACK
private let openFlags = RawFrame.endHeaders
private let open = RawFrame.headers(1, HPACK.post, flags: openFlags)

/// A request head that is malformed, or not.
private func request(
    _ section: String,
    _ says: String,
    isMalformed: Bool = true,
    _ block: [UInt8]
) -> ConformanceCase {
    ConformanceCase(
        section,
        says,
        isMalformed ? .stream(1, .protocolError) : .accepted,
        .headers(1, block)
    )
}

/// A GET with one more field.
private func field(
    _ section: String,
    _ says: String,
    isMalformed: Bool = true,
    _ name: String,
    _ value: String
) -> ConformanceCase {
    request(section, says, isMalformed: isMalformed, HPACK.request("GET", [(name, value)]))
}

/// A POST with a promised length, and the body that follows.
private func promise(
    _ says: String,
    _ length: String,
    isBroken: Bool = true,
    _ rest: RawFrame...
) -> ConformanceCase {
    var row = ConformanceCase("8.1.1", says, isBroken ? .stream(1, .protocolError) : .accepted)
    let head = HPACK.request("POST", [("content-length", length)])
    row.frames = [.headers(1, head, flags: openFlags)] + rest
    return row
}

extension ConformanceCase {
    static let section8: [ConformanceCase] = [
        .init(
            "8.1",
            "a second HEADERS without END_STREAM",
            .stream(1, .protocolError),
            open,
            .headers(1, HPACK.block([("a", "b")]), flags: openFlags)
        ),
        .init(
            "8.1",
            "trailers",
            .accepted,
            open,
            .data(1, [1]),
            .headers(1, HPACK.block([("a", "b")]))
        ),
        .init(
            "8.1",
            "trailers with a pseudo-field",
            .stream(1, .protocolError),
            open,
            .headers(1, HPACK.block([(":path", "/")]))
        ),
        .init(
            "8.1",
            "trailers with a capital",
            .stream(1, .protocolError),
            open,
            .headers(1, HPACK.block([("A", "b")]))
        ),
        promise("fewer octets than promised", "3", .data(1, [1, 2], flags: 1)),
        promise("more octets than promised", "1", .data(1, [1, 2])),
        promise(
            "as many as promised, in pieces",
            "2",
            isBroken: false,
            .data(1, [1]),
            .data(1, [2], flags: 1)
        ),
        promise(
            "padding does not count",
            "2",
            isBroken: false,
            .data(1, [3, 1, 2, 0, 0, 0], flags: RawFrame.padded | 1)
        ),
        promise(
            "trailers before the promise is kept",
            "2",
            .data(1, [1]),
            .headers(1, HPACK.block([("a", "b")]))
        ),
        promise(
            "trailers after it",
            "1",
            isBroken: false,
            .data(1, [1]),
            .headers(1, HPACK.block([("a", "b")]))
        ),
        request("8.1.1", "a promise and no body", HPACK.request("POST", [("content-length", "1")])),
        request(
            "8.1.1",
            "a promise of nothing",
            isMalformed: false,
            HPACK.request("POST", [("content-length", "0")])
        ),
        field("8.1.1", "a length that is no number", "content-length", "+1"),
        field("8.1.1", "a length list", "content-length", "0, 0"),
        field("8.1.1", "a length beyond 64 bits", "content-length", "99999999999999999999"),
        request(
            "8.1.1",
            "two lengths that differ",
            HPACK.request("GET", [("content-length", "0"), ("content-length", "1")])
        ),
        field("8.2.1", "a capital in a name", "X-Test", "1"),
        field("8.2.1", "a space in a name", "x test", "1"),
        field("8.2.1", "a colon within a name", "x:test", "1"),
        field("8.2.1", "an empty name", "", "1"),
        request(
            "8.2.1",
            "a byte above 0x7f in a name",
            HPACK.get + HPACK.literal([0x78, 0x80], [])
        ),
        request(
            "8.2.1",
            "a control character in a name",
            HPACK.get + HPACK.literal([0x78, 0x01], [])
        ),
        field("8.2.1", "a line feed in a value", "x", "a\nb"),
        field("8.2.1", "a carriage return in a value", "x", "a\rb"),
        field("8.2.1", "a NUL in a value", "x", "a\0b"),
        // Malformed by the letter, but gRPC servers and callers send it: taken off.
        field("8.2.1", "a space before a value", isMalformed: false, "x", " a"),
        field("8.2.1", "a tab after a value", isMalformed: false, "x", "a\t"),
        field("8.2.1", "a value of white space", isMalformed: false, "x", " \t "),
        field("8.2.1", "a line feed before spaces at a value's end", "x", "a\n "),
        field("8.2.1", "a capital in a name whose value ends in a space", "X", "a "),
        field("8.2.1", "a length with a space at its end", "content-length", "0 "),
        field("8.2.2", "te: trailers and a space", "te", "trailers "),
        field("8.2.1", "an empty value", isMalformed: false, "x", ""),
        request(
            "8.2.1",
            "bytes above 0x7f in a value",
            isMalformed: false,
            HPACK.get + HPACK.literal([0x78], [0x80, 0xFF])
        ),
        field("8.2.2", "connection", "connection", "close"),
        field("8.2.2", "keep-alive", "keep-alive", "1"),
        field("8.2.2", "proxy-connection", "proxy-connection", "close"),
        field("8.2.2", "transfer-encoding", "transfer-encoding", "chunked"),
        field("8.2.2", "upgrade", "upgrade", "h2c"),
        field("8.2.2", "te: trailers", isMalformed: false, "te", "trailers"),
        field("8.2.2", "te with anything else", "te", "trailers, deflate"),
        field("8.3", "an undefined pseudo-field", ":test", "1"),
        field("8.3", "a response's pseudo-field", ":status", "200"),
        field("8.5", "extended CONNECT without its setting", ":protocol", "websocket"),
        request(
            "8.3",
            "a pseudo-field after a regular one",
            HPACK.block([(":method", "GET"), (":scheme", "http"), ("x", "1"), (":path", "/")])
        ),
        request("8.3", "an empty block", []),
        request(
            "8.3.1",
            "an empty path",
            HPACK.block([(":method", "GET"), (":scheme", "http"), (":path", "")])
        ),
        request("8.3.1", "no method", HPACK.block([(":scheme", "http"), (":path", "/")])),
        request("8.3.1", "no scheme", HPACK.block([(":method", "GET"), (":path", "/")])),
        request("8.3.1", "no path", HPACK.block([(":method", "GET"), (":scheme", "http")])),
        request(
            "8.3.1",
            "no authority",
            isMalformed: false,
            HPACK.block([(":method", "GET"), (":scheme", "http"), (":path", "/")])
        ),
        request("8.3.1", "a method that is no token", HPACK.request("GE T")),
        request("8.3", "two methods", HPACK.block([(":method", "GET")]) + HPACK.get),
        request("8.3", "two schemes", HPACK.block([(":scheme", "http")]) + HPACK.get),
        request("8.3", "two paths", HPACK.block([(":path", "/")]) + HPACK.get),
        request("8.3", "two authorities", HPACK.block([(":authority", "a")]) + HPACK.get),
        request(
            "8.5",
            "CONNECT",
            isMalformed: false,
            HPACK.block([(":method", "CONNECT"), (":authority", "a:1")])
        ),
        request("8.5", "CONNECT with a path", HPACK.request("CONNECT")),
        request("8.5", "CONNECT without an authority", HPACK.block([(":method", "CONNECT")])),
        .init(
            "8.7",
            "a malformed head leaves the table in step",
            .stream(1, .protocolError),
            // `:test: 1` goes into the dynamic table (index 62) and is used again.
            .headers(1, [0x40, 5] + Array(":test".utf8) + [1, 0x31]),
            .headers(3, HPACK.get),
            .ping()
        ),
    ]

    static let clients: [ConformanceCase] = [
        .init(client: "3.4", "a server that begins with SETTINGS", .accepted),
        .init(
            client: "5.1",
            "HEADERS on a stream we have not opened",
            .connection(.protocolError),
            .headers(3, HPACK.response())
        ),
        .init(
            client: "5.1",
            "HEADERS on an even stream",
            .connection(.protocolError),
            .headers(2, HPACK.response())
        ),
        .init(
            client: "5.1",
            "DATA on a stream we have not opened",
            .connection(.protocolError),
            .data(3, [1])
        ),
        .init(
            client: "5.1",
            "WINDOW_UPDATE on a stream we have not opened",
            .connection(.protocolError),
            .windowUpdate(3, 1)
        ),
        .init(client: "5.1", "DATA before the head", .stream(1, .protocolError), .data(1, [1])),
        .init(
            client: "5.1",
            "DATA after the end",
            .stream(1, .streamClosed),
            .headers(1, HPACK.response()),
            .data(1, [1])
        ),
        .init(
            client: "6.5.2",
            "ENABLE_PUSH of 1 from a server",
            .connection(.protocolError),
            .settings([(2, 1)])
        ),
        .init(client: "6.5.2", "ENABLE_PUSH of 0 from a server", .accepted, .settings([(2, 0)])),
        .init(
            client: "6.6",
            "PUSH_PROMISE where push is off",
            .connection(.protocolError),
            RawFrame(type: 5, flags: 4, stream: 1, RawFrame.word(2) + HPACK.get)
        ),
        .init(
            client: "8.3.2",
            "no status",
            .stream(1, .protocolError),
            .headers(1, HPACK.block([("a", "b")]))
        ),
        .init(
            client: "8.3.2",
            "a status of two digits",
            .stream(1, .protocolError),
            .headers(1, HPACK.response("20"))
        ),
        .init(
            client: "8.3.2",
            "a status that is no number",
            .stream(1, .protocolError),
            .headers(1, HPACK.response("2x0"))
        ),
        .init(
            client: "8.3.2",
            "two status fields",
            .stream(1, .protocolError),
            .headers(1, HPACK.response("200", [(":status", "200")]))
        ),
        .init(
            client: "8.3.2",
            "a request's pseudo-field",
            .stream(1, .protocolError),
            .headers(1, HPACK.response("200", [(":path", "/")]))
        ),
        .init(client: "8.3.2", "an empty block", .stream(1, .protocolError), .headers(1, [])),
        .init(
            client: "8.2.2",
            "connection",
            .stream(1, .protocolError),
            .headers(1, HPACK.response("200", [("connection", "close")]))
        ),
        .init(
            client: "8.1",
            "interim responses first",
            .accepted,
            .headers(1, HPACK.response("100"), flags: openFlags),
            .headers(1, HPACK.response("103"), flags: openFlags),
            .headers(1, HPACK.response("200"))
        ),
        .init(
            client: "8.1",
            "an interim response that ends the stream",
            .stream(1, .protocolError),
            .headers(1, HPACK.response("100"))
        ),
        .init(
            client: "8.1",
            "an interim response after the final one",
            .stream(1, .protocolError),
            .headers(1, HPACK.response("200"), flags: openFlags),
            .headers(1, HPACK.response("100"), flags: openFlags)
        ),
        .init(
            client: "8.6",
            "101",
            .stream(1, .protocolError),
            .headers(1, HPACK.response("101"), flags: openFlags)
        ),
        .init(
            client: "8.1.1",
            "a promise and no body",
            .stream(1, .protocolError),
            .headers(1, HPACK.response("200", [("content-length", "1")]))
        ),
        .init(
            client: "8.1.1",
            "a response to HEAD that promises",
            .accepted,
            requests: [[HeaderField(":method", "HEAD")] + TestSession.get()[1...]],
            .headers(1, HPACK.response("200", [("content-length", "7")]), flags: openFlags),
            .data(1, [], flags: 1)
        ),
        .init(
            client: "8.1.1",
            "a response to HEAD with content",
            .stream(1, .protocolError),
            requests: [[HeaderField(":method", "HEAD")] + TestSession.get()[1...]],
            .headers(1, HPACK.response("200", [("content-length", "1")]), flags: openFlags),
            .data(1, [1], flags: 1)
        ),
        .init(
            client: "8.1.1",
            "304 that promises",
            .accepted,
            .headers(1, HPACK.response("304", [("content-length", "7")]))
        ),
        .init(
            client: "8.1.1",
            "204 with content",
            .stream(1, .protocolError),
            .headers(1, HPACK.response("204"), flags: openFlags),
            .data(1, [1], flags: 1)
        ),
    ]
}
