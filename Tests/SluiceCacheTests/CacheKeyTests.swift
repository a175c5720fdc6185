import SluiceCache
import SluiceCore
import Testing

@Suite("Keys")
struct CacheKeyTests {
    @Test("A key is written as its digest is", .tags(.property))
    func hexadecimal() {
        let digest = (0..<32).map { UInt8($0 * 8 + 3) }
        let key = unsafe digest.withUnsafeBytes { unsafe CacheKey(digest: $0) }
        var output = ByteBuffer(pool: BufferPool())
        key.appendHexadecimal(to: &output)
        let text = unsafe String(decoding: output.bytes, as: UTF8.self)
        let expected = digest.map { byte in
            (byte < 16 ? "0" : "") + String(byte, radix: 16)
        }.joined()
        #expect(text == expected)
    }

    @Test("Keys that differ in one bit differ", arguments: 0..<256)
    func bits(bit: Int) {
        var digest = [UInt8](repeating: 0xA5, count: 32)
        let key = unsafe digest.withUnsafeBytes { unsafe CacheKey(digest: $0) }
        digest[bit / 8] ^= 1 << UInt8(bit % 8)
        #expect(unsafe digest.withUnsafeBytes { unsafe CacheKey(digest: $0) } != key)
    }

    @Test("A scope contains what it names")
    func scopes() {
        let (first, second) = (
            CacheTag(model: "iris", revision: "v1"), CacheTag(model: "iris", revision: "v2")
        )
        #expect(CacheScope.model(first).contains(second))
        #expect(!CacheScope.revision(first).contains(second))
        #expect(!CacheScope.model(first).contains(CacheTag(model: "iriS", revision: "v1")))
        #expect(CacheScope.everything.contains(second))
    }
}
