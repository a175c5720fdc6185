/// The shortest decimal that reads back as a given binary number, and of those the nearest one.
///
/// Raffaello Giulietti's Schubfach ("The Schubfach way to render doubles", 2020), after Alexander
/// Bolz's shape of it: scale the number and the two middles to its neighbours by one power of ten,
/// so that there is a whole number between the middles but at most one multiple of ten. Three
/// products with 128 bits of a power of five decide all. The formula is written for doubles; any
/// format with fewer bits is a special case of it, so one routine serves all four.
struct ShortestDecimal: BitwiseCopyable {
    /// The digits as a number, and how many places the point is to the right of them.
    let digits: UInt64
    let exponent: Int

    /// The decimal for `significand` · 2^`exponent`, which isn't zero.
    ///
    /// `isPower` tells that the neighbour below is only half as far as the one above, which is so
    /// for powers of two.
    @inline(__always)
    init(significand: UInt64, exponent: Int, isPower: Bool, powers: PowersOfFive) {
        // Inclusive bounds for even numbers: a reader's tie goes to them.
        let odd = significand & 1
        let closer = isPower ? 1 : 0
        // floor(log10(2^q)), or of 3/4 of that.
        let k = (exponent &* 1_262_611 &- (isPower ? 524_031 : 0)) &>> 22
        // 1741647 / 2^19 is log2(10).
        let h = UInt64(truncatingIfNeeded: exponent &+ (-k &* 1_741_647) &>> 19 &+ 1)
        let five = powers.ceiling(-k)
        let middle = 4 &* significand
        let below = ShortestDecimal.product(
            five,
            (middle &- 2 &+ UInt64(closer)) &<< h
        )
        let value = ShortestDecimal.product(five, middle &<< h)
        let above = ShortestDecimal.product(five, (middle &+ 2) &<< h)
        let lower = below &+ odd
        let upper = above &- odd
        let whole = value &>> 2
        let tens = whole / 10
        let tenBelow = lower <= 40 &* tens
        let tenAbove = 40 &* tens &+ 40 <= upper
        if whole >= 10, tenBelow != tenAbove {
            (digits, self.exponent) = ShortestDecimal.trimmed(tens &+ (tenAbove ? 1 : 0), k &+ 1)
            return
        }
        self.exponent = k
        let oneBelow = lower <= 4 &* whole
        let oneAbove = 4 &* whole &+ 4 <= upper
        if oneBelow != oneAbove {
            digits = whole &+ (oneAbove ? 1 : 0)
            return
        }
        let half = 4 &* whole &+ 2
        digits = whole &+ (value > half || value == half && whole & 1 == 1 ? 1 : 0)
    }

    /// The upper 64 bits of a product of 128 and 64, the lowest one set if anything is cut off.
    @inline(__always)
    private static func product(_ five: (upper: UInt64, lower: UInt64), _ factor: UInt64) -> UInt64
    {
        let low = five.lower.multipliedFullWidth(by: factor).high
        let (high, middle) = five.upper.multipliedFullWidth(by: factor)
        let (sum, carry) = middle.addingReportingOverflow(low)
        return (high &+ (carry ? 1 : 0)) | (sum > 1 ? 1 : 0)
    }

    /// The same number without zeros at the end.
    @inline(__always)
    private static func trimmed(_ digits: UInt64, _ exponent: Int) -> (UInt64, Int) {
        var (digits, exponent) = (digits, exponent)
        while true {
            let tenth = digits / 10
            guard tenth &* 10 == digits else { return (digits, exponent) }
            digits = tenth
            exponent &+= 1
        }
    }
}
