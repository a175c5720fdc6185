/// Reads integers and strings of one header block (RFC 7541 §5).
@safe
struct HPACKReader {
    private var next: UnsafePointer<UInt8>?
    private let end: UnsafePointer<UInt8>?

    /// Numbers beyond this are in no honest block: frames hold 16 MiB at most.
    private static let integerMaximum = 1 << 24

    init(_ bytes: UnsafeRawBufferPointer) {
        let base = unsafe bytes.baseAddress?.assumingMemoryBound(to: UInt8.self)
        unsafe next = base
        unsafe end = base.map { unsafe $0 + bytes.count }
    }

    /// The next byte, which stays; nil at the end.
    @inline(__always)
    var peek: UInt8? { unsafe next == end ? nil : next.unsafelyUnwrapped.pointee }

    /// How many bytes there are still to read.
    @inline(__always)
    var remaining: Int {
        guard let next = unsafe next, let end = unsafe end else { return 0 }
        return unsafe end - next
    }

    /// An integer with an N-bit prefix (§5.1).
    @inline(__always)
    mutating func integer(prefix: Int) throws(HPACKDecoder.Failure) -> Int {
        guard let byte = peek else { throw .malformed }
        unsafe next = next.unsafelyUnwrapped + 1
        let mask = 1 << prefix - 1
        let small = Int(byte) & mask
        return small < mask ? small : try longInteger(small)
    }

    @inline(never)
    private mutating func longInteger(_ prefix: Int) throws(HPACKDecoder.Failure) -> Int {
        var (value, shift) = (prefix, 0)
        while let byte = peek {
            unsafe next = next.unsafelyUnwrapped + 1
            // Four more octets say all we accept; endless zeros are refused with the rest.
            guard shift < 28 else { throw .malformed }
            value += Int(byte & 0x7F) << shift
            guard value <= HPACKReader.integerMaximum else { throw .malformed }
            if byte & 0x80 == 0 { return value }
            shift += 7
        }
        throw .malformed
    }

    /// A string's octets as they stand, and whether they are Huffman-coded (§5.2).
    @inline(__always)
    mutating func string() throws(HPACKDecoder.Failure) -> (UnsafeRawBufferPointer, Bool) {
        guard let byte = peek else { throw .malformed }
        let length = try integer(prefix: 7)
        let start = unsafe next.unsafelyUnwrapped
        guard unsafe end.unsafelyUnwrapped - start >= length else { throw .malformed }
        unsafe next = start + length
        return unsafe (UnsafeRawBufferPointer(start: start, count: length), byte & 0x80 != 0)
    }
}
