// Sixteen buckets to each doubling
// --------------------------------
// A duration's highest bit names its octave, the four bits below it the bucket inside:
//
//     1_0110_xxxxxxxxxx     octave 2^14, sixth of its sixteen buckets: 16,384 + 6 x 1,024 ns and on
//
// so a bucket is between 1/16 and 1/32 of its values wide, from 16 us to 69 s, in 354 buckets.
// Prometheus' buckets, 2.5 apart, can't tell a p99 of 100 ms from one of 200 ms; these can.

/// Log-linear buckets for durations, fine enough to compare quantiles by a few percent.
package enum DurationScale {
    /// How many buckets there are; the first holds what is below 16 us, the last 69 s and more.
    package static let count = (top - bottom) * perOctave + 2

    private static let bottom = 14
    private static let top = 36
    private static let perOctave = 16

    /// The bucket of a duration; a negative one counts as zero.
    @inline(__always)
    package static func bucket(nanoseconds: Int64) -> Int {
        guard nanoseconds >= 1 << bottom else { return 0 }
        let octave = 63 &- nanoseconds.leadingZeroBitCount
        guard octave < top else { return count &- 1 }
        let inside = Int(nanoseconds >> Int64(octave &- 4)) & 15
        return 1 &+ (octave &- bottom) &* perOctave &+ inside
    }

    /// The durations of a bucket in nanoseconds, its end excluded.
    ///
    /// - Parameter bucket: below ``count``.
    /// - Returns: half-open bounds; the last bucket's end, which is none, is as far as its start again.
    package static func range(of bucket: Int) -> Range<Int64> {
        guard bucket > 0 else { return 0..<(1 << bottom) }
        guard bucket < count - 1 else { return (1 << top)..<(2 << top) }
        let (octave, inside) = (bucket - 1).quotientAndRemainder(dividingBy: perOctave)
        let width = Int64(1) << Int64(bottom + octave - 4)
        let start = (Int64(1) << Int64(bottom + octave)) + Int64(inside) * width
        return start..<start + width
    }
}
