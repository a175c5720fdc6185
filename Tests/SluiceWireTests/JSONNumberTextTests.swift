import SluiceCore
import SluiceFuzzing
import SluiceTestKit
import SluiceWire
import Testing

@Suite("JSON numbers as text")
struct JSONNumberTextTests {
    static func text(_ write: (UnsafeMutablePointer<UInt8>) -> Int) -> String {
        unsafe withUnsafeTemporaryAllocation(of: UInt8.self, capacity: JSONNumberText.room) {
            place in
            guard let base = place.baseAddress else { return "" }
            // What is written is told from what is left over.
            unsafe place.initialize(repeating: UInt8(ascii: "#"))
            let length = unsafe write(base)
            return unsafe String(decoding: place[..<length], as: UTF8.self)
        }
    }

    static func text(_ value: Double) -> String {
        unsafe text { unsafe JSONNumberText.write(value, to: $0) }
    }
    static func text(_ value: Float) -> String {
        unsafe text { unsafe JSONNumberText.write(value, to: $0) }
    }

    static func text(_ value: Int64) -> String {
        unsafe text { unsafe JSONNumberText.write(value, to: $0) }
    }
    static func text(_ value: UInt64) -> String {
        unsafe text { unsafe JSONNumberText.write(value, to: $0) }
    }
    static func text(half: UInt16) -> String {
        unsafe text { unsafe JSONNumberText.write(half: half, to: $0) }
    }
    static func text(brain: UInt16) -> String {
        unsafe text { unsafe JSONNumberText.write(brain: brain, to: $0) }
    }

    static func array(_ type: JSONNumberType, _ bytes: [UInt8], shape: [Int]? = nil) -> String {
        let pool = BufferPool()
        var buffer = ByteBuffer(pool: pool)
        unsafe bytes.withUnsafeBytes { raw in
            if let shape = shape {
                unsafe JSONNumberText.append(type, raw, shape: shape, to: &buffer)
            } else {
                unsafe JSONNumberText.append(type, raw, to: &buffer)
            }
        }
        return unsafe String(decoding: buffer.bytes, as: UTF8.self)
    }

    @Test(
        "Doubles have the text that Swift gives them",
        arguments: [
            0, -0.0, 1, -1, 0.1, 0.5, 1.5, 100, 123.456, 1e-3, 1e-4, 1.25e-4, 1e-5, 9.5e-5, 1e15,
            1e16, 1e17, 1e21, 1e22, 1e23, 0x1p53, 0x1p54, 0x1p54 + 4, 0x1p55, 12345678901234568,
            Double.leastNonzeroMagnitude,
            Double.leastNormalMagnitude, 1.7976931348623157e308, 9007199254740992, 0.3, 2.0 / 3,
            1_000_000, 123_456_789, 0x1.fffffffffffffp53, 4.35, 1e100, 1e-100, 9.109e-31,
        ] as [Double]
    )
    func doubles(value: Double) {
        #expect(Self.text(value) == value.description)
        #expect(Self.text(-value) == (-value).description)
    }

    @Test(
        "Singles have the text that Swift gives them",
        arguments: [
            0, -0.0, 1, 0.1, 0.5, 100, 16_777_216, 16_777_218, 33_554_432, 1e-4, 9.99e-5, 1e10,
            Float.leastNonzeroMagnitude,
            Float.leastNormalMagnitude, 3.4028235e38, 0.3, 8.589973e9, 123.456, 1e7, 2.5e7,
        ] as [Float]
    )
    func singles(value: Float) {
        #expect(Self.text(value) == value.description)
        #expect(Self.text(-value) == (-value).description)
    }

    @Test("NaN and the infinities are tokens")
    func tokens() {
        #expect(Self.text(Double.nan) == "NaN")
        #expect(Self.text(-Double.infinity) == "-Infinity")
        #expect(Self.text(Float.infinity) == "Infinity")
        #expect(Self.text(-Float.nan) == "NaN")
    }

    @Test("Random bit patterns have Swift's text, and read back the same")
    func randomBits() {
        var random = RandomSource(seed: 11)
        let failures = NumberTrials.randomBits(
            count: Environment.fuzzIterations(otherwise: 20_000),
            random: &random
        )
        #expect(failures == [])
    }

    @Test("Each FP16 and BF16 reads back from its text, which is the shortest")
    func shortFloats() {
        #expect(NumberTrials.shortFloats() == [])
        #expect(Self.text(half: 0x2E66) == "0.1")
        #expect(Self.text(half: 0x7BFF) == "65500.0")
        #expect(Self.text(brain: 0x3DCD) == "0.1")
        #expect(Self.text(half: 0xFC00) == "-Infinity")
    }

    @Test("Whole numbers of every length")
    func integers() {
        var values: [UInt64] = [0, UInt64.max]
        var power: UInt64 = 1
        for _ in 0..<20 {
            values += [power &- 1, power, power &+ 1, power &* 7]
            power = power &* 10
        }
        for value in values {
            #expect(Self.text(value) == "\(value)")
            let signed = Int64(bitPattern: value)
            #expect(Self.text(signed) == "\(signed)")
        }
        #expect(Self.text(Int64.min) == "\(Int64.min)")
        for value in 0..<100_000 as Range<UInt64> {
            guard Self.text(value) != "\(value)" else { continue }
            Issue.record("\(value)")
        }
    }

    @Test("Arrays nest by shape")
    func arrays() {
        let bytes: [UInt8] = [1, 2, 3, 4, 5, 255]
        #expect(Self.array(.uint8, bytes) == "[1,2,3,4,5,255]")
        #expect(Self.array(.int8, bytes, shape: [2, 3]) == "[[1,2,3],[4,5,-1]]")
        #expect(Self.array(.uint8, bytes, shape: [3, 1, 2]) == "[[[1,2]],[[3,4]],[[5,255]]]")
        #expect(Self.array(.uint8, [7], shape: []) == "7")
        #expect(Self.array(.bool, [1, 0]) == "[true,false]")
        #expect(Self.array(.uint8, [], shape: [1 << 60, 0]) == "[]")
        #expect(Self.array(.uint16, [1, 2]) == "[513]")
        #expect(Self.array(.int16, [0xFF, 0xFF, 0, 0x80]) == "[-1,-32768]")
        #expect(Self.array(.float32, [0, 0, 0x80, 0x3F, 0, 0, 0xC0, 0x7F]) == "[1.0,NaN]")
    }

    @Test("A long array comes in pieces")
    func longArray() {
        let bytes = (0..<5000).map { UInt8(truncatingIfNeeded: $0) }
        let expected = "[" + bytes.map(String.init).joined(separator: ",") + "]"
        #expect(Self.array(.uint8, bytes) == expected)
    }
}
