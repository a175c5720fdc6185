import SluiceTelemetry
import Testing

@Suite("Log line")
struct LogLineTests {
    private let time = WallTime(nanoseconds: 1_795_234_500_123_999_999)

    @Test("A line reads time, level, message, pairs", .tags(.unit))
    func line() {
        var line = LogLine(.info, "backend ejected", at: time)
        line.add("model", "iris")
        line.add("after", 5)
        #expect(
            String(decoding: line.bytes, as: UTF8.self)
                == "2026-11-21T04:15:00.123Z info  backend ejected model=iris after=5\n"
        )
    }

    @Test(
        "Levels take five letters and rise",
        .tags(.unit),
        arguments: zip(LogLevel.allCases, ["debug", "info ", "warn ", "error"])
    )
    func levels(level: LogLevel, name: String) {
        #expect(level.name.description == name)
        let text = String(decoding: LogLine(level, "x", at: time).bytes, as: UTF8.self)
        #expect(text.hasSuffix("Z \(name) x\n"))
        #expect(LogLevel.allCases == LogLevel.allCases.sorted())
    }

    @Test(
        "A value is quoted where it must be",
        .tags(.unit),
        arguments: [
            ("127.0.0.1:9001", "127.0.0.1:9001"), ("", "\"\""), ("a b", "\"a b\""),
            ("a=b", "\"a=b\""), ("a\"b", #""a\"b""#), (#"a\b"#, #""a\\b""#),
            ("a\nb\r\t", #""a\nb\r\t""#), ("\u{1B}[31m\u{7F}", #""\x1b[31m\x7f""#),
            ("größe", "größe"),
        ]
    )
    func quotes(value: String, expected: String) {
        var line = LogLine(.error, "m", at: time)
        line.add("k", value)
        #expect(String(decoding: line.bytes, as: UTF8.self).hasSuffix(" m k=\(expected)\n"))
    }

    @Test("A message stays on its line", .tags(.unit))
    func message() {
        let line = LogLine(.warning, "two\nlines \"said\"", at: time)
        #expect(
            String(decoding: line.bytes, as: UTF8.self).hasSuffix(#"two\nlines "said""# + "\n")
        )
    }
}
