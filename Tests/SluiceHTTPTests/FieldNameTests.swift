import SluiceHTTP
import Testing

@Suite("Field names that have a number")
struct FieldNameTests {
    private static let known = (0...UInt8.max).compactMap { FieldName(rawValue: $0) }
        .filter { $0 != .other }

    private static func lookup(_ text: String) -> FieldName {
        unsafe Array(text.utf8).withUnsafeBytes { unsafe FieldName.lookup($0) }
    }

    @Test("Each is found by its text, and by no text that differs in a byte")
    func lookup() {
        for name in Self.known {
            let text = "\(name.text)"
            #expect(Self.lookup(text) == name, "\(text) has no row in the matching by length")
            #expect(Self.lookup(text + "-") == .other && Self.lookup("?" + text) == .other)
            #expect(Self.lookup("?" + text.dropFirst()) == .other)
            #expect(Self.lookup(text.dropLast() + "?") == .other)
        }
        #expect(Set(Self.known.map { "\($0.text)" }).count == Self.known.count)
    }

    @Test("They are as many as a set of names has bits, at most")
    func bits() {
        #expect(FieldName(rawValue: 64) == nil)
        #expect(Set(Self.known.map(\.bit)).count == Self.known.count)
    }
}
