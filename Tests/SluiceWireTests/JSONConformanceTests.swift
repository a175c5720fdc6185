import SluiceFuzzing
import SluiceTestKit
import SluiceWire
import Testing

@Suite("JSON conformance")
struct JSONConformanceTests {
    static func bytes(_ text: String) -> [UInt8] { Array(text.utf8) }

    static func isAccepted(_ bytes: [UInt8], allowsNonFinite: Bool = false) -> Bool {
        unsafe GuardedText(capacity: bytes.count).with(bytes) { text in
            let isSkipped = unsafe JSONVerdict.skip(text, allowsNonFinite: allowsNonFinite)
            let isRead = unsafe JSONVerdict.walk(text, allowsNonFinite: allowsNonFinite) != nil
            if isSkipped != isRead {
                Issue.record("skipped \(isSkipped), read \(isRead): \(bytes)")
            }
            return isRead
        }
    }

    @Test("What must be accepted is", arguments: JSONConformanceCases.accepted)
    func accepted(text: String) throws {
        let bytes = Self.bytes(text)
        #expect(Self.isAccepted(bytes))
        #expect(Self.isAccepted(bytes, allowsNonFinite: true))
        #expect(JSONVerdict.foundation(bytes))
        // The tree that small documents become agrees on every value.
        let value = unsafe bytes.withUnsafeBytes { unsafe JSONVerdict.walk($0) }
        #expect(try value == JSONParser.parse(bytes))
    }

    @Test("What must be refused is", arguments: JSONConformanceCases.refused)
    func refused(text: String) {
        let bytes = Self.bytes(text)
        #expect(!Self.isAccepted(bytes))
        #expect(!Self.isAccepted(bytes, allowsNonFinite: true))
    }

    @Test("Strings that aren't UTF-8 are refused", arguments: JSONConformanceCases.notText)
    func notText(inside: [UInt8]) {
        let quote = UInt8(ascii: "\"")
        #expect(!Self.isAccepted([quote] + inside + [quote]))
        #expect(!Self.isAccepted([quote] + Self.bytes("12345678") + inside + [quote]))
        #expect(!Self.isAccepted(Self.bytes("{\"") + inside + Self.bytes("\":1}")))
    }

    @Test("What is left to us has our verdict", arguments: JSONConformanceCases.free.indices)
    func free(index: Int) {
        let (text, isAccepted) = JSONConformanceCases.free[index]
        #expect(Self.isAccepted(Self.bytes(text)) == isAccepted)
    }

    @Test("The tokens are accepted where they are allowed, and only there")
    func tokens() {
        for text in ["NaN", "Infinity", "-Infinity", "[NaN,-Infinity]", "{\"a\":Infinity}"] {
            #expect(Self.isAccepted(Self.bytes(text), allowsNonFinite: true))
            #expect(!Self.isAccepted(Self.bytes(text)))
        }
    }

    @Test("Each beginning of a text is refused, and nothing behind it is read")
    func beginnings() {
        let text = Self.bytes(
            "{\"a\\u00e9\":[1.5e-3,true,null,{\"b\":\"\\uD834\\uDD1E é\"}],\"c\":-0.25}"
        )
        #expect(Self.isAccepted(text))
        for length in 0..<text.count { #expect(!Self.isAccepted(Array(text[..<length]))) }
    }
}
