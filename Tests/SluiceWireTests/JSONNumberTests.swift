import SluiceCore
import SluiceFuzzing
import SluiceTestKit
import SluiceWire
import Testing

@Suite("JSON numbers")
struct JSONNumberTests {
    @Test(
        "Hard cases are rounded as Swift rounds them",
        arguments: [
            "0", "-0", "0.0", "-0.0", "1", "9007199254740993", "9007199254740992.5",
            "9007199254740993.0000000000000000000000001", "16777217", "16777217.0000001",
            "16777219",
            "2.2250738585072011e-308", "2.2250738585072012e-308", "4.9e-324", "2.47e-324",
            "2.4e-324",
            "1e-324", "1e-400", "0e999999999999999999999", "0.0e-99999999", "1e22", "1e23",
            "8.5e22",
            "1.7976931348623157e308", "1.7976931348623158e308", "1.797693134862315808e308",
            "1.7976931348623159e308", "1e309", "1e999999", "-1e999999", "1e-999999", "3.4028234e38",
            "3.4028235677973366e38", "3.40282356779733e38", "1.401298464324817e-45", "7.006e-46",
            "7.1e-46", "1.17549421069e-38", "1.1754943e-38", "123456789012345678901234567890",
            "0.000000000000000000000000000000000000000000000000000000012345678901234567890123",
            "18446744073709551615", "18446744073709551616", "9223372036854775807",
            "9223372036854775808", "-9223372036854775808", "-9223372036854775809",
            "99999999999999999999", "10000000000000000000", "12345678", "1234567812345678",
            "0.1234567812345678", "0.12345678123456781", "8.98846567431158e307",
            "7.2057594037927933e16",
            "100000000000000000000000000000000000000000000e-44", "1e+5", "1E5", "1e05", "0.5e-0",
            "9.5367431640625e-7", "5e-324", "1.00000017881393432617187499",
            "1.00000017881393432617187500", "1.00000017881393432617187501", "6.0221409e23",
            "9000000000000000000e22", "9000000000000000000e19", "9000000000000000000e20",
            "3402823567797336616e20", "3402823567797336617e20", "0.00000000012345678901234567",
            "0.00012345678901234567", "1234567890123456789", "12345678901234567890",
        ]
    )
    func hard(text: String) {
        #expect(NumberTrials.read(text) == nil)
    }

    @Test("A text of a million digits is one number, and quickly so", .timeLimit(.minutes(1)))
    func million() {
        let zeros = String(repeating: "0", count: 1_000_000)
        for text in ["1\(zeros)e-1000000", "0.\(zeros)1e1000001", "1.\(zeros)", "3\(zeros)1"] {
            let value: Double? = unsafe Array(text.utf8).withUnsafeBytes { bytes in
                var cursor = unsafe JSONCursor(bytes)
                return (try? cursor.number())?.double
            }
            #expect(value == (text.hasPrefix("3") ? nil : 1))
        }
    }

    @Test("Random decimals are rounded as Swift rounds them")
    func randomTexts() {
        var random = RandomSource(seed: 12)
        let count = Environment.fuzzIterations(otherwise: 5000)
        #expect(NumberTrials.randomTexts(count: count, random: &random) == [])
    }

    @Test("Middles between neighbours go to the even one, what is beside them doesn't")
    func middles() {
        var random = RandomSource(seed: 13)
        #expect(NumberTrials.middles(count: 50, random: &random) == [])
    }

    @Test(
        "What is no number is refused",
        arguments: [
            "", "-", "+1", ".5", "1.", "1.e1", "01", "-01", "00", "1e", "1e+", "1e-", "--1", "0x1",
            "-.5", "1.5.5", "1e5.5", "- 1", "infinity", "nan", "-NaN", "Inf", "+Infinity", "-I",
            "N",
            "0123.4", "-e1", "1 2",
        ]
    )
    func refused(text: String) {
        let isRefused = unsafe Array(text.utf8).withUnsafeBytes { bytes in
            var cursor = unsafe JSONCursor(bytes)
            do {
                _ = try cursor.number()
                try cursor.finish()
                return false
            } catch {
                return true
            }
        }
        #expect(isRefused)
    }

    @Test(
        "The tokens are numbers where they are allowed",
        arguments: ["NaN", "Infinity", "-Infinity"]
    )
    func tokens(text: String) {
        unsafe Array(text.utf8).withUnsafeBytes { bytes in
            var cursor = unsafe JSONCursor(bytes)
            let number = try? cursor.number()
            #expect(
                number?.double?.description.lowercased().prefix(4)
                    == text.lowercased().prefix(
                        text.hasPrefix("N") ? 3 : text.hasPrefix("-") ? 4 : 3
                    )
            )
            #expect(number?.int64 == nil)
            var strict = unsafe JSONCursor(bytes, allowsNonFinite: false)
            #expect(throws: JSONFailure.self) { try strict.number() }
        }
    }
}
