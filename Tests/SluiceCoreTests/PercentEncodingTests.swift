import SluiceCore
import Testing

@Suite("Percent-encoded text")
struct PercentEncodingTests {
    @Test(
        "Each byte is put in its place, and what isn't whole or no UTF-8 is refused",
        arguments: [
            ("", ""), ("a+b", "a+b"), ("a%20b", "a b"), ("%c3%A9", "é"), ("%25", "%"),
            ("%2", nil), ("%", nil), ("%zz", nil), ("%c3", nil),
        ] as [(Substring, String?)]
    )
    func decoded(text: Substring, expected: String?) {
        #expect(PercentEncoding.decoded(text) == expected)
    }
}
