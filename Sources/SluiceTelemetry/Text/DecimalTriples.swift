import SluiceCore

/// The numbers below a thousand as text, written once, before anybody can see them.
///
/// A number in an access line costs a look-up for each three of its digits instead of a division
/// for each two.
@safe
struct DecimalTriples: BitwiseCopyable, @unchecked Sendable {
    /// Three digits in memory order, and above them how many of them count.
    private let words: UnsafePointer<UInt32>

    /// The one table; it lives as long as the process, and nobody writes to it.
    static let shared = DecimalTriples()

    private init() {
        let words = UnsafeMutablePointer<UInt32>.allocate(capacity: 1_000)
        for value in UInt32(0)..<1_000 {
            let digits = (value / 100, value / 10 % 10, value % 10)
            let count: UInt32 = value < 10 ? 1 : value < 100 ? 2 : 3
            let text = 0x30_3030 | digits.0 | digits.1 << 8 | digits.2 << 16
            unsafe (words + Int(value)).initialize(to: (text | count << 24).littleEndian)
        }
        unsafe self.words = UnsafePointer(words)
    }

    /// All three digits, in the lowest three bytes in memory order.
    @inline(__always)
    func long(_ value: UInt64) -> UInt32 { unsafe words[Int(value)] }

    /// Only the digits that count, in the lowest bytes in memory order, and how many they are.
    @inline(__always)
    func short(_ value: UInt64) -> (word: UInt32, count: Int) {
        let word = unsafe UInt32(littleEndian: words[Int(value)])
        let count = word &>> 24
        // The digits lie first to last from the lowest byte up; leading zeros are shifted out.
        return ((word &>> (8 &* (3 &- count))).littleEndian, Int(count))
    }
}
