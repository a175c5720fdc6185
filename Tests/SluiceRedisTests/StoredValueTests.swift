import SluiceCore
import SluiceRedis
import Testing

@Suite("Values in Redis")
struct StoredValueTests {
    static func stored(_ value: StoredValue, key: String, answer: [UInt8]) -> [UInt8] {
        var output = ByteBuffer(pool: BufferPool())
        unsafe Array(key.utf8).withUnsafeBytes { key in
            unsafe answer.withUnsafeBytes { answer in
                unsafe value.appendHeader(key: key, answer: answer, to: &output)
            }
        }
        output.append(answer)
        return unsafe Array(output.bytes)
    }

    static func read(_ value: [UInt8], key: String) -> StoredValue? {
        unsafe value.withUnsafeBytes { value in
            unsafe Array(key.utf8).withUnsafeBytes { unsafe StoredValue(value, key: $0) }
        }
    }

    @Test("A value reads back under its key", arguments: [0, 1, 7, 31, 32, 33, 4096])
    func roundTrip(count: Int) {
        let value = StoredValue(form: 0x1234, freshUntilMilliseconds: 1_790_000_000_123)
        let answer = (0..<count).map { UInt8(truncatingIfNeeded: $0) }
        let bytes = StoredValueTests.stored(value, key: "k", answer: answer)
        #expect(bytes.count == 32 + count)
        #expect(StoredValueTests.read(bytes, key: "k") == value)
        #expect(StoredValueTests.read(bytes, key: "K") == nil)
        #expect(StoredValueTests.read(bytes, key: "") == nil)
    }

    @Test("A changed bit, a lost end and a foreign value are misses", .tags(.property))
    func damage() {
        let value = StoredValue(form: 1, freshUntilMilliseconds: 7)
        let bytes = StoredValueTests.stored(value, key: "k", answer: Array("an answer".utf8))
        for bit in 0..<(8 * bytes.count) {
            var damaged = bytes
            damaged[bit / 8] ^= 1 << UInt8(bit % 8)
            #expect(StoredValueTests.read(damaged, key: "k") == nil, "bit \(bit)")
        }
        for count in 0..<bytes.count {
            #expect(StoredValueTests.read(Array(bytes[..<count]), key: "k") == nil)
        }
        #expect(StoredValueTests.read(bytes + [0], key: "k") == nil)
        #expect(StoredValueTests.read([UInt8](repeating: 0, count: 64), key: "k") == nil)
    }
}
