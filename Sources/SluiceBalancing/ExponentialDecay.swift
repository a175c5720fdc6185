import SluiceCore

/// Numbers that halve every seven seconds: an exponential decay with a time constant of 10 s, in
/// whole numbers, so that it fits into one atomic word beside its time.
enum ExponentialDecay {
    /// A coarse clock, 1.05 ms a step, of which 40 bits last for 36 years.
    static func step(at now: Instant) -> UInt64 {
        UInt64(truncatingIfNeeded: now.nanoseconds >> 20) & 0xFF_FFFF_FFFF
    }

    private static let halfLife: UInt64 = 6_610

    /// What is left of `value` after `steps`, within 1 % and rounded up.
    ///
    /// Within a half-life 2^-x is taken for 1 - 0.693 x + 0.193 x^2, whose slope at 0 is right: many
    /// small steps must come to the same as a large one.
    static func faded(_ value: UInt64, by steps: UInt64) -> UInt64 {
        let (halvings, rest) = steps.quotientAndRemainder(dividingBy: halfLife)
        guard halvings < 64 else { return 0 }
        let halved = value >> halvings
        let part = (rest << 16) / halfLife
        let lost = 45_426 * part - 12_658 * ((part * part) >> 16)
        return halved - ((halved * (lost >> 16)) >> 16)
    }

    /// Steps from one reading of the clock to another; 0 when another core's clock is behind.
    static func steps(from earlier: UInt64, to later: UInt64) -> UInt64 {
        later > earlier ? later - earlier : 0
    }
}
