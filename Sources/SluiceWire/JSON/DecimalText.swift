private import SluiceCore

/// A number's text taken apart: ±`significand` · 10^`exponent`, if its digits are few enough.
///
/// Digits are read eight at a time: a subtraction marks the bytes that aren't digits, a shift puts
/// zeros in front, and three multiplications turn eight digits into their value (the well-known
/// `parse_eight_digits` of D. Lemire, "Number parsing at a gigabyte per second", 2021, here for
/// zero to eight digits). So a number costs the same few steps whatever its length, and there is no
/// loop whose end the processor has to guess.
@safe
struct DecimalText: BitwiseCopyable {
    /// The digits' value; wrong (wrapped) when there are more than 19 of them.
    var significand: UInt64
    /// The power of ten that belongs to ``significand``.
    var exponent: Int
    /// How many digits there are, leading zeros and all.
    var digits: Int
    let isNegative: Bool
    /// Whether there is neither a point nor an exponent.
    let isInteger: Bool
    /// The first byte of the digits.
    let first: UnsafePointer<UInt8>
    /// Behind the last byte of the number.
    let end: UnsafePointer<UInt8>

    /// Takes apart the number at `start` (RFC 8259 §6); nil if none begins there.
    ///
    /// Never reads at or beyond `end`. What follows the number is the caller's to check.
    @inline(__always)
    init?(
        scanning start: UnsafePointer<UInt8>,
        end limit: UnsafePointer<UInt8>,
        powers: PowersOfFive
    ) {
        var place = unsafe start
        let isNegative = unsafe place < limit && place.pointee == ASCII.dash
        unsafe place += isNegative ? 1 : 0
        let first = unsafe place
        var value: UInt64 = 0
        if unsafe limit - place >= 2, unsafe ASCII.isDigit(place[0]),
            unsafe !ASCII.isDigit(place[1])
        {
            // One digit is most common, and known without waiting for a count.
            value = unsafe UInt64(place.pointee &- ASCII.zero)
            unsafe place += 1
        } else {
            unsafe place = unsafe DecimalText.digits(place, limit, powers, into: &value)
        }
        let whole = unsafe place - first
        // No digit, or a zero in front of others.
        guard whole > 0, unsafe whole == 1 || first.pointee != ASCII.zero else { return nil }
        var digits = whole
        var exponent = 0
        var isInteger = true
        if unsafe place < limit, unsafe place.pointee == ASCII.dot {
            unsafe place += 1
            let point = unsafe place
            unsafe place = unsafe DecimalText.fraction(place, limit, powers, into: &value)
            exponent = unsafe point - place
            guard exponent < 0 else { return nil }
            digits = whole &- exponent
            isInteger = false
        }
        if unsafe place < limit, unsafe place.pointee | 0x20 == UInt8(ascii: "e") {
            guard let power = unsafe DecimalText.power(&place, limit) else { return nil }
            exponent &+= power
            isInteger = false
        }
        self.significand = value
        self.exponent = exponent
        self.digits = digits
        self.isNegative = isNegative
        self.isInteger = isInteger
        unsafe self.first = unsafe first
        unsafe self.end = unsafe place
    }

    /// The digits as a whole number, or nil when they need more than 64 bits.
    var magnitude: UInt64? {
        if digits <= 19 { return significand }
        // A longer number has no leading zero: 20 digits may fit, 21 never do.
        guard digits == 20 else { return nil }
        var value: UInt64 = 0
        for step in 0..<20 {
            let (tenfold, wide) = value.multipliedReportingOverflow(by: 10)
            let (sum, carry) = unsafe tenfold.addingReportingOverflow(
                UInt64(first[step] - ASCII.zero)
            )
            guard !wide, !carry else { return nil }
            value = sum
        }
        return value
    }

    /// The value as a whole number, however it is written: 5, 5.0, 50e-1 and 0.5e1 are all five.
    ///
    /// Nil when it has a fraction, or needs more than 64 bits. Cost: one step a digit.
    @inline(never)
    var wholeMagnitude: UInt64? {
        if isInteger { return magnitude }
        var value: UInt64 = 0
        // Zeros at the end belong to the exponent, so that what has none can't be divided by ten.
        var zeros = 0
        var place = unsafe first
        while unsafe place < end, unsafe place.pointee | 0x20 != UInt8(ascii: "e") {
            let byte = unsafe place.pointee
            unsafe place += 1
            if byte == ASCII.dot { continue }
            guard byte != ASCII.zero else {
                zeros += value == 0 ? 0 : 1
                continue
            }
            guard let shifted = DecimalText.scaled(value, by: zeros + 1) else { return nil }
            let (sum, carry) = shifted.addingReportingOverflow(UInt64(byte - ASCII.zero))
            guard !carry else { return nil }
            (value, zeros) = (sum, 0)
        }
        guard value > 0 else { return 0 }
        let power = exponent + zeros
        return power < 0 ? nil : DecimalText.scaled(value, by: power)
    }

    /// `value` · 10^`power`, or nil when that needs more than 64 bits.
    private static func scaled(_ value: UInt64, by power: Int) -> UInt64? {
        guard value > 0 else { return 0 }
        // 10^20 is beyond 64 bits.
        guard power < 20 else { return nil }
        var value = value
        for _ in 0..<power {
            let (product, isWide) = value.multipliedReportingOverflow(by: 10)
            guard !isWide else { return nil }
            value = product
        }
        return value
    }

    // MARK: - Digits

    /// Steps over the digits at `start` and appends them to `value`, which may wrap.
    @inline(__always)
    private static func digits(
        _ start: UnsafePointer<UInt8>,
        _ limit: UnsafePointer<UInt8>,
        _ powers: PowersOfFive,
        into value: inout UInt64
    ) -> UnsafePointer<UInt8> {
        var place = unsafe start
        while true {
            let word = unsafe load(place, limit) ^ 0x3030_3030_3030_3030
            let bits = others(word)
            if bits == 64 {
                value = value &* 100_000_000 &+ eight(word)
                unsafe place += 8
                continue
            }
            // Shifted in two steps, as there may be no digit and a shift by 64 isn't one.
            let shifted = (word &<< 8) &<< UInt64(56 &- bits)
            value = value &* powers.whole(bits) &+ eight(shifted)
            return unsafe place + bits &>> 3
        }
    }

    /// As ``digits(_:_:_:into:)``, for the digits behind a point: up to sixteen without a branch.
    ///
    /// Where one number ends is where the next begins, so what decides is how long the processor
    /// waits for the count of digits. Two words are looked at side by side.
    @inline(__always)
    private static func fraction(
        _ start: UnsafePointer<UInt8>,
        _ limit: UnsafePointer<UInt8>,
        _ powers: PowersOfFive,
        into value: inout UInt64
    ) -> UnsafePointer<UInt8> {
        guard unsafe limit - start >= 16 else {
            return unsafe digits(start, limit, powers, into: &value)
        }
        let raw = unsafe UnsafeRawPointer(start)
        let word = unsafe raw.loadUnaligned(as: UInt64.self) ^ 0x3030_3030_3030_3030
        let next =
            unsafe raw.loadUnaligned(fromByteOffset: 8, as: UInt64.self) ^ 0x3030_3030_3030_3030
        let bits = others(word)
        let nextBits = bits == 64 ? others(next) : 0
        let shifted = bits == 0 ? 0 : word &<< UInt64(64 &- bits)
        let nextShifted = nextBits == 0 ? 0 : next &<< UInt64(64 &- nextBits)
        value =
            (value &* powers.whole(bits) &+ eight(shifted)) &* powers.whole(nextBits)
            &+ eight(nextShifted)
        let place = unsafe start + (bits &+ nextBits) &>> 3
        return unsafe nextBits == 64 ? digits(place, limit, powers, into: &value) : place
    }

    /// How many bits from the lowest on belong to digits, of a word with their zeros taken off.
    ///
    /// A byte above 9 gets its high bit; its carry can only spoil bytes above it.
    @inline(__always)
    private static func others(_ word: UInt64) -> Int {
        let marks = ((word &+ 0x7676_7676_7676_7676) | word) & 0x8080_8080_8080_8080
        return marks.trailingZeroBitCount & ~7
    }

    /// The value of eight digits, the first in the lowest byte.
    @inline(__always)
    private static func eight(_ word: UInt64) -> UInt64 {
        let pairs = word &* 10 &+ word &>> 8
        let low = (pairs & 0x0000_00FF_0000_00FF) &* 0x000F_4240_0000_0064
        let high = (pairs &>> 16 & 0x0000_00FF_0000_00FF) &* 0x0000_2710_0000_0001
        return (low &+ high) &>> 32
    }

    @inline(__always)
    private static func load(
        _ place: UnsafePointer<UInt8>,
        _ limit: UnsafePointer<UInt8>
    ) -> UInt64 {
        if unsafe limit - place >= 8 {
            return unsafe UnsafeRawPointer(place).loadUnaligned(as: UInt64.self)
        }
        return unsafe loadTail(place, limit)
    }

    /// What is left of the text, and zeros.
    @inline(never)
    private static func loadTail(
        _ place: UnsafePointer<UInt8>,
        _ limit: UnsafePointer<UInt8>
    ) -> UInt64 {
        var word: UInt64 = 0
        for step in unsafe 0..<max(0, limit - place) {
            unsafe word |= UInt64(place[step]) << UInt64(8 * step)
        }
        return word
    }

    /// Reads an exponent whose `e` is at `place`.
    @inline(never)
    private static func power(
        _ place: inout UnsafePointer<UInt8>,
        _ limit: UnsafePointer<UInt8>
    ) -> Int? {
        var step = unsafe place + 1
        let isNegative = unsafe step < limit && step.pointee == ASCII.dash
        if unsafe isNegative || step < limit && step.pointee == UInt8(ascii: "+") {
            unsafe step += 1
        }
        let first = unsafe step
        var value = 0
        while unsafe step < limit, unsafe ASCII.isDigit(step.pointee) {
            // Held far above what a text can make up for with digits, and below overflow.
            if value < 1 << 50 { value = unsafe 10 * value + Int(step.pointee - ASCII.zero) }
            unsafe step += 1
        }
        guard unsafe step > first else { return nil }
        unsafe place = unsafe step
        return isNegative ? -value : value
    }
}
