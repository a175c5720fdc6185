import SluiceCore
import Testing

@Suite("The hash of tables")
struct TableHashTests {
    private static func hash(_ bytes: [UInt8]) -> UInt64 {
        unsafe bytes.withUnsafeBytes { unsafe TableHash.hash($0) }
    }

    @Test("Every bit of every length counts, and so does the length")
    func everyBit() {
        var random = RandomSource(seed: 3)
        var lengths: Set<UInt64> = []
        for count in 0..<80 {
            let bytes = (0..<count).map { _ in UInt8(truncatingIfNeeded: random.next()) }
            let hash = Self.hash(bytes)
            for index in bytes.indices {
                for bit in 0..<8 {
                    var other = bytes
                    other[index] ^= 1 << bit
                    #expect(Self.hash(other) != hash, "\(count) bytes, bit \(bit) of byte \(index)")
                }
            }
            lengths.insert(Self.hash([UInt8](repeating: 0, count: count)))
        }
        #expect(lengths.count == 80)
    }

    @Test("Names that differ in a digit or two spread over a table")
    func spread() {
        var places = [Int](repeating: 0, count: 4096)
        for number in 0..<8192 {
            let name = Array("customer-\(number)-classifier-v2".utf8)
            places[Int(Self.hash(name) & 4095)] += 1
        }
        // Two each on average; by chance, eleven in one place once in some three tables of this size.
        #expect(places.max() ?? 0 < 14)
        #expect(places.count { $0 == 0 } < 700)
    }

    @Test("Pieces hashed one after the other aren't what the whole is, nor what other pieces are")
    func fragments() {
        func hash(_ fragments: String...) -> UInt64 {
            fragments.reduce(7) { state, fragment in
                unsafe Array(fragment.utf8).withUnsafeBytes { unsafe TableHash.hash($0, state) }
            }
        }
        let all = [
            hash("abcd"), hash("ab", "cd"), hash("a", "bcd"), hash("abc", "d"), hash("cd", "ab"),
        ]
        #expect(Set(all).count == all.count)
    }
}
