import SluiceCore
import Testing

@Suite("Base64")
struct Base64Tests {
    @Test("What is written is read back, at every length", arguments: 0..<40)
    func roundTrip(length: Int) {
        let bytes = (0..<length).map { UInt8(truncatingIfNeeded: $0 &* 89 &+ 250) }
        var output = ByteBuffer(pool: BufferPool())
        unsafe bytes.withUnsafeBytes { unsafe Base64.append($0, to: &output) }
        let text = unsafe [UInt8](output.bytes)
        #expect(text.count == (length + 2) / 3 * 4 && Base64.decode(text) == bytes)
    }

    @Test(
        "RFC 4648 §10",
        arguments: [("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")]
    )
    func vectors(plain: String, expected: String) {
        var output = ByteBuffer(pool: BufferPool())
        unsafe Array(plain.utf8).withUnsafeBytes { unsafe Base64.append($0, to: &output) }
        #expect(unsafe String(decoding: output.bytes, as: UTF8.self) == expected)
    }
}
