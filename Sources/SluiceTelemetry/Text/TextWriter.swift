import SluiceCore

/// Writes text into memory whose size was settled beforehand.
///
/// Both hot writers (access lines, exposition) can bound their output before the first byte, so
/// they reserve once and write through a pointer. Each call still compares against the end: a
/// bound that was computed wrongly stops the process instead of scribbling.
///
/// The memory belongs to whoever made the writer and must outlive it; the writer frees nothing.
@safe
struct TextWriter {
    private let start: UnsafeMutablePointer<UInt8>
    private let end: UnsafeMutablePointer<UInt8>
    private var next: UnsafeMutablePointer<UInt8>
    // Asked for once: reading a lazy global is a call.
    private let triples = DecimalTriples.shared

    /// A writer over `capacity` bytes from `start` on.
    init(start: UnsafeMutablePointer<UInt8>, capacity: Int) {
        unsafe self.start = unsafe start
        unsafe end = unsafe start + capacity
        unsafe next = unsafe start
    }

    /// How many bytes were written.
    var count: Int { unsafe next - start }

    // MARK: - Bytes

    /// Writes one byte.
    @inline(__always)
    mutating func byte(_ byte: UInt8) {
        unsafe claim(1).pointee = byte
    }

    /// Writes a literal; inlined so that its copy has a constant size.
    @inline(__always)
    mutating func literal(_ text: StaticString) {
        unsafe claim(text.utf8CodeUnitCount)
            .update(from: text.utf8Start, count: text.utf8CodeUnitCount)
    }

    /// Writes a copy of `source`.
    mutating func bytes(_ source: UnsafeRawBufferPointer) {
        guard let from = source.baseAddress else { return }
        unsafe ShortBytes.copy(from, to: claim(source.count), count: source.count)
    }

    /// Writes a copy of `source`.
    mutating func bytes(_ source: [UInt8]) {
        unsafe source.withUnsafeBytes { unsafe bytes($0) }
    }

    /// Writes eight bytes, the lowest of `word` first.
    @inline(__always)
    mutating func word(_ word: UInt64) {
        unsafe UnsafeMutableRawPointer(claim(8)).storeBytes(of: word.littleEndian, as: UInt64.self)
    }

    /// Takes back the last `count` bytes.
    @inline(__always)
    mutating func retract(_ count: Int) {
        unsafe precondition(count <= next - start, "a writer can't take back more than it wrote")
        unsafe next -= count
    }

    /// Counts `count` bytes as written and returns where they go.
    @inline(__always)
    mutating func claim(_ count: Int) -> UnsafeMutablePointer<UInt8> {
        unsafe precondition(count <= end - next, "the text is longer than its bound")
        let place = unsafe next
        unsafe next += count
        return unsafe place
    }

    // MARK: - Numbers

    /// Writes `value` in decimal.
    mutating func decimal(_ value: UInt64) {
        if value < 10 {
            byte(ASCII.zero &+ UInt8(truncatingIfNeeded: value))
            return
        }
        // Most numbers in a line are small; a word of four bytes takes a byte more than three.
        guard value < 1_000_000, unsafe end - next >= 8 else {
            return digits(of: value, width: TextWriter.digitCount(value))
        }
        let place = unsafe UnsafeMutableRawPointer(next)
        let (thousands, rest) = value.quotientAndRemainder(dividingBy: 1_000)
        guard thousands > 0 else {
            let (word, count) = triples.short(rest)
            unsafe place.storeBytes(of: word, as: UInt32.self)
            unsafe next += count
            return
        }
        let (word, count) = triples.short(thousands)
        unsafe place.storeBytes(of: word, as: UInt32.self)
        unsafe (place + count).storeBytes(of: triples.long(rest), as: UInt32.self)
        unsafe next += count &+ 3
    }

    /// Writes `value` in decimal, with a minus sign where it has one.
    mutating func decimal(_ value: Int64) {
        if value < 0 { byte(ASCII.dash) }
        decimal(value.magnitude)
    }

    /// Writes the last `width` decimal digits of `value`, with leading zeros.
    @inline(__always)
    mutating func digits(of value: UInt64, width: Int) {
        // Two digits per division; the table's text is a literal and lives as long as the program.
        let place = unsafe claim(width)
        let pairs = unsafe TextWriter.pairs.utf8Start
        var rest = value
        var index = width
        while index >= 2 {
            let (quotient, pair) = rest.quotientAndRemainder(dividingBy: 100)
            index -= 2
            unsafe place[index] = unsafe pairs[Int(pair) &* 2]
            unsafe place[index + 1] = unsafe pairs[Int(pair) &* 2 &+ 1]
            rest = quotient
        }
        if index == 1 { unsafe place[0] = ASCII.zero + UInt8(truncatingIfNeeded: rest % 10) }
    }

    /// Writes nanoseconds as seconds, exactly: `0`, `1.5`, `0.000000001`.
    mutating func seconds(nanoseconds: UInt64) {
        let (whole, fraction) = nanoseconds.quotientAndRemainder(dividingBy: 1_000_000_000)
        decimal(whole)
        guard fraction > 0 else { return }
        byte(ASCII.dot)
        digits(of: fraction, width: 9)
        while unsafe (next - 1).pointee == ASCII.zero { retract(1) }
    }

    /// Writes a floating-point number so that it reads back as the same number.
    ///
    /// Whole numbers come without a point; the others as Prometheus spells them (`+Inf`, `NaN`).
    mutating func number(_ value: Double) {
        if let whole = Int64(exactly: value), whole.magnitude < 1 << 53 { return decimal(whole) }
        if value.isNaN { return literal("NaN") }
        if value.isInfinite {
            if value < 0 { literal("-Inf") } else { literal("+Inf") }
            return
        }
        var text = value.description
        text.withUTF8 { unsafe bytes(UnsafeRawBufferPointer($0)) }
    }

    /// Writes the sixteen lower-case hexadecimal digits of `value`.
    mutating func hexadecimal(_ value: UInt64) {
        word(Hexadecimal.digits(of: UInt32(truncatingIfNeeded: value >> 32)))
        word(Hexadecimal.digits(of: UInt32(truncatingIfNeeded: value)))
    }

    private static func digitCount(_ value: UInt64) -> Int {
        var count = 1
        var rest = value
        while rest >= 10_000 {
            rest /= 10_000
            count += 4
        }
        if rest >= 1_000 { return count + 3 }
        if rest >= 100 { return count + 2 }
        return rest >= 10 ? count + 1 : count
    }

    private static var pairs: StaticString {
        """
        00010203040506070809101112131415161718192021222324252627282930313233343536373839\
        40414243444546474849505152535455565758596061626364656667686970717273747576777879\
        8081828384858687888990919293949596979899
        """
    }
}
