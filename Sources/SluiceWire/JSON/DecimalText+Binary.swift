// From decimal to binary, rounded once to the nearest, ties to even.
//
// Three ways, by how hard the number is:
// 1. Clinger (1990): digits below 2^53 and a power of ten up to 10^22 are both exact doubles, so one
//    multiplication or division rounds correctly.
// 2. Eisel and Lemire ("Number parsing at a gigabyte per second", 2021): the digits times 128 bits
//    of the power of five give enough bits to round by. Mushtak and Lemire ("Fast number parsing
//    without fallback", 2023) proved that up to 19 digits never need more.
// 3. With more than 19 digits both w and w + 1 go through 2; if they agree, so does everything
//    between them. If not, the standard library decides, with what digits can matter.
extension DecimalText {
    /// The nearest double, or nil beyond the largest one.
    @inline(__always)
    func double(powers: PowersOfFive) -> Double? {
        let bits = isEasy ? clinger(powers).bitPattern : hardDouble(powers)
        guard bits < 0x7FF << 52 else { return nil }
        return Double(bitPattern: bits | sign &<< 63)
    }

    /// The nearest single-precision number, or nil beyond the largest one.
    ///
    /// A double rounded again is right unless it is close to the middle between two neighbours: all
    /// such middles are doubles, and rounding keeps order. So the double needn't even be the nearest
    /// one. Made of digits up to 2^63, rounded, and one exact power, it is wrong by at most two
    /// units in its last place, and the double of the number is on the same side of each middle
    /// that is further away. That spares most numbers of 17 digits, which is how Python writes
    /// single precision, the second way.
    @inline(__always)
    func float(powers: PowersOfFive) -> Float? {
        var bits: UInt32?
        if Int64(bitPattern: significand) >= 0, isEasyPower {
            let double = clinger(powers)
            // No normal number is smaller, as 10^-22 is above 2^-126.
            if (double.bitPattern & 0x1FFF_FFFF) &- 0x0FFF_FFFC > 8 {
                bits = Float(double).bitPattern
            }
        }
        let nearest = bits ?? UInt32(truncatingIfNeeded: hardFloat(powers))
        guard nearest < 0xFF << 23 else { return nil }
        return Float(bitPattern: nearest | UInt32(truncatingIfNeeded: sign) &<< 31)
    }

    @inline(__always)
    private var isEasy: Bool { significand <= 1 << 53 && isEasyPower }

    @inline(__always)
    private var isEasyPower: Bool { exponent &+ 22 >= 0 && exponent <= 22 && digits <= 19 }

    @inline(__always)
    private func clinger(_ powers: PowersOfFive) -> Double {
        let value = Double(Int64(truncatingIfNeeded: significand))
        let power = powers.ten(exponent.magnitude)
        return exponent < 0 ? value / power : value * power
    }

    // The sign is put in as a bit: signs come at random, and a branch on them is guessed wrong.
    @inline(__always)
    private var sign: UInt64 { isNegative ? 1 : 0 }

    @inline(__always)
    private func hardDouble(_ powers: PowersOfFive) -> UInt64 {
        digits <= 19
            ? DecimalText.nearestDouble(significand, exponent, powers)
            : manyDigits(.double, powers)
    }

    @inline(__always)
    private func hardFloat(_ powers: PowersOfFive) -> UInt64 {
        digits <= 19
            ? DecimalText.nearestFloat(significand, exponent, powers)
            : manyDigits(.float, powers)
    }

    // MARK: - Eisel-Lemire

    /// What the method needs to know of a binary format.
    struct Format {
        /// Bits behind the leading one.
        let fraction: Int
        /// The exponent's offset.
        let bias: Int
        /// Powers of ten for which a product can lie exactly between two neighbours.
        let ties: ClosedRange<Int>

        static var double: Format { Format(fraction: 52, bias: 1023, ties: -4...23) }
        static var float: Format { Format(fraction: 23, bias: 127, ties: -17...10) }

        var infinity: Int { 2 * bias + 1 }
    }

    // These two are calls: inlined they spoil the registers of the loop, and it loses a tenth.

    /// The bits of the double nearest to `digits` · 10^`power`.
    @inline(never)
    private static func nearestDouble(
        _ digits: UInt64,
        _ power: Int,
        _ powers: PowersOfFive
    ) -> UInt64 {
        nearest(digits, power, .double, powers)
    }

    /// The bits of the single-precision number nearest to `digits` · 10^`power`.
    @inline(never)
    private static func nearestFloat(
        _ digits: UInt64,
        _ power: Int,
        _ powers: PowersOfFive
    ) -> UInt64 {
        nearest(digits, power, .float, powers)
    }

    @inline(__always)
    private static func nearest(
        _ digits: UInt64,
        _ power: Int,
        _ format: Format,
        _ powers: PowersOfFive
    ) -> UInt64 {
        let infinite = UInt64(format.infinity) << UInt64(format.fraction)
        if digits == 0 || power < PowersOfFive.minimum { return 0 }
        if power > 308 { return infinite }
        let zeros = digits.leadingZeroBitCount
        let factor = digits &<< UInt64(zeros)
        let five = powers[power]
        var (high, low) = factor.multipliedFullWidth(by: five.upper)
        // The bits that decide the rounding are all ones: the lower half may carry into them.
        let undecided = UInt64.max >> UInt64(format.fraction + 3)
        if high & undecided == undecided {
            let (sum, carry) = low.addingReportingOverflow(
                factor.multipliedFullWidth(by: five.lower).high
            )
            low = sum
            high &+= carry ? 1 : 0
        }
        let top = Int(truncatingIfNeeded: high &>> 63)
        let shift = UInt64(top &+ 64 &- format.fraction &- 3)
        var fraction = high &>> shift
        // 217706 / 2^16 is log2(10): the exponent of the power's leading one.
        var exponent = (217_706 &* power) &>> 16 &+ 63 &+ top &- zeros &+ format.bias
        if exponent <= 0 {
            if exponent <= -63 { return 0 }
            fraction &>>= UInt64(1 &- exponent)
            fraction = (fraction &+ fraction & 1) &>> 1
            // Rounding up may have made the least normal number, whose bits these then are.
            return fraction
        }
        if low <= 1, format.ties.contains(power), fraction & 3 == 1, fraction &<< shift == high {
            fraction &= ~1
        }
        fraction = (fraction &+ fraction & 1) &>> 1
        if fraction >= 2 << UInt64(format.fraction) {
            fraction = 1 << UInt64(format.fraction)
            exponent &+= 1
        }
        if exponent >= format.infinity { return infinite }
        return fraction & ~(1 << UInt64(format.fraction)) | UInt64(exponent)
            &<< UInt64(format.fraction)
    }

    // MARK: - Many digits

    @inline(never)
    private func manyDigits(_ format: Format, _ powers: PowersOfFive) -> UInt64 {
        // All digits as one whole number times 10^exponent, without zeros in front.
        var place = unsafe first
        var left = digits
        while left > 0,
            unsafe place.pointee == UInt8(ascii: "0") || place.pointee == UInt8(ascii: ".")
        {
            unsafe left -= place.pointee == UInt8(ascii: "0") ? 1 : 0
            unsafe place += 1
        }
        // Zeros in front change nothing: the value hasn't wrapped.
        if left <= 19 { return DecimalText.nearest(significand, exponent, format, powers) }
        var value: UInt64 = 0
        var kept = 0
        var look = unsafe place
        while kept < 19 {
            if unsafe look.pointee != UInt8(ascii: ".") {
                value = unsafe value * 10 + UInt64(look.pointee - UInt8(ascii: "0"))
                kept += 1
            }
            unsafe look += 1
        }
        let power = exponent + (left - kept)
        let below = DecimalText.nearest(value, power, format, powers)
        let above = DecimalText.nearest(value + 1, power, format, powers)
        if below == above { return below }
        return unsafe undecided(place, left, format)
    }

    /// Asks the standard library; for numbers within a hair of the middle between two neighbours.
    ///
    /// A middle has at most 767 digits, so of those beyond 800 it only matters whether they are all
    /// zero. That bounds the cost, whatever the length of the text.
    private func undecided(_ start: UnsafePointer<UInt8>, _ count: Int, _ format: Format) -> UInt64
    {
        var text = ""
        text.reserveCapacity(830)
        var place = unsafe start
        var left = count
        var kept = 0
        var isSticky = false
        while left > 0 {
            if unsafe place.pointee != UInt8(ascii: ".") {
                left -= 1
                if kept < 800 {
                    unsafe text.unicodeScalars.append(Unicode.Scalar(place.pointee))
                    kept += 1
                } else {
                    isSticky = unsafe isSticky || place.pointee != UInt8(ascii: "0")
                }
            }
            unsafe place += 1
        }
        var power = exponent + (count - kept)
        if isSticky {
            text += "1"
            power -= 1
        }
        text += "e\(power)"
        if format.fraction == 23 { return UInt64((Float(text) ?? .infinity).bitPattern) }
        return (Double(text) ?? .infinity).bitPattern
    }
}
