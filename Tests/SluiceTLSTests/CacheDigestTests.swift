import SluiceTLS
import Testing

@Suite("SHA-256 for cache keys")
struct CacheDigestTests {
    private static func digest(_ fragments: [[UInt8]], by digest: inout CacheDigest) -> String {
        for fragment in fragments { unsafe fragment.withUnsafeBytes { unsafe digest.append($0) } }
        var result = [UInt8](repeating: 0, count: CacheDigest.byteCount)
        unsafe result.withUnsafeMutableBytes { unsafe digest.finish(into: $0) }
        return result.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
    }

    // FIPS 180-2, Appendix B.1 to B.3; the empty message is from NIST's SHA256ShortMsg.rsp.
    private static let vectors: [(String, String)] = [
        ("", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
        ("abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
        (
            "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"
        ),
        (
            String(repeating: "a", count: 1_000_000),
            "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"
        ),
    ]

    @Test("One context gives the published digests, one after the other, however it is fed")
    func published() {
        var digest = CacheDigest()
        for (text, expected) in CacheDigestTests.vectors {
            let bytes = Array(text.utf8)
            #expect(CacheDigestTests.digest([bytes], by: &digest) == expected)
            let cut = bytes.count / 3
            let fragments = [Array(bytes[..<cut]), [], Array(bytes[cut...])]
            #expect(CacheDigestTests.digest(fragments, by: &digest) == expected)
        }
    }

    @Test("A number counts as its eight bytes, the lowest first")
    func number() {
        var digest = CacheDigest()
        digest.append(number: 0x0102)
        let ofNumber = CacheDigestTests.digest([], by: &digest)
        #expect(ofNumber == CacheDigestTests.digest([[2, 1, 0, 0, 0, 0, 0, 0]], by: &digest))
    }
}
