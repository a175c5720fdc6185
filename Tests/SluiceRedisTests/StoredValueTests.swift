import SluiceCore
import SluiceRedis
import Testing

@Suite("Values in Redis")
struct StoredValueTests {
    static func stored(_ value: StoredValue, key: UInt64, answer: [UInt8]) -> [UInt8] {
        var output = ByteBuffer(pool: BufferPool())
        unsafe answer.withUnsafeBytes { answer in
            unsafe value.appendHeader(key: key, answer: answer, to: &output)
        }
        output.append(answer)
        return unsafe Array(output.bytes)
    }

    static func read(_ value: [UInt8], key: UInt64) -> StoredValue? {
        unsafe value.withUnsafeBytes { unsafe StoredValue($0, key: key) }
    }

    @Test("A value reads back under its key", arguments: [0, 1, 7, 31, 32, 33, 4096])
    func roundTrip(count: Int) {
        let value = StoredValue(form: 0x1234, freshUntilMilliseconds: 1_790_000_000_123)
        let answer = (0..<count).map { UInt8(truncatingIfNeeded: $0) }
        let bytes = StoredValueTests.stored(value, key: 75, answer: answer)
        #expect(bytes.count == 32 + count)
        #expect(StoredValueTests.read(bytes, key: 75) == value)
        #expect(StoredValueTests.read(bytes, key: 76) == nil)
        #expect(StoredValueTests.read(bytes, key: 0) == nil)
    }

    @Test("A changed bit, a lost end and a foreign value are misses", .tags(.property))
    func damage() {
        let value = StoredValue(form: 1, freshUntilMilliseconds: 7)
        let bytes = StoredValueTests.stored(value, key: 75, answer: Array("an answer".utf8))
        for bit in 0..<(8 * bytes.count) {
            var damaged = bytes
            damaged[bit / 8] ^= 1 << UInt8(bit % 8)
            #expect(StoredValueTests.read(damaged, key: 75) == nil, "bit \(bit)")
        }
        for count in 0..<bytes.count {
            #expect(StoredValueTests.read(Array(bytes[..<count]), key: 75) == nil)
        }
        #expect(StoredValueTests.read(bytes + [0], key: 75) == nil)
        #expect(StoredValueTests.read([UInt8](repeating: 0, count: 64), key: 75) == nil)
    }
}
