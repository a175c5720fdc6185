import SluiceCore

/// Huffman-coded strings (RFC 7541 §5.2, Appendix B), read only: our encoder sends plain octets.
///
/// The code is canonical: among codes of one length the symbols count up in order. So the lengths
/// say everything, and decoding needs the first code and the symbols of each length. Ten bits are
/// looked up at once, which covers all that common text and queries use; longer codes walk over the
/// lengths.
/// The tables are written once, before anybody can see them.
@safe
struct HPACKHuffman: BitwiseCopyable, @unchecked Sendable {
    private static let quickBits = 10
    private static let longest = 30
    private static let endOfString: UInt16 = 256

    /// For each ten bits: the symbol in the low byte and the code's length above it, or 0.
    private let quick: UnsafePointer<UInt16>
    /// All symbols, by length and then by number.
    private let symbols: UnsafePointer<UInt16>
    /// For each length: one more than its last code, aligned to the left of 32 bits.
    private let limits: UnsafePointer<UInt64>
    /// For each length: its first code, and where its symbols begin.
    private let firsts: UnsafePointer<(code: UInt32, index: Int)>

    /// The one table; it lives as long as the process.
    static let shared = HPACKHuffman()

    private init() {
        let quickBits = HPACKHuffman.quickBits
        let quick = UnsafeMutablePointer<UInt16>.allocate(capacity: 1 << quickBits)
        let symbols = UnsafeMutablePointer<UInt16>.allocate(capacity: 257)
        let limits = UnsafeMutablePointer<UInt64>.allocate(capacity: HPACKHuffman.longest + 1)
        let firsts = UnsafeMutablePointer<(code: UInt32, index: Int)>
            .allocate(capacity: HPACKHuffman.longest + 1)
        unsafe quick.initialize(repeating: 0, count: 1 << quickBits)
        var (code, index) = (UInt32(0), 0)
        for length in 0...HPACKHuffman.longest {
            code <<= 1
            unsafe firsts[length] = (code, index)
            for symbol in 0...256 where Int(HPACKHuffman.lengths[symbol]) == length && length > 0 {
                unsafe symbols[index] = UInt16(symbol)
                if length <= quickBits {
                    let entry = UInt16(symbol) | UInt16(length) << 8
                    let rest = quickBits - length
                    for low in 0..<1 << rest { unsafe quick[Int(code) << rest + low] = entry }
                }
                code += 1
                index += 1
            }
            unsafe limits[length] = UInt64(code) << UInt64(32 - length)
        }
        unsafe self.quick = UnsafePointer(quick)
        unsafe self.symbols = UnsafePointer(symbols)
        unsafe self.limits = UnsafePointer(limits)
        unsafe self.firsts = UnsafePointer(firsts)
    }

    /// The most bytes that `count` coded ones can spell: the shortest code has five bits.
    @inline(__always)
    static func bound(_ count: Int) -> Int { (count &* 8) / 5 &+ 1 }

    /// Decodes `text` to `place`, which has room for ``bound(_:)``; nil when it isn't well coded.
    ///
    /// What is left at the end must be under eight bits, all ones (§5.2).
    func decode(_ text: UnsafeRawBufferPointer, to place: UnsafeMutablePointer<UInt8>) -> Int? {
        guard let base = text.baseAddress else { return 0 }
        // The next bits stand at the top of `bits`; `held` of them are real.
        var (bits, held) = (UInt64(0), UInt64(0))
        var (next, written) = (0, 0)
        while true {
            if next &+ 8 <= text.count {
                let word = unsafe UInt64(
                    bigEndian: base.loadUnaligned(fromByteOffset: next, as: UInt64.self)
                )
                bits |= word &>> held
                let taken = (63 &- held) &>> 3
                next &+= Int(taken)
                held &+= taken &<< 3
                // Bits of a byte that isn't counted yet come again with the next load.
            } else {
                while held <= 56, next < text.count {
                    unsafe bits |= UInt64(text[next]) << (56 &- held)
                    held &+= 8
                    next &+= 1
                }
            }
            guard held > 0 else { return written }
            while true {
                let entry = unsafe quick[Int(bits &>> UInt64(64 &- HPACKHuffman.quickBits))]
                let length = UInt64(entry &>> 8)
                // A code's own bits tell it, whatever stands behind them.
                guard entry != 0, length <= held else { break }
                unsafe place[written] = UInt8(truncatingIfNeeded: entry)
                written &+= 1
                bits &<<= length
                held &-= length
            }
            // One symbol the long way: few bits are left, or its code is long.
            if held < UInt64(HPACKHuffman.longest), next < text.count { continue }
            guard held > 0 else { return written }
            let top = bits >> 32
            var length = 5
            // The last limit is above all 32-bit numbers.
            while unsafe top >= limits[length] { length &+= 1 }
            // A code that reaches beyond the text can only be padding.
            guard UInt64(length) <= held else { return isPadding(bits, held) ? written : nil }
            let first = unsafe firsts[length]
            let offset = Int(top >> UInt64(32 &- length)) &- Int(first.code)
            let symbol = unsafe symbols[first.index &+ offset]
            guard symbol != HPACKHuffman.endOfString else { return nil }
            unsafe place[written] = UInt8(truncatingIfNeeded: symbol)
            written &+= 1
            bits <<= UInt64(length)
            held &-= UInt64(length)
        }
    }

    private func isPadding(_ bits: UInt64, _ held: UInt64) -> Bool {
        held < 8 && bits >> (64 - held) == (1 << held) - 1
    }

    /// The length in bits of each symbol's code; the last is the end of string.
    private static let lengths: [UInt8] = [
        13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30,
        28, 28, 28, 28, 28, 28, 28, 28, 28, 6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6,
        5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10, 13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7,
        7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6, 15, 5, 6, 5, 6, 5, 6, 6, 6, 5,
        7, 7, 6, 6, 6, 5, 6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28, 20, 22, 20, 20, 22,
        22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23, 24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23,
        22, 23, 23, 24, 22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23, 21, 21, 22,
        21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23, 26, 26, 20, 19, 22, 23, 22, 25, 26, 26,
        26, 27, 27, 26, 24, 25, 19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27, 20,
        24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23, 26, 27, 26, 26, 27, 27, 27, 27,
        27, 28, 27, 27, 27, 27, 27, 26, 30,
    ]
}
