import SluiceHTTP
import Testing

@Suite("What fields may be made of")
struct HTTP1ValidationTests {
    private func check(
        _ bytes: [UInt8],
        _ test: (UnsafeRawBufferPointer) -> Bool
    ) -> Bool {
        unsafe bytes.withUnsafeBytes { unsafe test($0) }
    }

    @Test(
        "Each byte is judged alike wherever it stands in a value",
        arguments: UInt8.min...UInt8.max
    )
    func values(byte: UInt8) {
        let isLegal = byte == 0x09 || (byte >= 0x20 && byte != 0x7F)
        var wrong: [[UInt8]] = []
        for length in 1...20 {
            for place in 0..<length {
                // Neighbours on both edges of what the word test looks at.
                for neighbour in [UInt8(0x61), 0x20, 0x7E, 0x80, 0xFF] {
                    var bytes = [UInt8](repeating: neighbour, count: length)
                    bytes[place] = byte
                    let isText = unsafe check(bytes, FieldValidation.isText)
                    if isText != isLegal { wrong.append(bytes) }
                }
            }
        }
        #expect(wrong.isEmpty)
    }

    @Test("A byte is a token character as RFC 9110 §5.6.2 lists them")
    func tokens() {
        let legal = Set(
            "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ".utf8
        )
        for byte in UInt8.min...UInt8.max {
            #expect(FieldValidation.isToken(byte) == legal.contains(byte))
        }
    }

    static let hostCases: [(String, Bool)] = [
        ("a", true), ("a.example:80", true), ("a:", true), ("a:65535", true), ("127.0.0.1", true),
        ("[::1]", true), ("[::ffff:1.2.3.4]:8080", true), ("a_b-c~d", true), ("a%20b", true),
        ("a:65536", false), ("a:123456", false), ("", false), (":1", false), ("[]", false),
        ("[1]", false), ("[::1", false), ("[::1]1", false), ("[g::1]", false), ("a%2", false),
        ("a%", false), ("a@b", false), ("a/b", false), ("a b", false), ("a:1:2", false),
        ("a:-1", false), ("a#b", false), ("a|b", false),
    ]

    @Test(
        "A host is a name or an address, and perhaps a port (RFC 3986 §3.2)",
        arguments: hostCases
    )
    func hosts(_ text: String, _ isHost: Bool) {
        let result = unsafe check(Array(text.utf8), FieldValidation.isHost)
        #expect(result == isHost)
    }
}
