private import SluiceCore

/// Decimal digits as text, eight at a time.
///
/// The reverse of how `DecimalText` reads: three multiplications split a number below 10^8 into
/// halves, pairs and digits, each in a byte of its own. No table, no loop over digits. Words are
/// stored whole, so that lengths, which come at random, decide nothing: whoever calls leaves
/// `JSONNumberText.room`.
enum DecimalDigits {
    /// Writes `value` without leading zeros, and returns the length, at most 20.
    @inline(__always)
    static func write(_ value: UInt64, to place: UnsafeMutablePointer<UInt8>) -> Int {
        if value < 100_000_000 { return unsafe writeHead(value, place) }
        let upper = value / 100_000_000
        let length: Int
        if upper < 100_000_000 {
            length = unsafe writeHead(upper, place)
        } else {
            length = unsafe writeHead(upper / 100_000_000, place) &+ 8
            unsafe store(spread(upper % 100_000_000), place + (length &- 8))
        }
        unsafe store(spread(value % 100_000_000), place + length)
        return length &+ 8
    }

    /// Writes a decimal with a point or an exponent, and returns the length, at most 23.
    @inline(__always)
    static func write(
        _ decimal: ShortestDecimal,
        isPlain: Bool,
        to place: UnsafeMutablePointer<UInt8>
    ) -> Int {
        let length = unsafe write(decimal.digits, to: place)
        let point = length &+ decimal.exponent
        if isPlain, point > -4 {
            if point <= 0 {
                // A zero, the point and up to three zeros go in front.
                let (first, second) = unsafe (load(place), load(place + 8))
                let third = unsafe load(place + 16)
                let front = 2 &- point
                unsafe store(0x3030_3030_3030_2E30, place)
                unsafe store(first, place + front)
                unsafe store(second, place + (front &+ 8))
                unsafe store(third, place + (front &+ 16))
                return front &+ length
            }
            if point < length {
                unsafe insertPoint(place + point)
                return length &+ 1
            }
            // Whole: zeros up to the point.
            for step in length..<point { unsafe place[step] = ASCII.zero }
            unsafe place[point] = ASCII.dot
            unsafe place[point &+ 1] = ASCII.zero
            return point &+ 2
        }
        var end = 1
        if length > 1 {
            unsafe insertPoint(place + 1)
            end = length &+ 1
        }
        let power = point &- 1
        unsafe place[end] = UInt8(ascii: "e")
        unsafe place[end &+ 1] = power < 0 ? ASCII.dash : UInt8(ascii: "+")
        end &+= 2
        if power.magnitude < 10 {
            unsafe place[end] = ASCII.zero
            end &+= 1
        }
        return unsafe end &+ writeHead(UInt64(power.magnitude), place + end)
    }

    // MARK: - Pieces

    /// Writes a number below 10^8 without leading zeros, into eight bytes of room.
    @inline(__always)
    private static func writeHead(_ value: UInt64, _ place: UnsafeMutablePointer<UInt8>) -> Int {
        let digits = spread(value)
        // Leading zeros are the low bytes; zero itself keeps one.
        let bits = min((digits ^ 0x3030_3030_3030_3030).trailingZeroBitCount & ~7, 56)
        let length = 8 &- bits &>> 3
        unsafe store(digits &>> UInt64(bits), place)
        return length
    }

    /// The eight digits of a number below 10^8 as text, the first in the lowest byte.
    @inline(__always)
    private static func spread(_ value: UInt64) -> UInt64 {
        // Halves of four digits, each in 32 bits; then pairs in 16; then digits in 8. The factors
        // are 1/100 and 1/10 in fixed point, exact for what can occur.
        let upper = value / 10_000
        let halves = upper | (value &- 10_000 &* upper) &<< 32
        let hundreds = (halves &* 10_486) &>> 20 & 0x0000_007F_0000_007F
        let pairs = hundreds | (halves &- 100 &* hundreds) &<< 16
        let tens = (pairs &* 103) &>> 10 & 0x000F_000F_000F_000F
        return (tens | (pairs &- 10 &* tens) &<< 8) | 0x3030_3030_3030_3030
    }

    @inline(__always)
    private static func store(_ digits: UInt64, _ place: UnsafeMutablePointer<UInt8>) {
        unsafe UnsafeMutableRawPointer(place).storeBytes(of: digits, as: UInt64.self)
    }

    @inline(__always)
    private static func load(_ place: UnsafeMutablePointer<UInt8>) -> UInt64 {
        unsafe UnsafeRawPointer(place).loadUnaligned(as: UInt64.self)
    }

    /// Moves the up to sixteen digits at `place` by one, for a point.
    @inline(__always)
    private static func insertPoint(_ place: UnsafeMutablePointer<UInt8>) {
        let (first, second) = unsafe (load(place), load(place + 8))
        unsafe place.pointee = ASCII.dot
        unsafe store(first, place + 1)
        unsafe store(second, place + 9)
    }
}
