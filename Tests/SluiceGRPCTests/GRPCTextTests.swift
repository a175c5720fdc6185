import SluiceCore
import SluiceGRPC
import SluiceWire
import Testing

@Suite("gRPC's small grammars")
struct GRPCTextTests {
    @Test(
        "grpc-timeout follows the grammar of gRPC over HTTP/2",
        arguments: [
            ("1H", 3_600_000_000_000), ("5S", 5_000_000_000), ("250m", 250_000_000),
            ("99999999u", 99_999_999_000), ("1n", 1), ("0S", 0), ("", nil), ("S", nil),
            ("123456789S", nil), ("1x", nil), ("-1S", nil), ("1.5S", nil), (" 1S", nil),
        ] as [(String, Int64?)]
    )
    func timeouts(text: String, expected: Int64?) {
        let bytes = Array(text.utf8)
        let parsed = unsafe bytes.withUnsafeBytes { unsafe GRPCTimeout.parse($0) }
        #expect(parsed?.nanoseconds == expected)
    }

    @Test("A written timeout reads back, rounded down", arguments: 0..<500 as Range<UInt64>)
    func roundTrip(seed: UInt64) throws {
        var random = RandomSource(seed: seed)
        let nanoseconds = Int64(random.next() >> UInt64(8 + random.next(below: 48)))
        var place = [UInt8](repeating: 0, count: 16)
        let length = unsafe place.withUnsafeMutableBufferPointer {
            unsafe GRPCTimeout.write(
                nanoseconds: nanoseconds,
                to: $0.baseAddress.unsafelyUnwrapped
            )
        }
        let read = unsafe place[..<length].withUnsafeBytes { unsafe GRPCTimeout.parse($0) }
        let back = try #require(read).nanoseconds
        #expect(back <= nanoseconds && nanoseconds - back <= max(1, nanoseconds / 99_999))
    }

    @Test(
        "Status messages are percent-encoded",
        arguments: [
            ("plain text", "plain text"), ("100%", "100%25"), ("a\nb", "a%0Ab"),
            ("ä", "%C3%A4"), ("~ ", "~ "),
        ]
    )
    func messages(text: String, expected: String) {
        #expect(StatusMessage.encode(text) == expected)
    }

    @Test(
        "Base64 takes padding or leaves it",
        arguments: [
            ("", []), ("Zg==", [102]), ("Zg", [102]), ("Zm8=", [102, 111]),
            ("Zm9v", [102, 111, 111]),
            ("Z", nil), ("Zg=x", nil), ("Zm9!", nil),
        ] as [(String, [UInt8]?)]
    )
    func base64(text: String, expected: [UInt8]?) {
        #expect(Base64.decode(text.utf8) == expected)
    }

    @Test(
        "Every known method is found by its path, and nothing else is",
        arguments: GRPCMethod.allCases
    )
    func methods(method: GRPCMethod) {
        let path = Array(method.path.description.utf8)
        #expect(unsafe path.withUnsafeBytes { unsafe GRPCMethod.lookup($0) } == method)
        let other = path + [0x78]
        #expect(unsafe other.withUnsafeBytes { unsafe GRPCMethod.lookup($0) } == .unknown)
    }

    @Test("Protobuf that is written reads back", arguments: 0..<200 as Range<UInt64>)
    func wire(seed: UInt64) throws {
        var random = RandomSource(seed: seed)
        var writer = WireWriter()
        var numbers: [UInt64] = []
        for _ in 0..<20 {
            let value = random.next() >> UInt64(random.next(below: 64))
            numbers.append(value)
            writer.varint(field: 1 + random.next(below: 1000), value)
        }
        let bytes = writer.bytes
        let read: [UInt64] = unsafe bytes.withUnsafeBytes { raw in
            var reader = unsafe WireReader(raw)
            var found: [UInt64] = []
            while let field = try? reader.nextField() {
                if case .varint(let value) = field.value { found.append(value) }
            }
            return found
        }
        #expect(read == numbers)
    }
}
