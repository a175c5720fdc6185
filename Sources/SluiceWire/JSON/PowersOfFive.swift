/// The upper 128 bits of the powers of five, which is all that is hard about powers of ten.
///
/// 10^q is 5^q · 2^q, and the second factor is exact. Entry q holds 5^q shifted so that its highest
/// bit is bit 127, for q from -342 (10^-342 times 19 digits is below the least double) through 324
/// (writing the least double multiplies by that). The values aren't typed in but derived, once:
/// upwards 5^q is multiplied out exactly; downwards 2^1024 / 5^-q comes from dividing by five again
/// and again, as the floor of a floor's fifth is the floor of the whole division. What doesn't fit
/// 128 bits is cut off; from -1 to -27 one is added instead, as Eisel and Lemire's method wants.
@safe
struct PowersOfFive: BitwiseCopyable {
    static let minimum = -342
    static let maximum = 324

    // The halves of each entry, upper first. Made once, never freed or changed.
    private let entries: UnsafePointer<UInt64>

    private let tens: UnsafePointer<Double>
    private let wholes: UnsafePointer<UInt64>

    nonisolated(unsafe) static let table = PowersOfFive()

    /// The entry of `power`, which is from ``minimum`` through ``maximum``.
    @inline(__always)
    subscript(power: Int) -> (upper: UInt64, lower: UInt64) {
        let index = 2 &* (power &- PowersOfFive.minimum)
        return unsafe (entries[index], entries[index &+ 1])
    }

    /// The entry of `power`, rounded up where it isn't exact, as writing numbers wants it.
    @inline(__always)
    func ceiling(_ power: Int) -> (upper: UInt64, lower: UInt64) {
        let (upper, lower) = self[power]
        if power >= -27, power <= 55 { return (upper, lower) }
        let (sum, carry) = lower.addingReportingOverflow(1)
        return (upper &+ (carry ? 1 : 0), sum)
    }

    /// 10^`power` for 0 through 22, which are exact.
    @inline(__always)
    func ten(_ power: UInt) -> Double { unsafe tens[Int(truncatingIfNeeded: power)] }

    /// 10 to the power of `bits` / 8, for 0 through 8 digits of 8 bits.
    @inline(__always)
    func whole(_ bits: Int) -> UInt64 { unsafe wholes[bits &>> 3] }

    private init() {
        let count = PowersOfFive.maximum - PowersOfFive.minimum + 1
        let memory = UnsafeMutablePointer<UInt64>.allocate(capacity: 2 * count)
        func store(_ power: Int, _ limbs: [UInt64], adding one: UInt64) {
            let (upper, lower) = PowersOfFive.top(of: limbs)
            let (sum, carry) = lower.addingReportingOverflow(one)
            unsafe memory[2 * (power - PowersOfFive.minimum)] = upper + (carry ? 1 : 0)
            unsafe memory[2 * (power - PowersOfFive.minimum) + 1] = sum
        }
        // Numbers of 1,088 bits, lowest limb first: room for 5^324 (753 bits) and 2^1024.
        var limbs = [UInt64](repeating: 0, count: 17)
        limbs[0] = 1
        for power in 0...PowersOfFive.maximum {
            store(power, limbs, adding: 0)
            var carry: UInt64 = 0
            for index in limbs.indices {
                let (high, low) = limbs[index].multipliedFullWidth(by: 5)
                let (sum, overflow) = low.addingReportingOverflow(carry)
                limbs[index] = sum
                carry = high + (overflow ? 1 : 0)
            }
        }
        limbs = [UInt64](repeating: 0, count: 16) + [1]
        for power in 1...(-PowersOfFive.minimum) {
            var rest: UInt64 = 0
            for index in limbs.indices.reversed() {
                let (quotient, remainder) = UInt64(5).dividingFullWidth((rest, limbs[index]))
                limbs[index] = quotient
                rest = remainder
            }
            store(-power, limbs, adding: power <= 27 ? 1 : 0)
        }
        unsafe entries = unsafe UnsafePointer(memory)
        let exact = UnsafeMutablePointer<Double>.allocate(capacity: 23)
        var ten = 1.0
        for power in 0...22 {
            unsafe exact[power] = ten
            ten *= 10
        }
        let small = UnsafeMutablePointer<UInt64>.allocate(capacity: 9)
        for power in 0...8 { unsafe small[power] = unsafe UInt64(exact[power]) }
        unsafe wholes = unsafe UnsafePointer(small)
        unsafe tens = unsafe UnsafePointer(exact)
    }

    /// The highest 128 bits of a number, from its highest one on.
    private static func top(of limbs: [UInt64]) -> (UInt64, UInt64) {
        var highest = limbs.count - 1
        while limbs[highest] == 0 { highest -= 1 }
        func limb(_ index: Int) -> UInt64 { index >= 0 ? limbs[index] : 0 }
        let shift = UInt64(limbs[highest].leadingZeroBitCount)
        func shifted(_ index: Int) -> UInt64 {
            limb(index) << shift | limb(index - 1) >> (64 - shift)
        }
        return (shifted(highest), shifted(highest - 1))
    }
}
