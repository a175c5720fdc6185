import SluiceHTTP
import Testing

/// Bytes a session must not take for a message.
struct HTTP1Refusal: Sendable, CustomTestStringConvertible {
    let section: String
    let wire: String
    let kind: HTTP1Failure.Kind
    let status: Int

    init(
        _ section: String,
        _ wire: String,
        _ kind: HTTP1Failure.Kind = .badRequest,
        _ status: Int = 400
    ) {
        self.section = section
        self.wire = wire
        self.kind = kind
        self.status = status
    }

    var testDescription: String { section }

    /// A request with a field line of the test's own.
    static func field(
        _ section: String,
        _ lines: String,
        _ kind: HTTP1Failure.Kind = .badRequest,
        _ status: Int = 400
    ) -> HTTP1Refusal {
        HTTP1Refusal(section, "POST / HTTP/1.1\r\nHost: a\r\n\(lines)\r\n\r\n", kind, status)
    }

    /// A request with chunks of the test's own.
    static func chunks(_ section: String, _ body: String) -> HTTP1Refusal {
        HTTP1Refusal(
            section,
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\(body)"
        )
    }
}

@Suite("What HTTP/1.1 sessions refuse")
struct HTTP1RejectionTests {
    static let requestCases: [HTTP1Refusal] = [
        .init(
            "RFC 9112 §2.2: two empty lines before the request",
            "\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"
        ),
        .init("RFC 9112 §2.2: a bare LF after the request line", "GET / HTTP/1.1\nHost: a\r\n\r\n"),
        .init("RFC 9112 §2.2: a bare LF after a field", "GET / HTTP/1.1\r\nHost: a\n\r\n"),
        .init("RFC 9112 §2.2: a bare LF for the empty line", "GET / HTTP/1.1\r\nHost: a\r\n\n"),
        .init(
            "RFC 9112 §2.2: an empty line of LF before the request",
            "\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"
        ),
        .init(
            "RFC 9112 §2.2: a bare CR in the request line",
            "GET / HTTP/1.1\rX\r\nHost: a\r\n\r\n"
        ),
        .field("RFC 9112 §2.2: a bare CR in a value", "x: a\rb"),
        .field("RFC 9112 §2.2: a bare CR at a value's end", "x: a\r"),
        .field("RFC 9112 §2.2: a bare CR that hides a field", "x: a\rTransfer-Encoding: chunked"),
        .init(
            "RFC 9112 §2.2: white space before the first field",
            "GET / HTTP/1.1\r\n Host: a\r\n\r\n"
        ),
        .init(
            "RFC 9112 §2.2: a tab before the first field",
            "GET / HTTP/1.1\r\n\tx: y\r\nHost: a\r\n\r\n"
        ),
        .init("RFC 9112 §2.3: no version", "GET /\r\nHost: a\r\n\r\n"),
        .init("RFC 9112 §2.3: a version in small letters", "GET / http/1.1\r\nHost: a\r\n\r\n"),
        .init("RFC 9112 §2.3: a version without a minor number", "GET / HTTP/1\r\nHost: a\r\n\r\n"),
        .init(
            "RFC 9112 §2.3: a version with too many digits",
            "GET / HTTP/1.10\r\nHost: a\r\n\r\n"
        ),
        .init("RFC 9112 §2.3: a version of letters", "GET / HTTP/a.b\r\nHost: a\r\n\r\n"),
        .init("RFC 9112 §2.3: another protocol's name", "GET / HTTQ/1.1\r\nHost: a\r\n\r\n"),
        .init(
            "RFC 9112 §2.3: HTTP/0.9",
            "GET / HTTP/0.9\r\nHost: a\r\n\r\n",
            .versionNotSupported,
            505
        ),
        .init(
            "RFC 9112 §2.3: HTTP/1.2",
            "GET / HTTP/1.2\r\nHost: a\r\n\r\n",
            .versionNotSupported,
            505
        ),
        .init(
            "RFC 9112 §2.3: HTTP/2.0",
            "GET / HTTP/2.0\r\nHost: a\r\n\r\n",
            .versionNotSupported,
            505
        ),
        .init(
            "RFC 9113 §3.4: the preface of HTTP/2",
            "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
            .versionNotSupported,
            505
        ),
        .init("RFC 9112 §3: two spaces after the method", "GET  / HTTP/1.1\r\nHost: a\r\n\r\n"),
        .init("RFC 9112 §3: two spaces before the version", "GET /  HTTP/1.1\r\nHost: a\r\n\r\n"),
        .init("RFC 9112 §3: a tab instead of a space", "GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n"),
        .init("RFC 9112 §3: a space after the version", "GET / HTTP/1.1 \r\nHost: a\r\n\r\n"),
        .init("RFC 9112 §3: a space before the method", " GET / HTTP/1.1\r\nHost: a\r\n\r\n"),
        .init("RFC 9112 §3: a space in the target", "GET /a b HTTP/1.1\r\nHost: a\r\n\r\n"),
        .init("RFC 9112 §3: a lone method", "GET\r\nHost: a\r\n\r\n"),
        .init("RFC 9112 §3.1: a method that is no token", "G(T / HTTP/1.1\r\nHost: a\r\n\r\n"),
        .init("RFC 9112 §3.1: a method with a colon", "GET: / HTTP/1.1\r\nHost: a\r\n\r\n"),
        .init("RFC 9112 §3.1: a method with a NUL", "GE\0T / HTTP/1.1\r\nHost: a\r\n\r\n"),
        .init(
            "RFC 9112 §3.1: the method of a TLS hello",
            "\u{16}\u{3}\u{1} / HTTP/1.1\r\nHost: a\r\n\r\n"
        ),
        .init(
            "RFC 9112 §3.2: a target without a slash",
            "GET index.html HTTP/1.1\r\nHost: a\r\n\r\n"
        ),
        .init("RFC 9112 §3.2: a fragment in the target", "GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n"),
        .init(
            "RFC 9112 §3.2: a control character in the target",
            "GET /\u{1} HTTP/1.1\r\nHost: a\r\n\r\n"
        ),
        .init("RFC 9112 §3.2: DEL in the target", "GET /\u{7f} HTTP/1.1\r\nHost: a\r\n\r\n"),
        .init(
            "RFC 9112 §3.2: bytes above ASCII in the target",
            "GET /\u{e9} HTTP/1.1\r\nHost: a\r\n\r\n"
        ),
        .init("RFC 9112 §3.2: a NUL in the target", "GET /\0 HTTP/1.1\r\nHost: a\r\n\r\n"),
        .init("RFC 9112 §3.2: no host", "GET / HTTP/1.1\r\nx: y\r\n\r\n"),
        .init(
            "RFC 9112 §3.2: no host beside an absolute target",
            "GET http://b/ HTTP/1.1\r\nx: y\r\n\r\n"
        ),
        .init("RFC 9112 §3.2: two hosts", "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"),
        .init("RFC 9112 §3.2: one host twice", "GET / HTTP/1.1\r\nHost: a\r\nhost: a\r\n\r\n"),
        .init(
            "RFC 9112 §3.2: two hosts in HTTP/1.0",
            "GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n"
        ),
        .init("RFC 9110 §4.2.1: an empty host", "GET / HTTP/1.1\r\nHost: \r\n\r\n"),
        .init("RFC 3986 §3.2: a host with a user", "GET / HTTP/1.1\r\nHost: u@a\r\n\r\n"),
        .init("RFC 3986 §3.2: a host with a path", "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n"),
        .init("RFC 3986 §3.2: a host with a space", "GET / HTTP/1.1\r\nHost: a b\r\n\r\n"),
        .init("RFC 3986 §3.2: a host with two ports", "GET / HTTP/1.1\r\nHost: a:1:2\r\n\r\n"),
        .init(
            "RFC 3986 §3.2: a host with a port of letters",
            "GET / HTTP/1.1\r\nHost: a:http\r\n\r\n"
        ),
        .init(
            "RFC 3986 §3.2: a host with a port too large",
            "GET / HTTP/1.1\r\nHost: a:65536\r\n\r\n"
        ),
        .init(
            "RFC 3986 §3.2: a host with nothing but a port",
            "GET / HTTP/1.1\r\nHost: :80\r\n\r\n"
        ),
        .init("RFC 3986 §3.2: a host with an open bracket", "GET / HTTP/1.1\r\nHost: [::1\r\n\r\n"),
        .init(
            "RFC 3986 §3.2: a host with a bracket without an address",
            "GET / HTTP/1.1\r\nHost: []\r\n\r\n"
        ),
        .init(
            "RFC 3986 §3.2: a host with letters behind a bracket",
            "GET / HTTP/1.1\r\nHost: [::1]x\r\n\r\n"
        ),
        .init("RFC 3986 §3.2: a host with a list", "GET / HTTP/1.1\r\nHost: a, b\r\n\r\n"),
        .init("RFC 3986 §3.2: a host with a backslash", "GET / HTTP/1.1\r\nHost: a\\b\r\n\r\n"),
        .init("RFC 3986 §3.2: a host with a question mark", "GET / HTTP/1.1\r\nHost: a?b\r\n\r\n"),
        .init("RFC 3986 §3.2: a host with a bad escape", "GET / HTTP/1.1\r\nHost: a%zz\r\n\r\n"),
        .init(
            "RFC 3986 §3.2: a host with bytes above ASCII",
            "GET / HTTP/1.1\r\nHost: \u{e9}\r\n\r\n"
        ),
        .init(
            "RFC 9112 §3.2.2: an absolute target without authority",
            "GET http:///a HTTP/1.1\r\nHost: a\r\n\r\n"
        ),
        .init(
            "RFC 9112 §3.2.2: an absolute target with a user",
            "GET http://u@b/ HTTP/1.1\r\nHost: a\r\n\r\n"
        ),
        .init("RFC 9112 §3.2.2: another scheme", "GET ftp://b/ HTTP/1.1\r\nHost: a\r\n\r\n"),
        .init(
            "RFC 9112 §3.2.2: a scheme that is an attack",
            "GET javascript:alert(1) HTTP/1.1\r\nHost: a\r\n\r\n"
        ),
        .init(
            "RFC 9112 §3.2.3: a tunnel",
            "CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n",
            .notImplemented,
            501
        ),
        .init(
            "RFC 9112 §3.2.3: authority form without CONNECT",
            "GET a:443 HTTP/1.1\r\nHost: a\r\n\r\n"
        ),
        .init("RFC 9112 §3.2.4: an asterisk without OPTIONS", "GET * HTTP/1.1\r\nHost: a\r\n\r\n"),
        .init("RFC 9112 §3.2.4: two asterisks", "OPTIONS ** HTTP/1.1\r\nHost: a\r\n\r\n"),
        .field("RFC 9112 §5.1: a space before the colon", "x : y"),
        .field("RFC 9112 §5.1: a tab before the colon", "x\t: y"),
        .field(
            "RFC 9112 §5.1: a space before transfer-encoding's colon",
            "Transfer-Encoding : chunked"
        ),
        .field("RFC 9112 §5: no colon", "nonsense"),
        .field("RFC 9112 §5: an empty name", ": y"),
        .field("RFC 9110 §5.1: a name with a space", "x y: z"),
        .field("RFC 9110 §5.1: a name with a parenthesis", "x(: z"),
        .field("RFC 9110 §5.1: a name with a NUL", "x\0y: z"),
        .field("RFC 9110 §5.1: a name above ASCII", "\u{e9}: z"),
        .field("RFC 9113 §8.3: a pseudo-field by name", ":path: /b"),
        .field("RFC 9110 §5.5: a NUL in a value", "x: a\0b"),
        .field("RFC 9110 §5.5: a control character in a value", "x: a\u{1}b"),
        .field("RFC 9110 §5.5: a vertical tab in a long value", "x: abcdefghijklm\u{b}nopqrstuvw"),
        .field("RFC 9110 §5.5: DEL in a value", "x: 01234567\u{7f}"),
        .field("RFC 9112 §5.2: a folded value", "x: a\r\n b"),
        .field("RFC 9112 §5.2: a value folded by a tab", "x: a\r\n\tb"),
        .field("RFC 9112 §5.2: a line of white space", "x: a\r\n "),
        .field(
            "RFC 9112 §6.1: length and coding",
            "Content-Length: 5\r\nTransfer-Encoding: chunked"
        ),
        .field(
            "RFC 9112 §6.1: coding and length",
            "Transfer-Encoding: chunked\r\nContent-Length: 5"
        ),
        .field(
            "RFC 9112 §6.1: a coding nobody knows",
            "Transfer-Encoding: gzip, chunked",
            .notImplemented,
            501
        ),
        .field("RFC 9112 §6.3: chunked is not the last coding", "Transfer-Encoding: chunked, gzip"),
        .field("RFC 9112 §6.3: chunked is missing", "Transfer-Encoding: gzip"),
        .field("RFC 9112 §6.3: identity", "Transfer-Encoding: identity"),
        .field("RFC 9112 §7.1: chunked twice in a list", "Transfer-Encoding: chunked, chunked"),
        .field(
            "RFC 9112 §7.1: chunked twice in two fields",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked"
        ),
        .field("RFC 9112 §7: chunked with a parameter", "Transfer-Encoding: chunked;q=1"),
        .field("RFC 9112 §7: chunked with a neighbour", "Transfer-Encoding: xchunked"),
        .field("RFC 9112 §7: chunked in quotes", "Transfer-Encoding: \"chunked\""),
        .field("RFC 9112 §7: chunked behind a vertical tab", "Transfer-Encoding: \u{b}chunked"),
        .field("RFC 9112 §7: no coding at all", "Transfer-Encoding:"),
        .init(
            "RFC 9112 §6.1: a coding in HTTP/1.0",
            "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"
        ),
        .field("RFC 9112 §6.3: a length with a sign", "Content-Length: +5"),
        .field("RFC 9112 §6.3: a length below zero", "Content-Length: -5"),
        .field("RFC 9112 §6.3: a length with a fraction", "Content-Length: 5.0"),
        .field("RFC 9112 §6.3: a length in hexadecimal", "Content-Length: 0x5"),
        .field("RFC 9112 §6.3: a length in a list", "Content-Length: 5, 5"),
        .field("RFC 9112 §6.3: a length in a list of two", "Content-Length: 5, 6"),
        .field("RFC 9112 §6.3: a length that is empty", "Content-Length: "),
        .field("RFC 9112 §6.3: a length with a space inside", "Content-Length: 5 0"),
        .field("RFC 9112 §6.3: a length of letters", "Content-Length: five"),
        .field("RFC 9112 §6.3: a length that overflows", "Content-Length: 99999999999999999999"),
        .field("RFC 9112 §6.3: a length above 2^63", "Content-Length: 9223372036854775808"),
        .field("RFC 9112 §6.3: two lengths", "Content-Length: 5\r\nContent-Length: 6"),
        .field("RFC 9112 §6.3: one length twice", "Content-Length: 5\r\nContent-Length: 5"),
        .chunks("RFC 9112 §7.1: a chunk without a size", "\r\nhi\r\n"),
        .chunks("RFC 9112 §7.1: a size of letters", "x\r\nhi\r\n"),
        .chunks("RFC 9112 §7.1: a size below zero", "-1\r\nhi\r\n"),
        .chunks("RFC 9112 §7.1: a size with 0x", "0x2\r\nhi\r\n"),
        .chunks("RFC 9112 §7.1: a size that overflows", "FFFFFFFFFFFFFFFFF\r\nhi\r\n"),
        .chunks("RFC 9112 §7.1: a size that wraps to two", "10000000000000002\r\nhi\r\n"),
        .chunks("RFC 9112 §7.1: a size of 2^63", "8000000000000000\r\nhi\r\n"),
        .chunks(
            "RFC 9112 §7.1: zeros without end",
            "00000000000000000000000000000000000000002\r\nhi\r\n"
        ),
        .chunks("RFC 9112 §7.1: a space before the size", " 2\r\nhi\r\n"),
        .chunks("RFC 9112 §7.1: a space behind the size", "2 \r\nhi\r\n"),
        .chunks("RFC 9112 §7.1: junk behind the size", "2x\r\nhi\r\n"),
        .chunks("RFC 9112 §7.1: a bare LF behind the size", "2\nhi\r\n"),
        .chunks("RFC 9112 §7.1: a bare CR behind the size", "2\rhi\r\n"),
        .chunks("RFC 9112 §7.1: a chunk longer than its size", "2\r\nhiho\r\n0\r\n\r\n"),
        .chunks("RFC 9112 §7.1: a chunk shorter than its size", "3\r\nhi\r\n0\r\n\r\n"),
        .chunks("RFC 9112 §7.1: a bare LF behind a chunk", "2\r\nhi\n0\r\n\r\n"),
        .chunks("RFC 9112 §7.1: CR CR behind a chunk", "2\r\nhi\r\r0\r\n\r\n"),
        .chunks("RFC 9112 §7.1.1: a bare CR in an extension", "2;a\rb\r\nhi\r\n"),
        .chunks("RFC 9112 §7.1.1: a NUL in an extension", "2;a\0b\r\nhi\r\n"),
        .chunks("RFC 9112 §7.1.1: a bare LF behind an extension", "2;a\nhi\r\n"),
        .chunks(
            "RFC 9112 §7.1.1: an extension too long",
            "2;eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee\r\nhi\r\n"
        ),
        .chunks("RFC 9112 §7.1.2: a trailer without a colon", "0\r\nx\r\n\r\n"),
        .chunks("RFC 9112 §7.1.2: a folded trailer", "0\r\nx: y\r\n z\r\n\r\n"),
        .chunks("RFC 9112 §7.1.2: white space before the first trailer", "0\r\n x: y\r\n\r\n"),
        .chunks("RFC 9112 §7.1.2: a trailer with a NUL", "0\r\nx: \0\r\n\r\n"),
        .chunks("RFC 9112 §7.1.2: a space before a trailer's colon", "0\r\nx : y\r\n\r\n"),
        .chunks("RFC 9112 §7.1.2: a bare LF behind the trailers", "0\r\nx: y\r\n\n"),
        .field("RFC 9110 §7.6.1: connection with something that is no token", "Connection: a b"),
        .field(
            "RFC 9110 §7.6.1: connection with options without end",
            "Connection: a0,a1,a2,a3,a4,a5,a6,a7,a8,a9,a10,a11,a12,a13,a14,a15,a16,a17,a18,a19,a20,a21,a22,a23,a24,a25,a26,a27,a28,a29,a30,a31,a32,a33,a34,a35,a36,a37,a38,a39"
        ),
        .field(
            "RFC 9110 §10.1.1: an expectation nobody knows",
            "Expect: 200-ok",
            .expectationFailed,
            417
        ),
        .field(
            "RFC 9110 §10.1.1: two expectations",
            "Expect: 100-continue, x",
            .expectationFailed,
            417
        ),
    ]

    @Test("A request that isn't one is refused however its bytes are cut", arguments: requestCases)
    func requests(_ refusal: HTTP1Refusal) {
        let (heard, difference) = http1Hear(refusal.wire) { .answering() }
        #expect(heard.last == .failure(refusal.kind, refusal.status))
        #expect(!heard.contains(.end))
        #expect(difference == nil)
    }

    @Test("Nothing behind a refused request is heard, and the answer says so")
    func afterwards() {
        let server = HTTP1TestSession(.server)
        server.receive("GET / HTTP/9.9\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n")
        #expect(server.heard == [.failure(.versionNotSupported, 505)])
        server.receive("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        server.respond([":status: 505"], endStream: false)
        server.send("no", endStream: true)
        server.pump()
        #expect(
            server.writtenText()
                == "HTTP/1.1 505 HTTP Version Not Supported\r\n"
                + "transfer-encoding: chunked\r\nconnection: close\r\n\r\n2\r\nno\r\n0\r\n\r\n"
        )
        #expect(server.heard.count == 1)
        #expect(server.shouldClose && server.arena.blocks.liveCount == 0)
    }

    static let responseCases: [(String, String)] = [
        ("RFC 9112 §4: no status", "HTTP/1.1\r\n\r\n"),
        ("RFC 9112 §4: a status of two digits", "HTTP/1.1 20 OK\r\n\r\n"),
        ("RFC 9112 §4: a status of four digits", "HTTP/1.1 2000 OK\r\n\r\n"),
        ("RFC 9112 §4: a status of letters", "HTTP/1.1 abc OK\r\n\r\n"),
        ("RFC 9112 §4: a status below 100", "HTTP/1.1 099 OK\r\n\r\n"),
        ("RFC 9112 §4: two spaces before the status", "HTTP/1.1  200 OK\r\n\r\n"),
        ("RFC 9112 §4: a control character in the reason", "HTTP/1.1 200 O\u{1}K\r\n\r\n"),
        ("RFC 9112 §2.2: a bare LF behind the status line", "HTTP/1.1 200 OK\n\r\n"),
        ("RFC 9112 §2.2: an empty line before the status line", "\r\nHTTP/1.1 200 OK\r\n\r\n"),
        ("RFC 9112 §2.3: HTTP/2.0", "HTTP/2.0 200 OK\r\n\r\n"),
        ("RFC 9112 §2.3: another protocol", "ICY 200 OK  \r\n\r\n"),
        ("RFC 9112 §5.1: a space before the colon", "HTTP/1.1 200 OK\r\nx : y\r\n\r\n"),
        ("RFC 9112 §5.2: a folded value", "HTTP/1.1 200 OK\r\nx: y\r\n z\r\n\r\n"),
        (
            "RFC 9112 §6.3: length and coding",
            "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n"
        ),
        (
            "RFC 9112 §6.3: two lengths",
            "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n"
        ),
        ("RFC 9112 §6.3: a length that is none", "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n"),
        (
            "RFC 9112 §6.1: a coding nobody knows",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n"
        ),
        (
            "RFC 9112 §6.1: a coding in HTTP/1.0",
            "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        ),
        (
            "RFC 9112 §7.1: a size that is none",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n"
        ),
        (
            "RFC 9110 §15.2.2: 101 to a request without upgrade",
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n"
        ),
        (
            "RFC 9110 §15.2: interim responses without end",
            String(repeating: "HTTP/1.1 103 Early Hints\r\n\r\n", count: 33)
        ),
    ]

    @Test(
        "A response that isn't one is refused however its bytes are cut",
        arguments: responseCases
    )
    func responses(_ section: String, _ wire: String) {
        let (heard, difference) = http1Hear(wire) { .asking(["GET"]) }
        #expect(heard.last == .failure(.badResponse, 0))
        #expect(difference == nil)
    }

    @Test("Bytes that no request asked for are refused")
    func unsolicited() {
        let idle = HTTP1TestSession(.client)
        idle.receive("HTTP/1.1 200 OK\r\n\r\n")
        #expect(idle.heard == [.failure(.badResponse, 0)])
        let response = "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx"
        let (heard, difference) = http1Hear(response + response) { .asking(["GET"]) }
        #expect(
            heard == [
                .head([":status: 200", "content-length: 1"]), .body("x"), .end,
                .failure(.badResponse, 0),
            ]
        )
        #expect(difference == nil)
    }
}
